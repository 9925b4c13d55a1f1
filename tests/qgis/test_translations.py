"""Every string the analyst may see is translated, and QGIS in Chinese shows a Chinese plugin."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QCoreApplication, QTranslator
from qgis.PyQt.QtWidgets import QAction

import fusar_qgis
from fusar_qgis.contract import Finding, Polygon, SceneBox
from fusar_qgis.core.counting import Cells
from fusar_qgis.layers.wording import cells_in_words
from fusar_qgis.translation import translate_count

PLUGIN = Path(fusar_qgis.__file__).parent
TS = PLUGIN / "i18n" / "fusar_zh_CN.ts"
KEPT = re.compile(r"{\w*}|%\w|</?\w+[^>]*>")  # placeholders and tags
COLLECTED = ("translate", "translate_count", "QT_TRANSLATE_NOOP")
MNEMONIC = re.compile(r"&(?!&|\w+;)\w")

# What takes a text for the analyst. Processing's and the plugin's own exceptions are shown too.
SHOWS = re.compile(
    r"set(Text|PlainText|Html|Markdown|ToolTip|StatusTip|WhatsThis|WindowTitle|Title|PlaceholderText|Suffix|Prefix"
    r"|SpecialValueText|DefaultText|LabelText|InformativeText|DetailedText|AccessibleName|AccessibleDescription"
    r"|Description|HeaderLabels|HorizontalHeaderLabels|VerticalHeaderLabels|DialogTitle|ButtonText|ItemText|TabText)"
    r"|add(Action|Item|Items|Row|Tab|Menu|Section|Button)|insert(Item|Tab|Row)|createMessage|showMessage|emit"
    r"|push(Message|Info|Warning|Success|Critical|ConsoleInfo)|report(Error)|pushFormattedMessage"
    r"|get(SaveFileName|OpenFileName|OpenFileNames|ExistingDirectory|Text|Item|Int|MultiLineText)"
    r"|Q(Label|PushButton|ToolButton|CommandLinkButton|Action|GroupBox|CheckBox|RadioButton|Menu|DockWidget|ToolBar"
    r"|ListWidgetItem|TreeWidgetItem|TableWidgetItem|StandardItem|ProgressDialog|WizardPage)"
    r"|Qgs(CollapsibleGroupBox|DockWidget|ProcessingParameter\w+|ProcessingOutput\w+|ProcessingException)"
    r"|information|question|critical|warning|about"
)
SENTENCE = re.compile(r"(A|[A-Z][a-z]+) [a-z]")
# Product and format names, the same in every language.
NAMES = {
    "FUSAR-GPT",
    "GeoPackage",
    "GeoJSON",
    "COCO",
    "JSONL",
    "Markdown",
    "HTML",
    "AlphaEarth",
    "Enter",
    "Esc",
}


@cache
def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8"), str(path)) for path in sorted(PLUGIN.rglob("*.py"))}


def calls(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Name and node of each call inside ``node``."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call):
            yield getattr(inner.func, "attr", getattr(inner.func, "id", "")), inner


def literal(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def collected(node: ast.AST) -> bool:
    """Whether it is a literal, or a class attribute that test_titles_and_helps_are_marked looks at."""
    return literal(node) or (isinstance(node, ast.Attribute) and node.attr in ("TITLE", "HELP"))


@cache
def strings() -> set[tuple[str, str]]:
    """(context, text) of each ``self.tr(text)``, ``translate`` and ``QT_TRANSLATE_NOOP(context, text)``."""
    found = set()
    for module in modules().values():
        for top in module.body:
            for name, call in calls(top):
                if name == "tr" and literal(call.args[0]):
                    found.add((top.name, call.args[0].value))
                elif name in COLLECTED and all(map(literal, call.args[:2])):
                    found.add((call.args[0].value, call.args[1].value))
    return found


@cache
def translations() -> dict[tuple[str, str], str]:
    """(context, text) -> finished translation in the .ts, or ""."""
    found = {}
    for context in ET.parse(TS).iter("context"):
        for message in context.iter("message"):
            text = message.find("translation")
            finished = "" if text.get("type") else "".join(text.itertext()).strip()
            found[context.findtext("name"), message.findtext("source")] = finished
    return found


def said(node: ast.AST) -> Iterator[str]:
    """The texts in ``node`` that no translator sees and that look like words for the analyst."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name == "format" and isinstance(node.func, ast.Attribute):
            yield from said(node.func.value)
        elif name in ("escape", "join", "str"):
            for argument in node.args:
                yield from said(argument)
    elif literal(node):
        words = KEPT.sub(" ", node.value).strip(" :()")
        wordy = re.search(r"[^\W\d_]{2}", words) and (" " in words or words[0].isupper())
        if wordy and not re.fullmatch(r"[A-Z0-9_]+", words) and words not in NAMES:
            yield node.value
    elif isinstance(
        node, (ast.JoinedStr, ast.BinOp, ast.IfExp, ast.List, ast.Tuple, ast.Starred, ast.FormattedValue)
    ):
        for child in ast.iter_child_nodes(node):
            yield from said(child)


