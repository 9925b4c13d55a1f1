"""Stands in for vLLM's OpenAI server: its protocol for image embeddings, with a stock transformers model behind it.

The server knows nothing of fusar_gpt: it loads what ``fusar checkpoint export --format vllm`` wrote, as vLLM would.
Shapes, encodings, ids, statuses and the order of grammar, log probabilities and bias are those of vLLM 0.33; it
decodes one request at a time, and refuses wrong shapes, of which vLLM may crash. ``faults`` says what is to go wrong
with the next questions.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
import xgrammar
from transformers import AutoTokenizer, DynamicCache, Qwen2_5_VLForConditionalGeneration
from transformers.utils import logging

TOKEN = "standin-key-0123456789"


class ApiError(Exception):
    """A refusal, as vLLM words it."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.status, self.body = (
            status,
            {"error": {"message": message, "type": kind, "param": None, "code": status}},
        )


class StandIn:
    """The server's state.

    Attributes:
        faults: Names of faults, or statuses, one for each of the next questions; "" is none.
        questions: The bodies of all questions so far.
        most: The most questions that were under way at a time.
        hung_up: How many questions ended because the client was gone.
        ids: The tokens that are remembered, by id.
        remembers: Whether an id alone is enough, as vLLM's documentation has it; vLLM 0.33 takes it for pictures only.
    """

    def __init__(self, folder: Path, name: str) -> None:
        logging.disable_progress_bar()
        self.model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.merge = json.loads((folder / "preprocessor_config.json").read_text())["merge_size"]
        ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
        self.ends = set(ends if isinstance(ends, list) else [ends])
        self.name, self.max_model_len = name, self.config["text_config"]["max_position_embeddings"]
        self.faults: deque[str | int] = deque()
        self.questions: list[dict] = []
        self.ids: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self.most = self.under_way = self.hung_up = 0
        self.remembers = True
        self._lock, self._count = threading.Lock(), threading.Lock()
        vocabulary = self.config["text_config"]["vocab_size"]
        self._compiler = xgrammar.GrammarCompiler(
            xgrammar.TokenizerInfo.from_huggingface(self.tokenizer, vocab_size=vocabulary)
        )

    def models(self) -> dict:
        card = {"id": self.name, "object": "model", "owned_by": "vllm", "max_model_len": self.max_model_len}
        return {"object": "list", "data": [card]}

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._count:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            yield
        finally:
            with self._count:
                self.under_way -= 1

    def complete(self, body: dict, fault: str | int, gone) -> dict:
        """The answer to a question. ``gone()`` is whether the client has hung up."""
        if body.get("model") != self.name:
            raise ApiError(404, f"The model `{body.get('model')}` does not exist.", "NotFoundError")
        if body.get("stream") or body.get("n", 1) != 1:
            raise ApiError(400, "this stand-in neither streams nor branches")
        if fault == "forget":
            self.ids.clear()
        ids, inputs, positions = self._prompt(body)
        with self._lock, torch.inference_mode():
            tokens, logprobs, reason = self._decode(body, inputs, positions, fault, gone)
        said = [token for token in tokens if token not in self.ends]
        content = [
            {"token": self.tokenizer.decode([token]), "logprob": value, "bytes": None, "top_logprobs": []}
            for token, value in zip(tokens, logprobs, strict=True)
        ]
        choice = {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": self.tokenizer.decode(said, skip_special_tokens=True),
            },
            "logprobs": {"content": content} if body.get("logprobs") else None,
            "finish_reason": reason,
            "stop_reason": None,
            "token_ids": tokens if body.get("return_token_ids") else None,
        }
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.name,
            "choices": [choice],
            "usage": {"prompt_tokens": len(ids), "completion_tokens": len(tokens), "total_tokens": 0},
            "prompt_token_ids": ids if body.get("return_token_ids") else None,
        }

    def _prompt(self, body: dict):
        """Token ids of the prompt, their embeddings [1, T, C] and rotary positions [3, 1, T]."""
        (message,) = body["messages"]
        parts, embeds, grid = [], None, None
        for part in message["content"]:
            if part["type"] == "text":
                parts.append(part)
            elif part["type"] == "image_embeds":
                embeds, grid = self._image(part)
                parts.append({"type": "image"})
            else:
                raise ApiError(400, "At most 0 image(s) may be provided in one prompt.")
        text = self.tokenizer.apply_chat_template(
            [{**message, "content": parts}], tokenize=False, add_generation_prompt=True
        )
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        image = self.config["image_token_id"]
        at = ids.index(image)
        ids = [*ids[:at], *[image] * len(embeds), *ids[at + 1 :]]
        if len(ids) + body["max_completion_tokens"] > self.max_model_len:
            raise ApiError(400, f"This model's maximum context length is {self.max_model_len} tokens.")
        row = torch.tensor([ids])
        types = (row == image).long()
        inputs = self.model.get_input_embeddings()(row).clone()
        inputs[0, at : at + len(embeds)] = embeds.to(inputs.dtype)
        positions, _ = self.model.model.get_rope_index(row, types, image_grid_thw=grid[None])
        return ids, inputs, positions

    def _image(self, part: dict):
        """The tokens [N, C] and the grid [3] of an item, which is remembered by its id."""
        given, uuid = part["image_embeds"], part.get("uuid")
        if given is None:
            if uuid not in self.ids or not self.remembers:
                raise ApiError(400, "Cache miss for image at index 0 but data is not provided.")
            return self.ids[uuid]
        try:
            embeds, grid = (
                torch.load(io.BytesIO(base64.b64decode(given[key], validate=True)), weights_only=True)
                for key in ("image_embeds", "image_grid_thw")
            )
        except (KeyError, TypeError, binascii.Error, RuntimeError) as error:
            raise ApiError(400, f"cannot load image_embeds: {error}") from error
        if embeds.ndim != 2 or embeds.shape[1] != self.config["text_config"]["hidden_size"]:
            raise ApiError(400, f"Image embedding has an invalid shape {tuple(embeds.shape)}.")
        if (
            grid.shape != (3,)
            or grid.dtype != torch.int64
            or int(grid.prod()) // self.merge**2 != len(embeds)
        ):
            raise ApiError(400, f"image_grid_thw {grid.tolist()} does not fit {len(embeds)} image features.")
        if uuid is not None:
            self.ids[uuid] = embeds, grid
        return embeds, grid

    def _decode(self, body: dict, inputs, positions, fault, gone):
        """Tokens, with the one that ends, their log probabilities (after the grammar), and the reason of the end."""
        matcher, grammar = None, (body.get("structured_outputs") or {}).get("grammar")
        if grammar is not None and fault != "no grammar":
            try:
                matcher = xgrammar.GrammarMatcher(self._compiler.compile_grammar(grammar))
            except RuntimeError as error:
                raise ApiError(400, "Invalid grammar specification.") from error
        generator = torch.Generator().manual_seed(body.get("seed") or 0)
        ends = self.ends | set(body.get("stop_token_ids") or ())
        cache, place, tokens, logprobs = DynamicCache(), int(positions.max()), [], []
        while len(tokens) < body["max_completion_tokens"]:
            if gone():
                self.hung_up += 1
                raise ConnectionAbortedError
            out = self.model(
                inputs_embeds=inputs, position_ids=positions, past_key_values=cache, use_cache=True
            )
            logits = out.logits[:, -1].float()
            if matcher is not None:
                mask = xgrammar.allocate_token_bitmask(1, logits.shape[1])
                matcher.fill_next_token_bitmask(mask)
                xgrammar.apply_token_bitmask_inplace(logits, mask)
            raw = logits.log_softmax(-1)[0]
            for token, bias in (body.get("logit_bias") or {}).items():
                logits[0, int(token)] += bias
            token = int(logits.argmax())
            if body.get("temperature"):
                token = int(
                    torch.multinomial((logits[0] / body["temperature"]).softmax(-1), 1, generator=generator)
                )
            tokens.append(token)
            logprobs.append(float(raw[token]))
            if token in ends:
                return tokens, logprobs, "stop"
            if matcher is not None:
                matcher.accept_token(token)
            place += 1
            inputs = self.model.get_input_embeddings()(torch.tensor([[token]]))
            positions = torch.full((3, 1, 1), place)
        return tokens, logprobs, "length"


