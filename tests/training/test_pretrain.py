"""Training sees what serving sees, learns something in a few steps, and leaves a checkpoint that answers."""

import re
from itertools import islice

import numpy as np
import pytest
import torch
import yaml

from fusar_gpt.engine import LocalEngine, Reply
from fusar_gpt.model import load_checkpoint
from fusar_gpt.model.processor import IGNORED
from fusar_gpt.tasks import Question, Task
from fusar_gpt.tasks.compact import render_boxes
from fusar_train.cli import main
from fusar_train.evaluation.card import measure_all, write_card
from fusar_train.evaluation.inference import replies
from fusar_train.evaluation.labelled_images import image_of
from fusar_train.pretrain import TINY
from fusar_train.pretrain.batches import Batches, Mixture, model_inputs
from fusar_train.pretrain.dense import (
    DenseHead,
    box_loss,
    dense_loss,
    dense_targets,
    weighted_mean,
    words_loss,
)
from fusar_train.pretrain.language import (
    LAYERS,
    LanguageLoss,
    attention_loss,
    hidden_states,
    record_attention,
    visual_tokens,
)
from fusar_train.pretrain.muon import orthogonal
from fusar_train.pretrain.packing import Packer
from fusar_train.pretrain.questions import QuestionAnswer, ask, pairs, with_decoy
from fusar_train.pretrain.train import PretrainSettings, TinyTrainer, backward, new_model, tiny_card
from fusar_train.simulation import simulate_chip
from fusar_train.simulation.chip import TEST_STREAM
from fusar_train.simulation.records import caption


def test_packed_questions_get_the_logits_they_would_get_alone():
    model, processor = new_model(real=False, seed=0)
    torch.nn.init.normal_(model.model.tlm.w2.weight, std=0.05)
    model.eval()
    records = [simulate_chip(number, stream=5) for number in (1, 2)]
    rng = np.random.default_rng(0)
    asked = [pairs(record, rng) for record in records]
    packed = Packer(processor, model.model)(asked)
    with torch.no_grad():
        states = hidden_states(model, packed, visual_tokens(model, model_inputs(records, processor)))
        for n, record in enumerate(records):
            for number, pair in enumerate(asked[n][:4]):
                prior = (record.values, record.positions)
                alone = processor([record.image], [pair.prompt((224, 224))], [prior], [pair.answer])
                learnt = alone["labels"][0, 1:] != IGNORED
                mine = (packed.question[n] == number) & (packed.labels[n] != IGNORED)
                assert packed.labels[n][mine].tolist() == alone["labels"][0, 1:][learnt].tolist()
                logits = model(**alone).logits[0, :-1][learnt]
                assert torch.allclose(model.lm_head(states[n][mine]), logits, atol=1e-4)


def test_every_word_of_an_object_is_to_be_read_off_its_token():
    model, processor = new_model(real=False, seed=0)
    record = next(r for r in (simulate_chip(i) for i in range(50)) if len(r.boxes("ship")) >= 2)
    packed = Packer(processor, model.model)([[ask(record, Task.DETECT, "ship")]])
    said, look = packed.labels[0], packed.attend[:, 0]
    start = int((packed.ids[0] == model.config.image_token_id).nonzero()[0])
    answer = processor.tokenizer.decode(said[said != IGNORED][:-1])
    cells = [int(one.split()[0]) for one in answer.split("; ")]
    words = (look[1] >= 0).nonzero().flatten()
    assert torch.equal(words, (said != IGNORED).nonzero().flatten())
    ahead = [
        word for one, after in zip(cells, [*cells[1:], -1], strict=True) for word in [one] * 5 + [after] * 2
    ]
    assert (look[1, words] - start).tolist() == [cells[0], *ahead[:-1]]
    assert (look[0, words] - start).tolist() == [-1, *(cell for cell in cells for _ in range(7))][
        : len(words)
    ]


