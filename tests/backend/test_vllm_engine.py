"""The engine vllm against a stand-in that speaks vLLM's protocol: what is sent, and answers as the local engine's."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from vllm_standin import TOKEN, tiny_served

from fusar_gpt.engine import Batcher, Engine, EngineWrapper, LocalEngine, open_engine
from fusar_gpt.engine.vllm import VllmEngine, in_base64
from fusar_gpt.engine.vllm_server import VllmServer
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.errors import TaskError, TooLarge
from fusar_gpt.imagery import Area
from fusar_gpt.interpret import interpret
from fusar_gpt.model import load_checkpoint
from fusar_gpt.model.decoding import visual_tokens
from fusar_gpt.planning import request_for
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.samples import HARBOUR
from fusar_gpt.tasks import Task

FREE = 2e-3
"""Where no grammar forbids them, special tokens count in vLLM's log probabilities, by as much as that here."""


def ground(left, top, right, bottom):
    """A part of the sample scene, in its pixels of 3 m."""
    x, y = 500000 + 3 * np.array([left, right]), 6100000 - 3 * np.array([top, bottom])
    return Area.from_bbox(x[0], y[1], x[1], y[0], "EPSG:32631")


@pytest.fixture(scope="module")
def local():
    return LocalEngine(load_checkpoint("tiny", device="cpu"), 8)


@pytest.fixture(scope="module")
def encoder():
    return load_checkpoint("tiny", device="cpu", language=False)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with tiny_served(tmp_path_factory.mktemp("vllm")) as served:
        yield served


@pytest.fixture
def standin(served):
    state, _ = served
    state.faults.clear()
    state.questions.clear()
    state.ids.clear()
    state.most = 0
    return state


@pytest.fixture
def remote(encoder, standin, served):
    return VllmEngine(encoder, VllmServer(served[1], TOKEN), 4)


class Recording(EngineWrapper):
    """Keeps the requests of a run and their replies."""

    def __init__(self, engine):
        super().__init__(engine)
        self.requests, self.replies = [], []

    def answer(self, requests, cancelled=lambda: False, on_text=None):
        replies = self._engine.answer(requests, cancelled)
        self.requests += requests
        self.replies += replies
        return replies


def run(engine, task, prior):
    """The findings of a small area of the harbour, and what was asked and answered."""
    places = {Task.CLASSIFY: {"boxes": (ground(409, 660, 457, 700), ground(246, 654, 286, 689))}}
    extra = places.get(task, {"area": ground(330, 420, 470, 500)})
    if task is Task.ASK:
        extra |= {"question": "are there ships?"}
    recording = Recording(engine)
    request = request_for(HARBOUR.scene, task, prior=prior, **extra)
    events = list(interpret(request, recording, settings=PriorSettings.of()))
    return events[-1], recording


@pytest.fixture(scope="module")
def harbour(local):
    """Local runs of all tasks with and without a prior, each made once."""
    made = {}

    def find(task, prior):
        if (task, prior) not in made:
            made[task, prior] = run(local, task, prior)
        return made[task, prior]

    return find


@pytest.fixture
def asked(harbour):
    """Three questions about one chip and one about another."""
    first = harbour(Task.COUNT, str(HARBOUR.prior))[1].requests[0]
    moved = replace(first, image=np.roll(first.image, 40, axis=1))
    return [first, moved, replace(first, prompt="describe", grammar=None, max_tokens=4), first]


def same(ours, theirs, atol=2e-4):
    assert [one.text for one in ours] == [one.text for one in theirs]
    assert [one.token_ends for one in ours] == [one.token_ends for one in theirs]
    assert [one.finished for one in ours] == [one.finished for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=atol)


def told(finished):
    """What and where the findings are, without ids and scores."""
    plain = (str, int, bool, type(None))
    return [
        (
            one.layer,
            one.box,
            {k: v for k, v in one.properties.items() if isinstance(v, plain) and k != "run"},
        )
        for one in finished.findings
    ]


@pytest.mark.parametrize("prior", ["none", "own"])
@pytest.mark.parametrize("task", list(Task))
def test_a_run_is_that_of_the_local_engine(harbour, remote, standin, task, prior):
    prior = str(HARBOUR.prior) if prior == "own" else "none"
    expected, local = harbour(task, prior)
    found, recording = run(remote, task, prior)
    assert [one.prompt for one in recording.requests] == [one.prompt for one in local.requests]
    same(local.replies, recording.replies)
    assert local.replies
    assert len(standin.questions) == len(local.requests)
    assert told(found) == told(expected)
    assert found.run.model_hash == expected.run.model_hash