def spoiled(answer: dict, fault: str | int) -> dict:
    """The answer with what a fault does to it."""
    choice = answer["choices"][0]
    changes = {
        "another name": lambda: answer.update(model="Qwen2.5-VL-3B-Instruct"),
        "another text": lambda: choice["message"].update(content="As an AI, I see a harbour."),
        "another prompt": lambda: answer.update(prompt_token_ids=answer["prompt_token_ids"][1:]),
        "another vocabulary": lambda: choice.update(
            token_ids=[*[10**6] * (len(choice["token_ids"]) - 1), choice["token_ids"][-1]]
        ),
        "no tokens": lambda: choice.update(token_ids=None),
        "fewer probabilities": lambda: choice["logprobs"]["content"].pop(),
        "aborted": lambda: choice.update(finish_reason="abort"),
        "stopped": lambda: [choice["token_ids"].pop(), choice["logprobs"]["content"].pop()],
        "no choices": lambda: answer.update(choices=[]),
    }
    changes.get(fault, lambda: None)()
    return answer


class Handler(BaseHTTPRequestHandler):
    """One request; ``server.standin`` is the state."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if self.path == "/health":  # what is not below /v1 needs no key
            self._send(200, {})
        elif self._allowed():
            fault = self.server.standin.faults.popleft() if self.server.standin.faults else ""
            self._send(fault, {}) if isinstance(fault, int) else self._send(200, self.server.standin.models())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._allowed():
            return
        standin = self.server.standin
        standin.questions.append(body)
        fault = standin.faults.popleft() if standin.faults else ""
        with standin.counted():
            try:
                if isinstance(fault, int):
                    raise ApiError(fault, "try again later\nor not", "InternalServerError")
                if fault in ("hang", "slow"):
                    self._hang(30 if fault == "hang" else 0.2)
                answer = spoiled(standin.complete(body, fault, self._gone), fault)
            except ApiError as error:
                self._send(error.status, error.body)
            except ConnectionAbortedError:
                self.close_connection = True
            else:
                self._send(200, answer, fault)

    def _allowed(self) -> bool:
        if self.headers["Authorization"] == f"Bearer {TOKEN}":
            return True
        self._send(401, {"error": "Unauthorized"})
        return False

    def _send(self, status: int, content: dict, fault: str | int = "") -> None:
        data = json.dumps(content).encode()
        data = data[: len(data) // 2] if fault == "half JSON" else data
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault == "dies":
            data, self.close_connection = data[: len(data) // 2], True
        self.wfile.write(data)
        self.wfile.flush()

    def _hang(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._gone() and time.monotonic() < end:
            time.sleep(0.005)

    def _gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)


@contextmanager
def standing_in(folder: Path, name: str) -> Iterator[tuple[StandIn, str]]:
    """The stand-in and its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.standin = StandIn(folder, name)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.standin, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def tiny_served(folder: Path) -> Iterator[tuple[StandIn, str]]:
    """The export of the bundled model behind the stand-in."""
    from fusar_gpt.model.export_vllm import export_language_model

    exported = export_language_model("tiny", folder / "out")
    with standing_in(folder / "out", exported.name) as served:
        yield served
