"""The prior is on: shown before a run, fetched only where the analyst agrees, told where it is missing, compared."""

import json
from dataclasses import replace

import pytest
from chatting import last, say, views
from qgis.core import QgsExpression, QgsExpressionContext, QgsProject, QgsSettings, QgsVectorLayer
from qgis.PyQt.QtWidgets import QAction, QDialog, QPushButton
from standin import BESIDE, FAR_AWAY, IN_CACHE, NO_PRIOR_HERE, UNREACHABLE

from fusar_qgis.connection.backend import Backend
from fusar_qgis.connection.network_consent import is_open, keep_consent, kept_consent
from fusar_qgis.contract import PriorStatus
from fusar_qgis.core.endpoint import Endpoint
from fusar_qgis.gui.interpretation import Interpretation
from fusar_qgis.gui.prior_comparison import EffectTable
from fusar_qgis.gui.request_dialog import RequestDialog
from fusar_qgis.layers.findings_layer import run_of

HERE, THERE = Endpoint("http://127.0.0.1:8000", ""), Endpoint("https://gpu.example.org:8765", "")
FOUND = "5 detections; demonstration model, no prior, simulated scene."
REFUSED = f"{FOUND} Without a prior: it was not fetched from the network."
ALWAYS, ONCE, NEVER = "FusarAllowAlways", "FusarAllowOnce", "FusarAllowNever"


@pytest.fixture
def interpretation(standin, bar, qgis_iface, scene_layer):
    backend, action = Backend(), QAction(qgis_iface.mainWindow())
    part = Interpretation(qgis_iface, backend, action)
    yield part
    part.remove()
    backend.close()
    action.deleteLater()


@pytest.fixture
def dialog(interpretation, qtbot, qgis_iface, standin):
    """The question about the whole layer, once the backend has said where its prior would come from."""

    def dialog(*, settled=True):
        asked = len(standin.priors)
        interpretation._take_layer()
        made = interpretation._dialog
        qtbot.waitUntil(lambda: made._model.count() == 1)
        if settled:
            qtbot.waitUntil(lambda: len(standin.priors) > asked and made._prior._status is not None)
        return made

    yield dialog
    for one in qgis_iface.mainWindow().findChildren(RequestDialog):
        one.reject()


@pytest.fixture
def consent(qgis_iface, qtbot):
    """Wait for the question of a run, and give the answer of a button, or close it."""

    def consent(button):
        def asked():
            windows = qgis_iface.mainWindow().findChildren(QDialog, "FusarPriorConsent")
            return next((one for one in windows if one.isVisible()), None)

        qtbot.waitUntil(lambda: asked() is not None)
        window = asked()
        if button is None:
            window.reject()
        else:
            window.findChild(QPushButton, button).click()

    return consent


def choose(dialog, source):
    dialog._prior.source.setCurrentIndex(dialog._prior.source.findData(source))


def click(dialog, button):
    dialog._prior.question.findChild(QPushButton, button).click()


def texts(bar) -> list[str]:
    return [item.text() for item in bar.items()]


def finished_without(bar) -> str:
    """What the last message of a run says where it had no prior."""
    said = [text.partition("</b> ")[2] or text for text in texts(bar) if "Without a prior" in text]
    return said[0] if said else ""


def press(bar, words):
    next(b for item in bar.items() for b in item.findChildren(QPushButton) if b.text() == words).click()


def detections() -> list[QgsVectorLayer]:
    layers = QgsProject.instance().mapLayers().values()
    return [layer for layer in layers if layer.customProperty("fusar/kind") == "detections"]


@pytest.mark.parametrize(
    ("kept", "prior", "wished", "asked"),
    [
        ("", "auto", False, True),
        ("", "none", False, False),
        ("", "/data/prior.tif", True, False),
        ("always", "cog", True, False),
        ("never", "auto", False, False),
        ("never", "auto", True, True),
        ("never", "cog", False, True),
        ("never", "earth-engine", False, True),
        ("damaged", "auto", False, True),
    ],
)
def test_who_said_never_is_asked_again_only_about_what_is_named(kept, prior, wished, asked):
    QgsSettings().setValue("fusar/prior/network", kept)
    assert is_open(prior, wished=wished) is asked


def test_the_prior_beside_the_scene_is_preselected_and_nothing_is_asked(dialog, standin):
    standin.prior = BESIDE
    shown = dialog()
    assert shown.request().prior == "auto"
    assert shown._prior.told.toPlainText() == "Prior beside the scene: harbour_prior.tif"
    assert shown._prior.question.isHidden()
    choose(shown, "none")
    assert (
        shown._prior.told.toPlainText()
        == "There is a prior of this scene, which is not used: harbour_prior.tif"
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (IN_CACHE, "At hand: AlphaEarth, public files. Nothing is fetched."),
        (
            NO_PRIOR_HERE | {"said": ["The prior beside the scene is of another place."]},
            "No prior can be had for this place. The prior beside the scene is of another place.",
        ),
    ],
)
def test_where_the_prior_comes_from_is_said(dialog, standin, status, words):
    standin.prior = status
    assert dialog()._prior.told.toPlainText() == words