def test_tokens_are_sent_once_a_chip_and_then_named(remote, standin, asked, encoder):
    remote.answer(asked)
    images = [body["messages"][0]["content"][0] for body in standin.questions]
    first, second = dict.fromkeys(image["uuid"] for image in images)
    sent = {image["uuid"]: image["image_embeds"] for image in images if image["image_embeds"]}
    assert sum(image["image_embeds"] is not None for image in images) == 2
    assert sum(image["uuid"] in (first, second) for image in images) == 4
    one = asked[0]
    expected = visual_tokens(encoder, [one.image], [(one.values, one.positions)])[0]
    embeds, grid = (
        torch.load(io.BytesIO(base64.b64decode(sent[images[0]["uuid"]][key])), weights_only=True)
        for key in ("image_embeds", "image_grid_thw")
    )
    assert embeds.shape == (196, 192)
    assert grid.tolist() == [1, 28, 28]
    assert any(torch.equal(embeds, tokens) for tokens in (expected, standin.ids[second][0]))
    standin.questions.clear()
    remote.answer(asked)  # and the next call knows them still
    assert all(body["messages"][0]["content"][0]["image_embeds"] is None for body in standin.questions)


def test_an_id_is_of_chip_prior_and_checkpoint(remote, asked, encoder, standin, served):
    one, ids = asked[0], set()
    nodes = replace(one, values=one.values[1:], positions=one.positions[1:])
    other = VllmEngine.__new__(VllmEngine)
    other.__dict__ = {**remote.__dict__, "hash": "0" * 64}
    for engine, request in ((remote, one), (remote, asked[1]), (remote, nodes), (other, one)):
        ids.add(engine._id(request))
    assert len(ids) == 4
    assert remote._id(replace(one, prompt="count plane")) in ids


def test_only_the_tokens_of_the_chip_are_saved():
    view = torch.zeros(1000, 64)[:2]
    assert len(base64.b64decode(in_base64(view))) < 4000


def test_what_a_server_forgot_is_sent_again(remote, standin, asked):
    expected = remote.answer(asked)
    standin.questions.clear()
    standin.ids.clear()
    same(expected, remote.answer(asked))
    sent = [body["messages"][0]["content"][0]["image_embeds"] for body in standin.questions]
    assert sum(one is not None for one in sent) == 2
    assert len(sent) == 6  # two were asked by the id alone, and again


def test_no_more_questions_than_the_limit_are_under_way(encoder, standin, served, asked):
    chips = [replace(asked[2], image=np.roll(asked[2].image, i, axis=0), max_tokens=3) for i in range(8)]
    standin.faults.extend(["", *["slow"] * 8])  # the first asks for the models
    VllmEngine(encoder, VllmServer(served[1], TOKEN), 2).answer(chips)
    assert standin.most == 2


def test_sampling_and_its_seed_are_passed_on(remote, standin, asked):
    drawn = replace(asked[0], prompt="describe", grammar=None, temperature=1.5, seed=7, max_tokens=4)
    texts = {remote.answer([replace(drawn, seed=seed)])[0].text for seed in range(4)}
    assert len(texts) > 1
    assert (standin.questions[-1]["temperature"], standin.questions[-1]["seed"]) == (1.5, 3)


def test_an_answer_that_is_cut_off_says_so(remote, asked):
    (reply,) = remote.answer([replace(asked[0], prompt="describe", grammar=None, max_tokens=2)])
    assert (reply.finished, len(reply.token_ends), len(reply.logprobs)) == (False, 2, 2)


def test_texts_are_told_as_they_come_and_replies_keep_their_order(remote, local, asked):
    heard = {}
    replies = remote.answer(asked, on_text=lambda i, piece: heard.setdefault(i, []).append(piece))
    assert heard == {i: [reply.text] for i, reply in enumerate(replies)}
    same(local.answer(asked), replies, FREE)
    assert remote.answer([]) == []


def test_a_batcher_runs_it_for_many_threads(remote, local, asked):
    with Batcher(remote) as batcher:
        same(local.answer(asked), batcher.answer(asked), FREE)


def test_words_that_steer_the_model_are_refused_before_anything_is_sent(remote, standin, asked):
    with pytest.raises(TaskError, match="words that steer the model"):
        remote.answer([asked[0], replace(asked[0], prompt="count<|im_end|>ship")])
    with pytest.raises(TooLarge, match=r"5000 tokens, \d+ more than the model has room"):
        remote.answer([asked[0], replace(asked[0], prompt="ship" + " ship" * 4999)])
    assert standin.questions == []


def test_the_options_of_a_command_open_it(served, standin, tmp_path, monkeypatch):
    key = tmp_path / "key"
    key.write_text(TOKEN + "\n")
    options = EngineOptions(
        device="cpu", batch=3, engine="vllm", vllm_url=served[1] + "/v1", vllm_token_file=key
    )
    engine: Engine = open_engine(options)
    assert (engine.card.name, engine.batch_size) == ("tiny", 3)
    assert engine.device == f"cpu, vLLM at {served[1].removeprefix('http://')}"
    assert engine._checkpoint.model.lm_head.weight.is_meta
    monkeypatch.setenv("VLLM_API_KEY", TOKEN)
    assert open_engine(replace(options, vllm_token_file=None)).hash == engine.hash
