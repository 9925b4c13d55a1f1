"""What goes wrong with a vLLM server: tried again where that may help, else one clear sentence and no half answers."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from fresh_model import prior
from vllm_standin import TOKEN, tiny_served

from fusar_gpt.cli.main import main
from fusar_gpt.engine import DecodeRequest, open_engine
from fusar_gpt.engine.vllm import VllmEngine
from fusar_gpt.engine.vllm_server import VllmError, VllmServer, VllmUnavailable, read_token
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.errors import Cancelled, CheckpointError
from fusar_gpt.model import load_checkpoint
from fusar_gpt.tasks import Question, Task, prompt_set


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr("fusar_gpt.retry.random.uniform", lambda low, high: 0.01)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with tiny_served(tmp_path_factory.mktemp("vllm")) as served:
        yield served


@pytest.fixture(scope="module")
def encoder():
    return load_checkpoint("tiny", device="cpu", language=False)


@pytest.fixture
def standin(served):
    state, _ = served
    state.faults.clear()
    state.questions.clear()
    state.ids.clear()
    state.hung_up = 0
    return state


@pytest.fixture
def remote(encoder, standin, served):
    return VllmEngine(encoder, VllmServer(served[1], TOKEN), 2)


def count(seed=0, **change):
    """A question about a random chip."""
    prompts, question = prompt_set("compact"), Question(Task.COUNT, "ship", None, None)
    pixels = np.random.default_rng(seed).integers(0, 256, (224, 224), dtype=np.uint8)
    text, grammar = prompts.prompt(question, (224, 224)), prompts.grammar(question)
    return replace(DecodeRequest(pixels, *prior(seed, 5), text, grammar, 60), **change)


@pytest.mark.parametrize("fault", [500, 503, 429, "dies", "half JSON"])
def test_what_may_pass_is_tried_again(remote, standin, fault):
    expected = remote.answer([count()])
    standin.ids.clear()
    remote._known.clear()
    standin.questions.clear()
    standin.faults.extend([fault, fault])
    (reply,) = remote.answer([count()])
    assert reply.text == expected[0].text
    assert len(standin.questions) == 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (500, r"is in trouble, 500 \(try again later or not\): look at its log"),
        (429, r"gets too many requests \(429\): ask less at a time with --batch"),
        ("dies", "breaks off in the middle of an answer"),
        ("half JSON", "breaks off in the middle of an answer"),
    ],
)
def test_what_lasts_is_told_in_a_sentence(remote, standin, fault, said):
    standin.faults.extend([fault] * 4)
    with pytest.raises(VllmUnavailable, match=said) as caught:
        remote.answer([count()])
    assert "\n" not in str(caught.value)
    assert len(standin.questions) == 4
    assert remote.answer([count()])[0].finished  # and the engine goes on


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("another name", "answers as Qwen2.5-VL-3B-Instruct, not as fusar-gpt-"),
        ("another text", "sends a text that is not what its tokens say"),
        ("another prompt", "reads the question as other tokens than this checkpoint"),
        ("another vocabulary", "sends tokens that this checkpoint does not have"),
        ("no tokens", "answers without its tokens, their probabilities or .* use vLLM 0.12"),
        ("no choices", "answers without its tokens"),
        ("fewer probabilities", "probabilities that are none, or not one a token"),
        ("aborted", r"ended an answer early \(abort\)"),
        ("stopped", r"ended an answer early \(stop\)"),
    ],
)
def test_an_answer_that_cannot_be_the_models_is_refused(remote, standin, fault, said):
    standin.faults.append(fault)
    with pytest.raises(VllmError, match=said):
        remote.answer([count()])
    assert len(standin.questions) == 1


def test_a_server_that_ignores_the_grammar_is_found_out(remote, standin):
    standin.faults.append("no grammar")
    with pytest.raises(VllmError, match="does not keep to the form that is asked"):
        remote.answer([count(prompt="describe")])


def test_one_that_forgets_in_between_gets_the_tokens_again(remote, standin):
    asked = [count(), count(), count()]
    standin.faults.extend(["", "forget", 503])
    replies = remote.answer(asked)
    assert len({reply.text for reply in replies}) == 1
    sent = [body["messages"][0]["content"][0]["image_embeds"] is not None for body in standin.questions]
    # Whole; named and forgotten; whole again, but 503; once more.
    assert sent == [True, False, True, True, False]


@pytest.mark.parametrize(
    "tokens", [torch.zeros(195, 192), torch.zeros(196, 64), torch.full((196, 192), torch.nan)]
)
def test_tokens_that_could_break_the_server_are_never_sent(remote, standin, monkeypatch, tokens):
    monkeypatch.setattr("fusar_gpt.engine.vllm.visual_tokens", lambda *_: [tokens])
    with pytest.raises(VllmError, match=r"not \[196, 192\], or not finite, and are not sent"):
        remote.answer([count()])
    assert standin.questions == []


def test_wrong_shapes_are_refused_in_the_servers_words(remote):
    remote.card = replace(remote.card, patch=16, merge=1)
    with pytest.raises(VllmError, match=r"refuses the question, 400 \(image_grid_thw .* does not fit 196"):
        remote.answer([count()])


def test_a_server_that_takes_no_ids_is_not_asked_by_them_for_ever(remote, standin, monkeypatch):
    monkeypatch.setattr(standin, "remembers", False)
    texts = {remote.answer([count()])[0].text for _ in range(6)}
    assert len(texts) == 1
    sent = [body["messages"][0]["content"][0]["image_embeds"] is not None for body in standin.questions]
    assert (sum(sent), len(sent)) == (6, 6 + 3)


def test_a_question_it_cannot_understand_is_refused_in_its_words(remote):
    with pytest.raises(VllmError, match=r"refuses the question, 400 \(Invalid grammar"):
        remote.answer([count(grammar="root ::= (")])


def test_an_endless_answer_is_not_read(remote, monkeypatch):
    monkeypatch.setattr("fusar_gpt.engine.vllm_server.ANSWER_BYTES", 100)
    with pytest.raises(VllmError, match="sends more than"):
        remote.answer([count()])


def test_nothing_is_answered_by_halves(remote, standin):
    told = []
    standin.faults.extend(["", "another name"])
    with pytest.raises(VllmError, match="answers as"):
        remote.answer([count(), count(), count()], on_text=lambda i, piece: told.append(i))
    time.sleep(0.05)
    assert len(standin.questions) == 2  # the third was not asked any more


def test_cancelling_hangs_up_at_once(remote, standin):
    standin.faults.extend(["hang"] * 2)
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        remote.answer([count(0), count(1), count(2)], lambda: len(standin.questions) == 2)
    assert time.monotonic() - begun < 5  # of the 30 s that the server would take
    wait_for(lambda: standin.under_way == 0)
    with pytest.raises(Cancelled):
        remote.answer([count()], lambda: True)
    assert len(standin.questions) == 2


def test_the_server_stops_decoding_for_one_who_hung_up(remote, standin):
    endless = count(prompt="describe", grammar='root ::= "ship " root', max_tokens=3000)
    with pytest.raises(Cancelled):
        remote.answer([endless], lambda: bool(standin.ids))
    wait_for(lambda: standin.hung_up == 1)


def test_a_question_that_is_aborted_ends_and_the_others_go_on(remote, standin):
    standin.faults.extend(["hang"])
    stopped = threading.Event()
    threading.Timer(0.1, stopped.set).start()
    one, two = remote.answer([count(0, aborted=stopped.is_set), count(0)])
    assert (one.text, one.finished) == ("", False)
    assert two.finished


def test_one_that_takes_too_long_is_given_up(encoder, served, standin):
    engine = VllmEngine(encoder, VllmServer(served[1], TOKEN), 2, answer_s=0.2)
    standin.faults.append("hang")
    with pytest.raises(VllmUnavailable, match=r"gave no answer in 0\.2 s"):
        engine.answer([count()])


def test_another_model_is_refused_at_the_start(encoder, served, standin, monkeypatch):
    monkeypatch.setattr(standin, "name", "Qwen/Qwen2.5-VL-7B-Instruct")
    with pytest.raises(
        VllmError, match=r"serves Qwen/Qwen2.5-VL-7B-Instruct, not fusar-gpt-\w{16}: write that"
    ):
        VllmEngine(encoder, VllmServer(served[1], TOKEN))


def test_and_when_it_comes_later(remote, standin, monkeypatch):
    monkeypatch.setattr(standin, "name", "another")
    with pytest.raises(
        VllmError, match=r"does not have what is asked for, 404 \(The model .* does not exist\)"
    ):
        remote.answer([count()])


def test_a_shorter_context_of_the_server_counts(encoder, served, standin, monkeypatch):
    monkeypatch.setattr(standin, "max_model_len", 220)
    engine = VllmEngine(encoder, VllmServer(served[1], TOKEN))
    (reply,) = engine.answer([count(prompt="describe", grammar='root ::= "ship " root')])
    assert (reply.finished, len(reply.token_ends)) == (False, standin.questions[-1]["max_completion_tokens"])
    assert len(reply.token_ends) < 20


def test_the_wrong_key_is_refused(encoder, served):
    with pytest.raises(VllmError, match=r"refuses the API key \(401\)"):
        VllmEngine(encoder, VllmServer(served[1], "guess"))


def test_a_server_that_is_away(encoder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(VllmUnavailable, match="cannot be reached: look whether it runs"):
        VllmEngine(encoder, VllmServer(url, TOKEN))


@pytest.mark.parametrize(
    "url", ["", "vllm", "ftp://a", "http://", "http://u:p@a", "http://a:x", "http://a?b=c"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(VllmError, match="is not the address of a vLLM server"):
        VllmServer(url, TOKEN)


def test_the_key_goes_to_another_machine_by_https_only():
    with pytest.raises(VllmError, match="in the clear: give an https address"):
        VllmServer("http://gpu.example:8000", TOKEN)
    for url, anywhere in (
        ("https://gpu.example", False),
        ("http://gpu.example", True),
        ("http://[::1]:1", False),
    ):
        VllmServer(url, TOKEN, http_anywhere=anywhere)


@pytest.mark.parametrize("content", ["", "  \n", "two words", "schlüssel"])
def test_a_file_without_a_key_is_refused(tmp_path, content, monkeypatch):
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    (tmp_path / "key").write_text(content, "utf-8")
    with pytest.raises(VllmError, match="API key"):
        read_token(tmp_path / "key")
    for missing in (None, tmp_path / "none"):
        with pytest.raises(VllmError, match="API key"):
            read_token(missing)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "vllm"}, "needs --vllm-url URL"),
        ({"vllm_url": "http://127.0.0.1:1"}, "go with --engine vllm"),
        ({"vllm_http": True}, "go with --engine vllm"),
        ({"engine": "vllm", "vllm_url": "http://127.0.0.1:1", "quantize": "4bit"}, "let vLLM quantise"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, said):
    with pytest.raises(CheckpointError, match=said):
        open_engine(EngineOptions(**options))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--engine", "vllm"], "needs --vllm-url"),
        (
            ["--engine", "vllm", "--vllm-url", "http://a", "--server", "http://b"],
            "--engine are options of fusar serve",
        ),
    ],
)
def test_the_command_refuses_them_as_wrong_usage(given, said, capsys):
    order = ["interpret", "s.tif", "--bbox", "1,2,3,4", "--task", "count", "--out", "o.gpkg", *given]
    with pytest.raises(SystemExit, match="2"):
        main(order)
    assert said in capsys.readouterr().err


def test_a_server_does_not_start_with_them(capsys):
    assert main(["serve", "--engine", "vllm"]) == 1
    assert "needs --vllm-url" in capsys.readouterr().err


def wait_for(happened):
    end = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)