def test_a_source_that_is_left_out_is_no_news_while_another_can_be_asked(dialog, standin):
    left_out, beside = "Without earth-engine: no credentials.", "harbour_prior.tif is of another place."
    standin.prior = FAR_AWAY | {"said": [beside, left_out]}
    shown = dialog()
    assert shown._prior.told.toPlainText() == beside
    assert left_out in shown._prior.source.toolTip()


def test_the_last_choice_stays_but_a_file_of_another_scene_gives_way(dialog, standin, tmp_path):
    shown = dialog()
    choose(shown, "none")
    shown._prior.remember()
    shown.reject()
    assert dialog().request().prior == "none"
    choose(shown, "file")
    shown._prior.file.setFilePath(str(tmp_path / "other.tif"))
    shown._prior.remember()
    shown.reject()
    standin.prior = BESIDE
    again = dialog()
    assert again.request().prior == "auto"
    choose(again, "file")
    again._prior.source.activated.emit(again._prior.source.currentIndex())  # as the analyst does
    again.show_prior(PriorStatus(at_hand="file", file="/data/harbour_prior.tif"), HERE)
    assert again.request().prior == str(tmp_path / "other.tif")


def test_the_preview_is_not_fetched_before_the_answer(dialog, standin, qtbot):
    standin.prior = FAR_AWAY
    shown = dialog()
    assert shown._prior.question.isVisible()
    assert shown._prior.question._words.text() == (
        "AlphaEarth tiles of this place are fetched from data.example.org; only the tile numbers leave this computer."
    )
    assert {asked["prior_network"] for asked in standin.previews} <= {False}
    click(shown, ONCE)
    assert shown._prior.question.isHidden()
    assert shown._prior.told.toPlainText() == "Fetched from data.example.org."
    qtbot.waitUntil(lambda: standin.previews[-1]["prior_network"] is True)
    assert kept_consent() == "ask"  # this time is not for ever
    shown.reject()
    assert dialog()._prior.question.isVisible()


def test_a_server_elsewhere_is_who_asks(dialog):
    shown = dialog()
    status = PriorStatus(hosts=("a.example.org", "b.example.org"))
    shown.show_prior(status, THERE)
    assert shown._prior.question._words.text() == (
        "The server gpu.example.org fetches AlphaEarth tiles of this place from a.example.org, b.example.org; only "
        "the tile numbers leave it."
    )


def test_never_is_kept_and_a_source_by_name_is_asked_about_again(dialog, standin, qtbot):
    standin.prior = FAR_AWAY
    shown = dialog()
    click(shown, NEVER)
    assert (kept_consent(), shown._prior.question.isHidden()) == ("never", True)
    assert "The options change that." in shown._prior.told.toPlainText()
    request = shown.request()
    assert (request.prior_network, request.network_settled) == (False, True)
    choose(shown, "cog")
    assert not shown.request().network_settled
    qtbot.waitUntil(lambda: shown._prior.question.isVisible())
    assert shown._prior.question._words.text().endswith("So far your answer is never.")
    click(shown, ONCE)
    assert shown.request().prior_network
    assert kept_consent() == "never"


@pytest.mark.parametrize(
    ("button", "allowed", "kept"),
    [(ALWAYS, True, "always"), (ONCE, True, "ask"), (NEVER, False, "never"), (None, False, "ask")],
)
def test_a_run_that_was_started_unanswered_asks_before_it_is_sent(
    dialog, standin, qtbot, consent, bar, button, allowed, kept
):
    standin.prior = FAR_AWAY
    dialog().accept()
    consent(button)
    qtbot.waitUntil(lambda: len(standin.orders) == 1)
    assert standin.orders[0]["prior_network"] is allowed
    assert kept_consent() == kept
    qtbot.waitUntil(lambda: any("5 detections" in text for text in texts(bar)))
    assert (" ".join(texts(bar)).count("prior:"), finished_without(bar)) == (
        (0, "") if allowed else (1, REFUSED)
    )


def test_a_network_that_cannot_be_reached_is_one_plain_notice(dialog, standin, qtbot, bar):
    standin.prior = UNREACHABLE
    keep_consent("always")
    dialog().accept()
    qtbot.waitUntil(lambda: bool(finished_without(bar)))
    assert finished_without(bar) == f"{FOUND} Without a prior: without cog: it is far"
    assert len(texts(bar)) == 1


