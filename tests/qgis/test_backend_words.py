"""The backend's sentences reach the analyst in the analyst's language, whole and with what they name."""

import ast
import re

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from qgis.PyQt.QtCore import QCoreApplication, QTranslator

from fusar_qgis.connection.backend_words import SENTENCES, in_words, sentence


class Chinese(QTranslator):
    """Translates every text of this plugin into something that is not English, with what it names."""

    def translate(self, context, text, *_):
        return f"译文 {' '.join(re.findall('{.*?}', text))}。" if context == "BackendWords" else ""


@pytest.fixture
def chinese(qgis_app):
    translator = Chinese()
    QCoreApplication.installTranslator(translator)
    yield
    QCoreApplication.removeTranslator(translator)


def spoken() -> set[str]:
    """Each text in the backend's source, with {} for what is filled in."""
    found = set()
    for path in (ROOT / "backend" / "fusar_gpt").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
                found.add("".join(parts))
    return found


def test_each_sentence_is_one_of_the_backends():
    wanted = {re.sub(r"\{\w+\}", "{}", sentence) for sentence in SENTENCES}
    assert wanted - spoken() == set()
    assert len(SENTENCES) == len(wanted)


@given(st.text(min_size=1).filter(lambda text: "{" not in text))
def test_what_a_sentence_names_is_kept_whatever_it_is(name):
    said = f"'{name}' is damaged or cut short: copy or download it again"
    assert in_words(said) == said
    assert sentence(said) == f"{said}."


def test_a_known_sentence_is_translated_an_unknown_one_gets_a_lead(chinese):
    assert in_words("'x {y}.tif' is damaged or cut short: copy or download it again", "scene-error") == (
        "译文 x {y}.tif。"
    )
    assert in_words("the scene is odd: look at it", "scene-error") == "译文 。 The scene is odd: look at it."
    assert in_words("what is new", "a-code-from-the-future") == "what is new"
    assert in_words("该模型没有学过回答这个问题。", "task-error") == "该模型没有学过回答这个问题。"


def test_in_english_it_is_the_backends_own():
    for said in ("the area is empty: draw a polygon", "odd"):
        assert in_words(said, "area-error") == said