@pytest.mark.parametrize("task", [Task.COUNT, Task.LOCATE])
@pytest.mark.parametrize(("answer", "cells"), [("7 20 90: 3", [7, 20, 90]), ("0", [])])
def test_an_object_that_is_counted_is_to_be_read_off_its_token(task, answer, cells):
    model, processor = new_model(real=False, seed=0)
    packed = Packer(processor, model.model)([[QuestionAnswer(Question(task, target="ship"), answer)]])
    said, look = packed.labels[0], packed.attend[:, 0]
    start = int((packed.ids[0] == model.config.image_token_id).nonzero()[0])
    words = (said != IGNORED).nonzero().flatten()
    about = words[: len(cells) + 1]  # what follows the colon is told by the cells
    assert torch.equal((look[1] >= 0).nonzero().flatten(), about)
    assert (look[1, about] - start).tolist() == [*cells, -1]
    assert (look[0, about] - start).tolist() == [-1, *cells]
    weights = packed.weights[0, words]
    assert torch.allclose(
        weights, torch.tensor([4.0] * len(about) + [1.0] * (len(words) - len(about))) * weights[-1]
    )


def test_an_object_looks_back_at_the_one_before_it_of_its_class():
    model, processor = new_model(real=False, seed=0)
    asked = [QuestionAnswer(Question(Task.DETECT, target=label), answer) for label, answer in CHAINS.items()]
    look = Packer(processor, model.model)([asked]).attend[0, 0]
    start = int((processor.encode_text([""])["input_ids"][0] == model.config.image_token_id).nonzero()[0])
    back = {
        place - start: int(look[place]) - start for place in range(start, start + 196) if look[place] >= 0
    }
    assert back == {7: -1, 90: 7, 20: -1}


CHAINS = {
    "ship": "7 ship l1 u1 r1 d1; 90 ship l1 u1 r1 d1",
    "plane": "20 plane l1 u1 r1 d1",
    "any": "7 ship l1 u1 r1 d1; 20 plane l1 u1 r1 d1; 90 ship l1 u1 r1 d1",
}


def test_looking_where_it_is_told_to_costs_nothing():
    model, processor = new_model(real=False, seed=0)
    record_attention(model)
    record = next(r for r in (simulate_chip(i) for i in range(50)) if r.boxes("ship"))
    packed = Packer(processor, model.model)([[ask(record, Task.DETECT, "ship")]])
    hidden_states(model, packed, torch.zeros(1, 196, 192))
    assert attention_loss(model, packed) > 1
    for layer, look in zip(LAYERS, packed.attend, strict=True):
        eager = torch.nn.functional.one_hot(look.clamp(min=0), packed.ids.shape[1]).float() * 1000
        one = torch.eye(packed.ids.shape[1]).expand(1, 6, -1, -1)
        model.model.language_model.layers[layer].self_attn.recorded = (
            eager[:, None].expand(-1, 6, -1, -1),
            one,
        )
    assert attention_loss(model, packed) < 1e-6


def test_the_dense_truth_gives_no_box_loss_when_it_is_said_back():
    records = [simulate_chip(number) for number in range(4)]
    truth = dense_targets(records, 16)
    there, centres = truth["near"], truth["classes"].amax(-1) > 0
    assert 0 < centres.sum() <= sum(len(r.objects) for r in records)
    assert centres.sum() < there.sum() <= 9 * centres.sum()
    assert there[centres].all()
    assert box_loss(truth["boxes"][there], truth["boxes"][there]).max().item() == pytest.approx(0, abs=1e-6)
    losses = dense_loss(DenseHead(32)(torch.zeros(4, 196, 32)), truth)
    assert set(losses) == {"classes", "boxes", "cover"}


def test_cells_of_half_a_token_tell_objects_apart_that_share_one():
    records = [simulate_chip(number) for number in range(6)]
    tokens, cells = (dense_targets(records, 16, fine) for fine in (1, 2))
    assert cells["classes"].shape == (6, 784, 2)
    assert cells["cover"].shape == tokens["cover"].shape == (6, 196)
    assert tokens["classes"].sum() <= cells["classes"].sum() <= sum(len(r.objects) for r in records)
    said = DenseHead(32, fine=2)(torch.zeros(6, 196, 32))
    assert [one.shape[1] for one in said] == [784, 784, 196]
    assert set(dense_loss(said, cells)) == {"classes", "boxes", "cover"}


def test_a_token_s_cells_lie_where_it_lies():
    head = DenseHead(4, fine=2)
    of_tokens = torch.arange(9.0).reshape(1, 9, 1) * 10 + torch.arange(4.0)  # 3 x 3 tokens, 2 x 2 cells each
    cells = head._cells(of_tokens).reshape(6, 6)
    assert cells[:2, :4].tolist() == [[0, 1, 10, 11], [2, 3, 12, 13]]
    assert cells[4:, 4:].tolist() == [[80, 81], [82, 83]]