def sentences(module: ast.Module) -> Iterator[ast.Constant]:
    """What reads like the beginning of a sentence, wherever it goes, but for docstrings."""
    seen = {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for name, call in calls(module):
        if name == "tr" or name in COLLECTED:
            seen.update(ast.walk(call))
    for node in ast.walk(module):
        if literal(node) and node not in seen and SENTENCE.match(KEPT.sub("", node.value).strip()):
            yield node


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(PLUGIN.parent)}:{node.lineno}"


def test_no_text_for_the_analyst_goes_past_the_translator():
    past = []
    for path, module in modules().items():
        own = {
            top.name for top in module.body if isinstance(top, ast.ClassDef) and top.name.endswith("Error")
        }
        for name, call in calls(module):
            if SHOWS.fullmatch(name) or (name in own and "core" not in path.parts):
                values = [*call.args, *(keyword.value for keyword in call.keywords)]
                past += [f"{where(path, call)} {text!r}" for value in values for text in said(value)]
        if "core" not in path.parts:
            past += [f"{where(path, node)} {node.value!r}" for node in sentences(module)]
    assert past == [], "wrap them in self.tr() or translate()"


def test_the_collector_sees_every_text():
    """Pylupdate reads the source: it needs literals, and PyQt looks ``self.tr`` up by the object's own class."""
    unseen = []
    bases = {
        getattr(base, "attr", getattr(base, "id", ""))
        for module in modules().values()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    for path, module in modules().items():
        for top in module.body if path.name != "translation.py" else ():
            for name, call in calls(top):
                if name == "tr" and not literal(call.args[0]):
                    unseen.append(f"{where(path, call)} self.tr() of what is no literal")
                elif name == "tr" and not isinstance(top, ast.ClassDef):
                    unseen.append(f"{where(path, call)} tr() outside a top-level class")
                elif name == "tr" and top.name in bases:
                    unseen.append(
                        f"{where(path, call)} self.tr() in {top.name}, which has subclasses: translate()"
                    )
                elif name == "QT_TRANSLATE_NOOP" and not all(map(literal, call.args)):
                    unseen.append(f"{where(path, call)} QT_TRANSLATE_NOOP() of what is no literal")
                elif name in ("translate", "translate_count") and not all(map(collected, call.args[:2])):
                    unseen.append(f"{where(path, call)} translate() of what is no literal")
    assert unseen == []


def test_titles_and_helps_are_marked():
    for path, module in modules().items():
        for node in ast.walk(module):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("TITLE", "HELP"):
                marked = "QT_TRANSLATE_NOOP" in [name for name, _ in calls(node)]
                assert marked or node.value.value == "", where(path, node)


def test_chinese_is_complete():
    assert len(strings()) > 50
    assert strings() - set(translations()) == set(), "run make translations"
    assert set(translations()) - strings() == set(), "run make translations"
    missing = sorted(key for key, chinese in translations().items() if not chinese)
    assert missing == [], "translate what is unfinished in i18n/fusar_zh_CN.ts, then make translations"


def test_the_compiled_file_is_the_one_in_the_sources(qgis_app):
    translator = QTranslator()
    assert translator.load(str(TS.with_suffix(".qm")))
    compiled = {key: translator.translate(*map(str.encode, key)) for key in translations()}
    assert compiled == translations(), "run make translations"


def test_translations_keep_what_code_and_keyboard_need():
    for (_, text), chinese in translations().items():
        if chinese:
            assert sorted(KEPT.findall(chinese)) == sorted(KEPT.findall(text)), text
            assert len(MNEMONIC.findall(chinese)) == len(MNEMONIC.findall(text)), text
            assert chinese.endswith("…") == text.endswith("…"), text


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ('label.setText("Hello there")', ["Hello there"]),
        ('QPushButton(f"{n} Runs")', [" Runs"]),
        ('bar.pushMessage("FUSAR-GPT", "No scene: {e}".format(e=e), 3)', ["No scene: {e}"]),
        ('form.addRow("Name" if new else self.tr("Old name"), widget)', ["Name"]),
        ('box.addItem(self.tr("All"), "All data")', ["All data"]),
        ('QgsProcessingParameterRasterLayer("INPUT", self.tr("Scene"))', []),
        ('label.setText("{:.2f} m".format(x))', []),
        ('self.setObjectName("FusarDock")', []),
    ],
)
def test_the_search_finds_what_it_should(line, caught):
    ((name, call), *_) = calls(ast.parse(line))
    found = [text for argument in call.args for text in said(argument)] if SHOWS.fullmatch(name) else []
    assert found == caught


