"""A run of the tiny model that is stopped goes on where it was saved, with chips of its own."""

import pytest
import torch
import yaml

from fusar_gpt.model import load_checkpoint
from fusar_gpt.model.stem_tower import StemVisionTower
from fusar_train.pretrain import TINY
from fusar_train.pretrain.states import FOLDER, PretrainError, Progress, read_progress
from fusar_train.pretrain.train import PretrainSettings, TinyTrainer, train_tiny


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def settings():
    """Four steps a phase on a small tower with a stem, saved after each."""
    recipe = yaml.safe_load(TINY.read_text())
    recipe.update(batch=2, processes=1, save_every_s=1e-6, fine=2)
    recipe["tower"] = {"depth": 1, "hidden": 32, "stem": [4, 6, 8]}
    recipe["phases"] = [{**phase, "steps": 4, "remember": 0} for phase in recipe["phases"][:2]]
    return PretrainSettings(**recipe)


@pytest.fixture(scope="module")
def stopped(settings, tmp_path_factory):
    """A run that ended in its first phase after three steps, of which two were saved; and its optimizers."""
    out = tmp_path_factory.mktemp("stopped")
    trainer = TinyTrainer(settings, out)
    save, seen = trainer.save, []

    def stop_later(optimizers=()):
        seen.append(optimizers)
        if len(seen) == 3:
            raise StoppedError
        save(optimizers)

    trainer.save = stop_later
    with pytest.raises(StoppedError):
        trainer.run()
    return out, seen[1]


def test_it_goes_on_with_what_was_saved(settings, stopped):
    out, optimizers = stopped
    kept = torch.load(out / FOLDER / "optimizers.pt", weights_only=True)
    assert [len(one["state"]) for one in kept] == [len(one.state) for one in optimizers]
    assert kept[0]["state"][0]["momentum"].any()
    assert read_progress(out) == Progress(0, 2, read_progress(out).seconds, 0)
    trainer = TinyTrainer(settings, out, resume=True)
    assert trainer.progress.resumed == 1
    fresh = TinyTrainer(settings, out / "fresh")
    assert trainer.model.model.visual.mix.weight.ne(fresh.model.model.visual.mix.weight).any()
    first, again = (next(one.batches.chips).image for one in (fresh, trainer))
    assert (first != again).any(), "a resumed run draws chips that it has not seen"
    losses = []
    log = trainer.log
    trainer.log = lambda phase, step, *rest: (losses.append((phase.name, step)), log(phase, step, *rest))
    trainer.run()
    assert losses == [("vision", 4), ("language", 4)]
    assert read_progress(out) == Progress(2, resumed=1)
    assert isinstance(load_checkpoint(out, device="cpu").model.model.visual, StemVisionTower)


def test_a_new_run_does_not_begin_in_the_folder_of_another(stopped):
    with pytest.raises(PretrainError, match="go on with --resume"):
        train_tiny(stopped[0])


def test_nothing_to_go_on_with_is_said(tmp_path):
    with pytest.raises(PretrainError, match="leave out --resume"):
        train_tiny(tmp_path, resume=True)


def test_a_run_of_another_architecture_is_refused(settings, stopped):
    recipe = yaml.safe_load(TINY.read_text()) | {"processes": 1}
    with pytest.raises(PretrainError, match="cannot be gone on with"):
        TinyTrainer(PretrainSettings(**recipe), stopped[0], resume=True)