def test_an_object_s_own_token_counts_for_four_of_its_neighbours():
    there = torch.tensor([[True, True, False, True]])
    truth = {"classes": torch.tensor([[[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])}
    assert weighted_mean(torch.tensor([1.0, 0.0, 0.0]), truth, there).item() == pytest.approx(1 / 1.5)
    assert weighted_mean(torch.tensor([0.0, 3.0, 1.0]), truth, there).item() == pytest.approx(1 / 1.5)


def test_an_object_is_read_off_the_embeddings_of_its_words():
    model, processor = new_model(real=False, seed=0)
    loss, table = LanguageLoss(processor.tokenizer), model.get_input_embeddings().weight
    numbers = torch.nn.functional.normalize(table[loss.numbers], dim=-1)
    alike = numbers @ numbers.T
    assert alike[100, 101] > alike[100, 104] > alike[100, 150]

    record = next(r for r in (simulate_chip(i) for i in range(50)) if r.boxes("ship"))
    truth = dense_targets([record], 16)
    sides = torch.nn.functional.normalize(table[loss.sides], dim=-1)
    reaches = truth["sides"].clamp(0, 128).unbind(-1)
    right = {
        "cell": alike[:196][None] * 30,
        "sides": torch.stack([(s @ s.T)[x] * 30 for s, x in zip(sides, reaches, strict=True)], 2),
    }
    least = words_loss(right, truth, loss.soft)
    for name in right:
        wrong = words_loss({**right, name: right[name].roll(3, dims=-1)}, truth, loss.soft)
        assert wrong[name] > least[name]


def test_a_remembered_chip_is_looked_at_once_and_asked_anew():
    model, processor = new_model(real=False, seed=0)
    looks = []

    def look(inputs):
        looks.append(len(inputs["image_grid_thw"]))
        return visual_tokens(model, inputs)

    stream = Batches(Mixture().chips(0), processor, model, size=2, seed=0).remembered(4, look)
    batches = list(islice(stream, 6))
    assert looks == [2, 2]
    first, later = (torch.cat([b.tokens for b in part]) for part in (batches[:2], batches[2:]))
    assert all(any(torch.allclose(one, known, atol=0.01) for known in first) for one in later)
    assert len({tuple(b.packed.ids.flatten().tolist()) for b in batches}) == 6


def test_what_a_token_is_to_say_is_what_the_answer_says():
    record = next(r for r in (simulate_chip(i) for i in range(50)) if len(r.objects) == 3)
    truth = dense_targets([record], 16)
    for item in record.objects:
        cell, _, *sides = render_boxes([(item.box, item.label)], record.size).split()
        assert truth["sides"][0, int(cell)].tolist() == [int(side[1:]) for side in sides]


def test_processes_agree_on_gradients_even_without_any():
    used, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))
    backward({"loss": (used * 3).sum()}, [used, unused])
    assert unused.grad.tolist() == [0, 0, 0]
    assert used.grad.norm().item() == pytest.approx(1)


