"""The conversations of a project: kept, renamed, exported, deleted, and how questions are typed into them."""

import time

import pytest
from chatting import ENTER, answer_of, last, say, views
from qgis.core import QgsProject
from qgis.PyQt.QtCore import QCoreApplication, Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QMenu

from fusar_qgis.gui.chat.finding_conversations import FindingConversations
from fusar_qgis.layers.findings_layer import findings_layers


def test_conversations_survive_save_and_reopen(ask, panel, tmp_path, qtbot, standin):
    turn = ask("where are the ships?")
    panel._store.begin()
    ask("它忙吗")
    panel._store.rename(panel._store.open, "  港口 <b>  ")
    project = QgsProject.instance()
    assert project.isDirty()
    path = str(tmp_path / "work.qgz")
    assert project.write(path)
    project.clear()
    assert (views(panel), panel._conversations._list.count()) == ([], 1)
    assert project.read(path)
    listed = panel._conversations._list
    assert [listed.itemText(n) for n in range(listed.count())] == ["where are the ships?", "港口 <b>"]
    assert answer_of(panel).toPlainText().startswith("A quiet harbour, 港口很安静")
    listed.activated.emit(0)
    assert last(panel) == turn
    assert len(last(panel).places()) == 2
    assert answer_of(panel).toPlainText().startswith("2 ships")
    again = ask("and again?")
    assert [message["content"] for message in standin.questions[-1]["messages"]][::2] == [
        "where are the ships?", "and again?",
    ]  # fmt: skip
    assert again.state == "answered"


def test_a_finding_knows_the_conversations_about_it(ask, panel, dock, qgis_iface, tmp_path, qtbot):
    turn = ask("where are the ships?")
    views(panel)[-1]._add.click()
    qtbot.waitUntil(lambda: bool(findings_layers(QgsProject.instance())))
    panel._store.begin()
    ask("is it busy?")
    (layer,) = findings_layers(QgsProject.instance())
    qtbot.waitUntil(lambda: layer.featureCount() == 2)
    first = turn.rests_on.mentions[0].finding.id
    assert [one.title for one in dock.conversations_about([first])] == ["where are the ships?"]
    assert dock.conversations_about(["another"]) == []
    panel._store.begin()
    layer.selectByExpression(f"id = '{first}'")
    asked = ask("what is this?")  # of the selected finding
    assert asked.target.findings == (first,)
    talks = FindingConversations(qgis_iface, dock, panel)
    menu = QMenu()
    talks.fill(menu)
    (inner,) = menu.findChildren(QMenu)
    assert [action.text() for action in inner.actions()] == ["where are the ships?", "what is this?"]
    inner.actions()[0].trigger()
    assert panel._store.open.turns == [turn]
    path = str(tmp_path / "work.qgz")
    QgsProject.instance().write(path)
    QgsProject.instance().read(path)
    assert len(dock.conversations_about([first])) == 2
    layer = findings_layers(QgsProject.instance())[0]
    layer.selectByExpression(f"id != '{first}'")
    menu.clear()
    talks.fill(menu)
    talks.remove()
    assert "Conversations" in menu.actions()[0].text()  # the list of the first answer names both


def test_the_turn_about_a_finding_is_scrolled_to(ask, panel, qtbot):
    panel.window().show()
    turn = ask("where are the ships?")
    panel._store.open.turns += [ask("is it busy?")] * 30
    panel.open_about(panel._store.open.id, [turn.rests_on.mentions[0].finding.id])
    qtbot.waitUntil(lambda: len(views(panel)) == len(panel._store.open.turns))
    qtbot.wait(100)
    shown = panel._transcript.verticalScrollBar()
    assert shown.maximum() > 0
    assert shown.value() <= views(panel)[0].geometry().bottom()


def test_delete_a_conversation(ask, panel):
    ask("is it busy?")
    menu = panel._conversations
    menu._delete.trigger()
    assert menu._dialog.isVisible()
    menu._dialog.accept()
    assert panel._store.open.turns == []
    assert QgsProject.instance().readEntry("fusar", "/conversations", "")[0] == ""
    assert panel._transcript._welcome.isVisibleTo(panel)


@pytest.mark.parametrize("suffix", ["md", "html"])
def test_export(ask, panel, tmp_path, suffix, bar):
    ask("hostile")
    panel._conversations._export.trigger()
    panel._conversations._dialog.close()
    path = tmp_path / f"talk.{suffix}"
    panel._conversations.export(str(path))
    text = path.read_text("utf-8")
    assert text.count("data:image/jpeg;base64,/9j/") == 2
    assert "<script>" not in text
    assert "港口" in text
    assert "no prior" in text
    assert "talk" in bar.currentItem().text()
    panel._conversations.export(str(tmp_path / "nowhere" / "talk.md"))
    assert "cannot be written" in panel._warning.toPlainText()


def test_history_suggestions_and_line_breaks(ask, panel):
    ask("first")
    ask("second")
    edit = panel._question
    QTest.keyClicks(edit, "draft")
    for key, text in [
        (Qt.Key.Key_Up, "second"), (Qt.Key.Key_Up, "first"), (Qt.Key.Key_Up, "first"),
        (Qt.Key.Key_Down, "second"), (Qt.Key.Key_Down, "draft"), (Qt.Key.Key_Down, "draft"),
    ]:  # fmt: skip
        QTest.keyClick(edit, key)
        assert edit.toPlainText() == text
    QTest.keyClick(edit, ENTER, Qt.KeyboardModifier.ShiftModifier)
    assert edit.toPlainText() == "draft\n"
    panel._ideas.menu().actions()[0].trigger()
    assert edit.toPlainText() == "How many ships are here?"
    edit.setPlainText("x" * 5000)
    assert len(edit.toPlainText()) == 4000


def test_the_prior_is_chosen_in_a_menu_and_remembered(ask, panel, standin, tmp_path):
    assert panel._options.text() == "&Prior: automatic"
    panel._options._menu.aboutToShow.emit()
    actions = panel._options._menu.actions()
    next(action for action in actions if action.data() == ["fusar/chat/prior", "none"]).trigger()
    assert panel._options.text() == "&Prior: none"
    ask("is it busy?")
    assert standin.questions[0]["fusar"]["prior"] == "none"
    panel._options._on_file(str(tmp_path / "prior.tif"))
    assert panel._options.chosen().prior == str(tmp_path / "prior.tif")


def test_a_project_that_goes_away_takes_its_question_along(panel, standin, qtbot):
    say(panel, "endless")
    qtbot.waitUntil(lambda: "quiet" in last(panel).answer)
    QgsProject.instance().clear()
    assert (panel._asking, panel._late, views(panel)) == (None, [], [])
    assert not QgsProject.instance().isDirty()


def test_a_long_conversation_does_not_hold_qgis_up(ask, panel, qtbot):
    turn = ask("where are the ships?")
    panel._store.open.turns = [turn] * 120
    longest, before = 0.0, time.perf_counter()
    panel._transcript.show_conversation(panel._store.open)
    while panel._transcript._waiting:
        longest = max(longest, time.perf_counter() - before)
        before = time.perf_counter()
        QCoreApplication.processEvents()
    assert len(views(panel)) == 120
    assert longest < 0.5  # 0.02 s; but the machine may be busy
