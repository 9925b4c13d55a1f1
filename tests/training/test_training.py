"""Training sees what serving sees, learns something in a few steps, and leaves a checkpoint that answers."""

import numpy as np
import pytest
import torch
import yaml

from fusar_gpt.engine import LocalEngine, Reply
from fusar_gpt.model import load_checkpoint
from fusar_gpt.model.processor import IGNORED
from fusar_gpt.tasks import Question, Task
from fusar_train.cli import main
from fusar_train.corpus.questions import ask, describe, pairs
from fusar_train.evaluation.card import write_card
from fusar_train.evaluation.measure import answers, measure_all, simulated_test
from fusar_train.simulation import simulate_chip
from fusar_train.stages.batches import make_batch
from fusar_train.stages.dense import DenseHead, box_loss, dense_loss, dense_targets
from fusar_train.stages.language import LanguageLoss, hidden_states, visual_tokens
from fusar_train.stages.muon import orthogonal
from fusar_train.stages.packing import Packer
from fusar_train.stages.tiny import SETTINGS, Trainer, descend, new_model, tiny_card


def test_packed_questions_get_the_logits_they_would_get_alone():
    model, processor = new_model(real=False, seed=0)
    torch.nn.init.normal_(model.model.tlm.w2.weight, std=0.05)
    model.eval()
    records = [simulate_chip(number, stream=5) for number in (1, 2)]
    batch = make_batch(records, processor, Packer(processor, model.model), np.random.default_rng(0))
    rng = np.random.default_rng(0)
    with torch.no_grad():
        states = hidden_states(model, batch.packed, visual_tokens(model, batch.inputs))
        for n, record in enumerate(records):
            for number, pair in enumerate(pairs(record, rng)[:4]):
                prior = (record.values, record.positions)
                alone = processor([record.image], [pair.prompt((224, 224))], [prior], [pair.answer])
                learnt = alone["labels"][0, 1:] != IGNORED
                mine = (batch.packed.question[n] == number) & (batch.packed.labels[n] != IGNORED)
                assert batch.packed.labels[n][mine].tolist() == alone["labels"][0, 1:][learnt].tolist()
                logits = model(**alone).logits[0, :-1][learnt]
                assert torch.allclose(model.lm_head(states[n][mine]), logits, atol=1e-4)


def test_exactly_the_numbers_of_boxes_are_coordinates():
    model, processor = new_model(real=False, seed=0)
    record = next(r for r in (simulate_chip(i) for i in range(50)) if len(r.objects) == 3)
    packed = make_batch([record], processor, Packer(processor, model.model), np.random.default_rng(0)).packed
    said = processor.tokenizer.batch_decode(packed.labels[packed.coordinate][:, None])
    assert len(said) % 12 == 0
    assert len(said) >= 12
    assert all(text.startswith(" ") and text.strip().isdigit() for text in said)


def test_the_dense_truth_gives_no_box_loss_when_it_is_said_back():
    records = [simulate_chip(number) for number in range(4)]
    truth = dense_targets(records, 16)
    there, centres = truth["near"], truth["classes"].amax(-1) > 0
    assert 0 < centres.sum() <= sum(len(r.objects) for r in records)
    assert centres.sum() < there.sum() <= 9 * centres.sum()
    assert there[centres].all()
    assert box_loss(truth["boxes"][there], truth["boxes"][there]).item() == pytest.approx(0, abs=1e-6)
    losses = dense_loss(DenseHead(32)(torch.zeros(4, 196, 32)), truth)
    assert set(losses) == {"classes", "boxes", "cover"}


def test_a_box_said_in_whole_pixels_is_read_off_the_numbers_embeddings():
    model, processor = new_model(real=False, seed=0)
    loss = LanguageLoss(processor.tokenizer)
    numbers = model.get_input_embeddings().weight[loss.numbers]
    alike = torch.nn.functional.normalize(numbers, dim=-1) @ torch.nn.functional.normalize(numbers, dim=-1).T
    assert alike[100, 101] > alike[100, 104] > alike[100, 150]
    pixels = torch.tensor([[10, 20, 30, 224]])
    right = alike[pixels] * 30
    assert loss.corners(right, pixels) < loss.corners(right.roll(3, dims=-1), pixels)


def test_processes_agree_on_gradients_even_without_any():
    used, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))
    descend({"loss": (used * 3).sum()}, [used, unused])
    assert unused.grad.tolist() == [0, 0, 0]
    assert used.grad.norm().item() == pytest.approx(1)


def test_orthogonal_flattens_singular_values():
    values = torch.linalg.svdvals(orthogonal(torch.randn(20, 50, generator=torch.manual_seed(0))))
    assert 0.5 < values.min() < values.max() < 1.4


def test_a_few_steps_train_and_save_a_checkpoint_that_answers(tmp_path):
    settings = yaml.safe_load(SETTINGS.read_text())
    settings.update(batch=2, processes=1)
    settings["phases"] = [{**phase, "steps": 3} for phase in settings["phases"]]
    trainer = Trainer(settings, tmp_path, real=None)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.run()
    changed = {
        name.split(".")[1] for name, p in trainer.model.named_parameters() if (p != before[name]).any()
    }
    assert changed == {"visual", "tlm", "language_model"}
    log = (tmp_path / "log.txt").read_text()
    assert [line.split()[0] for line in log.splitlines()] == ["vision", "together"]
    assert "nan" not in log

    engine = LocalEngine(load_checkpoint(tmp_path, device="cpu"))
    assert engine.card.demonstration
    [answer] = answers(engine, [simulate_chip(1)], [Question(Task.COUNT, target="ship")])
    assert answer.value is not None


class Oracle:
    """An engine that knows the truth of the chips it is shown."""

    card = tiny_card(real=False)

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
            said = describe(record).answer
        else:
            said = ask(record, Task(word), rest[0]).answer
        return Reply(text=said, token_ends=(len(said),), logprobs=np.zeros(1), finished=True)


def test_an_oracle_is_measured_as_perfect_and_gets_a_card(tmp_path):
    results = measure_all(Oracle(simulated_test(20)), 20, None, tell=lambda _: None)
    assert set(results["simulated"]["no prior"].values()) == {1.0}
    facts = {"parameters": 3.2, "questions": "-", "count": 20, "run": "never"}
    write_card(tmp_path, results, facts)
    card = (tmp_path / "README.md").read_text()
    assert "demonstration model" in card
    assert "| ship: exact count | 1.000 | 1.000 | 1.000 |" in card


def test_a_missing_model_is_one_line(tmp_path, capsys):
    assert main(["card", "--model", str(tmp_path / "no"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