def test_orthogonal_flattens_singular_values():
    values = torch.linalg.svdvals(orthogonal(torch.randn(20, 50, generator=torch.manual_seed(0))))
    assert 0.5 < values.min() < values.max() < 1.4


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three steps of each phase of the recipe, with batches of two chips: the trainer and its first weights."""
    settings = yaml.safe_load(TINY.read_text())
    settings.update(batch=2, processes=1)
    settings["phases"] = [{**phase, "steps": 3} for phase in settings["phases"]]
    settings["phases"][1]["remember"] = 4
    trainer = TinyTrainer(PretrainSettings(**settings), tmp_path_factory.mktemp("tiny"), real=())
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.run()
    return trainer, before


def test_a_few_steps_train_and_save_a_checkpoint_that_answers(trained):
    trainer, before = trained
    changed = {
        name.split(".")[1] for name, p in trainer.model.named_parameters() if (p != before[name]).any()
    }
    assert changed == {"visual", "tlm", "language_model"}
    log = (trainer.out / "log.txt").read_text()
    assert [line.split()[0] for line in log.splitlines()] == ["vision", "language", "together"]
    assert "nan" not in log

    engine = LocalEngine(load_checkpoint(trainer.out, device="cpu"))
    assert engine.card.demonstration
    chip = image_of("", simulate_chip(1), (), ())
    [answered] = replies(engine, [(chip, Question(Task.COUNT, target="ship"))])
    assert answered.answer.value is not None


LOSSES = {
    "vision": "dense boxes 1.2186 dense cell 2.7771 dense classes 3.0197 dense cover 2.0484 dense sides 2.7181",
    "language": "answers 6.8864 distance 0.0809 sides 0.9544 where 21.0367",
    "together": "answers 6.7541 dense boxes 1.0944 dense cell 2.1849 dense classes 2.6850 dense cover 1.9623 "
    "dense sides 2.5712 distance 0.0921 sides 0.9122 where 20.5788",
}
"""Logged after those steps by the code that trained the bundled model: another draw or other arithmetic shows here."""

SUMS = {"visual": 25845.608, "language_model": 37988.530, "tlm": 13183.672, "weight": 8027.967}
"""The absolute weights of each part, summed, after the steps."""


def test_the_recipe_draws_and_computes_what_it_did_for_the_bundled_model(trained):
    trainer, _ = trained
    for line in (trainer.out / "log.txt").read_text().splitlines():
        phase, logged = line.split(" ", 1)[0], line.partition(": ")[2]
        assert numbers(logged) == pytest.approx(numbers(LOSSES[phase]), rel=2e-3)
    sums = dict.fromkeys(SUMS, 0.0)
    for name, weight in trainer.model.state_dict().items():
        sums[name.split(".")[1]] += weight.double().abs().sum().item()
    assert sums == pytest.approx(SUMS, rel=1e-5)
    assert trainer.batches.rng.integers(1 << 30) == 569303148, "the next draw"


def numbers(text):
    return {name: float(value) for name, value in re.findall(r"([a-z ]*[a-z]) (\d+\.\d+)", text)}


class Oracle:
    """An engine that knows the truth of the chips it is shown."""

    card, hash = tiny_card(real=False), "0" * 64

    def __init__(self, records):
        self.records = {record.image.tobytes(): record for record in records}

    def answer(self, requests, cancelled):
        return [self.reply(request) for request in requests]

    def reply(self, request):
        record = self.records[request.image.tobytes()]
        word, *rest = request.prompt.split()
        if word == "classify":
            said = min(record.objects, key=lambda item: abs(item.box.left - float(rest[0]))).label
        elif word == "describe":
            said = caption(record)
        else:
            said = ask(record, Task(word), rest[0]).answer
        return Reply(text=said, token_ends=(len(said),), logprobs=np.zeros(1), finished=True)


def test_an_oracle_is_measured_as_perfect_and_gets_a_card(tmp_path):
    chips = [simulate_chip(number, TEST_STREAM) for number in range(20)]
    oracle = Oracle(chips)
    results = measure_all(oracle, 20, None, tell=lambda _: None, twin=oracle)
    assert set(results["simulated"]["no prior"].values()) == {1.0}
    facts = {"parameters": 3.2, "questions": "-", "count": 20, "run": "never", "twin": "- in one night\n"}
    write_card(tmp_path, results, facts)
    card = (tmp_path / "README.md").read_text()
    assert "demonstration model" in card
    assert "| ship: exact count | 1.000 | 1.000 | 1.000 | 1.000 |" in card
    assert "+0.0 points from its twin" in card
    assert "| simulated, ship: exact count | 0.95 | 1.000 |" in card
    ships = sum(len(record.boxes("ship")) for record in chips)
    assert f"| all | {ships} | 1.000 | 0.000 | 0.000 |" in card
    assert "- in one night" in card


def test_a_missing_model_is_one_line(tmp_path, capsys):
    assert main(["card", "--model", str(tmp_path / "no"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_nothing_learns_to_say_a_decoy():
    model, processor = new_model(real=False, seed=0)
    record = next(r for r in (simulate_chip(i) for i in range(50)) if len(r.boxes("ship")) == 1)
    true = ask(record, Task.DETECT, "ship")
    rng = np.random.default_rng(0)
    made = [with_decoy(true, record.size, rng) for _ in range(10)]
    assert {place for pair in made for place in pair.decoys} == {0, 1}  # before the ship and after it
    for pair in made:
        packed = Packer(processor, model.model)([[pair]])
        said = pair.answer.split("; ")
        learnt = processor.tokenizer.decode(packed.labels[packed.labels != IGNORED]).removesuffix(
            "<|im_end|>"
        )
        kept = [one for number, one in enumerate(said) if number not in pair.decoys]
        assert kept == [true.answer]
        assert learnt.replace(";", "").strip() == true.answer
        assert learnt.count(";") == (0 in pair.decoys)  # nor to go on to one