def test_the_search_finds_a_sentence_that_takes_a_detour():
    module = ast.parse(
        '"""Not this one."""\nhint = "Press the <b>button</b>."\ntr("Nor this one.")\nsql = "SELECT 1"'
    )
    assert [node.lineno for node in sentences(module)] == [2]


@pytest.mark.parametrize("locale", ["zh-Hans", "zh", "zh_CN", "de"])
def test_the_plugin_speaks_the_language_of_qgis(qgis_iface, bar, locale):
    QgsSettings().setValue("locale/userLocale", locale)
    plugin = fusar_qgis.classFactory(qgis_iface)
    try:
        plugin.initGui()
        text = qgis_iface.mainWindow().findChild(QAction, "FusarInterpretSar").text()
        assert text == ("Interpret SAR" if locale == "de" else "解译 SAR")
    finally:
        plugin.unload()
        QgsSettings().remove("locale/userLocale")
    assert QCoreApplication.translate("FusarPlugin", "Interpret SAR") == "Interpret SAR"


@pytest.mark.parametrize(
    ("text", "n", "said"),
    [
        ("%n detection(s)", 0, "0 detections"),
        ("%n detection(s)", 1, "1 detection"),
        ("%n detection(s)", 3, "3 detections"),
        ("%n box(es) in {path}", 1, "1 box in {path}"),
        ("%n box(es) in {path}", 21, "21 boxes in {path}"),
    ],
)
def test_counts_have_right_grammar_where_no_translation_is_loaded(qgis_app, text, n, said):
    assert translate_count("Nowhere", text, n) == said


class InChinese(QTranslator):
    def isEmpty(self) -> bool:  # noqa: N802 - Qt's name
        return False

    def translate(self, context, text, comment=None, n=-1):
        return {"%n detection(s)": "%n 个目标"}.get(text, "")


def test_counts_have_right_grammar_in_chinese(qgis_app):
    translator = InChinese()
    QCoreApplication.installTranslator(translator)
    try:
        said = [translate_count("Wording", "%n detection(s)", n) for n in (1, 3)]
    finally:
        QCoreApplication.removeTranslator(translator)
    assert said == ["1 个目标", "3 个目标"]


def test_no_text_with_a_number_goes_past_the_plural():
    """``{n} ships`` reads “1 ships”: it is ``%n ship(s)`` for translate_count()."""
    counted = re.compile(r"(?<!to )(?<!than ){n} \w{2,}s\b")
    assert [text for _, text in strings() if counted.search(text)] == []


@pytest.mark.parametrize(
    ("hits", "said"),
    [
        ([True] * 3 + [False] * 33, ["ship in 3 of 36 cells"]),
        ([False] * 36, ["no ship in 36 cells"]),
        ([True], ["ship in 1 of 1 cell"]),
        ([], []),
    ],
)
def test_cells_in_words(qgis_app, hits, said):
    cells = Cells()
    ring = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0))
    for n, hit in enumerate(hits):
        properties = {"target": "ship", "hit": hit}
        shape = Polygon("Polygon", (ring,))
        cells.add(Finding(str(n), "grid", shape, "EPSG:32631", None, SceneBox(0, 0, 1, 1), properties))
    assert cells_in_words(cells) == said
