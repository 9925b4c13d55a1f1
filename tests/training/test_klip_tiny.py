"""The bundled FUSAR-KLIP: small, labelled, and it knows the kinds of places in both of its languages."""

import numpy as np
import pytest

from fusar_gpt.model.store import find_folder
from fusar_gpt.retrieval import load_klip
from fusar_gpt.retrieval.decoding import Blank
from fusar_train.simulation import simulate_chip
from fusar_train.simulation.chip import TEST_STREAM

PLACES = {
    "open sea": ("the open sea", "大海"),
    "coast": ("a coastline", "海岸"),
    "port": ("a harbour", "港口"),
    "airfield": ("an airport", "机场"),
    "river": ("a river", "河流"),
    "inland": ("inland countryside", "乡村"),
}


@pytest.fixture(scope="module")
def klip():
    return load_klip("klip-tiny", device="cpu")


@pytest.fixture(scope="module")
def chips():
    return [simulate_chip(number, TEST_STREAM) for number in range(1000, 1040)]


def test_it_is_small_and_says_what_it_is(klip):
    assert sum(file.stat().st_size for file in find_folder("klip-tiny").iterdir()) <= 10e6
    card = klip.card
    assert card.demonstration
    assert "demonstration" in card.title
    assert card.licence
    assert card.figures
    assert card.training["simulated"] == card.training["records"]
    assert {"harbour", "aircraft", "港"} <= set(card.words)
    assert {"targets Count", "terrain Water"} <= set(card.facts)


@pytest.mark.parametrize("language", [0, 1])
def test_it_knows_kinds_of_places_in_both_languages(klip, chips, language):
    vectors = klip.embed_images(np.stack([chip.image for chip in chips]))
    texts = klip.embed_texts([names[language] for names in PLACES.values()])
    found = np.array(list(PLACES))[(vectors @ texts.T).argmax(1)]
    right = np.mean([name == chip.place for name, chip in zip(found, chips, strict=True)])
    assert right >= 0.5  # a sixth by chance


def test_it_writes_what_it_was_taught(klip, chips):
    images = np.stack([chip.image for chip in chips[:8]])
    written = klip.write(images, [Blank("targets Region")] * 8)
    places = [name for names in PLACES.values() for name in names]
    known = {word for place in places for word in place.split()}
    assert all(written)
    assert any(set(text.split()) & known for text in written)