def test_a_run_waits_for_the_answer_and_can_be_cancelled(dialog, standin, qtbot, bar, qgis_iface):
    standin.prior = FAR_AWAY
    dialog().accept()
    qtbot.waitUntil(lambda: any("waits for your answer" in text for text in texts(bar)))
    press(bar, "Cancel")
    qtbot.waitUntil(lambda: not qgis_iface.mainWindow().findChildren(QDialog, "FusarPriorConsent"))
    assert standin.orders == []


def test_a_run_without_its_prior_says_so_everywhere_and_is_made_again_with_one(
    dialog, standin, qtbot, bar, consent
):
    shown = dialog()
    shown.accept()
    qtbot.waitUntil(lambda: any("Without a prior: " in text for text in texts(bar)))
    (layer,) = detections()
    assert {feature["prior"] for feature in layer.getFeatures()} == {"none"}
    context = QgsExpressionContext()
    context.setFeature(next(layer.getFeatures()))
    tip = QgsExpression.replaceExpressionText(layer.mapTipTemplate(), context)
    assert "<b>prior</b></td><td>none</td>" in tip
    press(bar, "With prior")
    qtbot.waitUntil(lambda: any("No prior can be had now: no source was asked." in t for t in texts(bar)))
    assert len(standin.orders) == 1  # a run without one more would help nobody
    standin.prior = FAR_AWAY
    keep_consent("never")
    press(bar, "With prior")
    consent(ONCE)
    qtbot.waitUntil(lambda: len(detections()) == 2)
    first, second = standin.orders
    assert second == first | {"prior_network": True}
    qtbot.waitUntil(
        lambda: any("Compare" in b.text() for i in bar.items() for b in i.findChildren(QPushButton))
    )


def test_with_and_without_prior_are_compared(dialog, standin, qtbot, bar, interpretation, qgis_iface):
    standin.prior = BESIDE
    dialog().accept()
    qtbot.waitUntil(lambda: any("5 detections" in text for text in texts(bar)))
    press(bar, "Compare with and without prior")
    tables = qgis_iface.mainWindow().findChildren
    qtbot.waitUntil(lambda: bool(tables(EffectTable)))
    assert [order["prior"] for order in standin.orders] == ["auto", "none"]
    layer = next(one for one in QgsProject.instance().mapLayers().values() if "prior changed" in one.name())
    changes = sorted((feature["change"], feature["label"]) for feature in layer.getFeatures())
    assert changes == [("added", "ship"), ("moved", "ship"), ("removed", "ship")] + [("same", "ship")] * 3
    assert [category.label() for category in layer.renderer().categories()] == [
        "added by the prior", "removed by the prior", "moved by the prior", "same with and without",
    ]  # fmt: skip
    (table,) = tables(EffectTable)
    assert [table.table.item(0, column).text() for column in range(4)] == ["1", "1", "1", "3"]
    moved = next(feature for feature in layer.getFeatures() if feature["change"] == "moved")
    assert (moved["id"], moved["id_compared"]) == ("d1", "d1")
    assert (moved["prior"], moved["prior_compared"]) == ("file", "none")
    assert 0.5 < moved["iou"] < 0.75
    assert moved["distance_m"] == pytest.approx(17.5, abs=0.5)
    # Both are there now: to compare the older layer runs nothing.
    table.close()
    qgis_iface.setActiveLayer(next(one for one in detections() if run_of(one)["prior"] == "none"))
    interpretation.runs.comparison.action.trigger()
    assert len(tables(EffectTable)) == 2
    assert len(standin.orders) == 2


def test_only_detections_of_a_run_can_be_compared(interpretation, scene_layer, bar, qgis_iface):
    qgis_iface.setActiveLayer(scene_layer)
    interpretation.runs.comparison.action.trigger()
    assert "Choose a layer of detections" in bar.currentItem().text()


@pytest.mark.parametrize(("button", "allowed"), [(ONCE, True), (None, False)])
def test_a_conversation_asks_once_for_a_place(panel, ask, standin, qtbot, consent, button, allowed):
    standin.prior = FAR_AWAY
    say(panel, "is it busy?")
    consent(button)
    qtbot.waitUntil(lambda: last(panel).state == "answered" and not panel._late)
    ask("and now?")
    assert [question["fusar"]["prior_network"] for question in standin.questions] == [allowed] * 2
    assert ("no prior" in views(panel)[-1]._caption.toPlainText()) is not allowed


def test_what_the_analyst_is_asked_is_no_matter_of_the_backend(dialog):
    request = replace(dialog().request(), prior_needed=True)
    assert {"network_settled", "prior_needed", "layer_id"}.isdisjoint(request.to_json())
    assert type(request).from_json(json.loads(json.dumps(request.to_json()))).prior_network is False
