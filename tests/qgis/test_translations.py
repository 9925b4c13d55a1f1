"""Every string the analyst may see is translated, and QGIS in Chinese shows a Chinese plugin."""

import ast
import re
from pathlib import Path

import pytest
from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QCoreApplication, QTranslator
from qgis.PyQt.QtWidgets import QAction

import fusar_qgis

PLUGIN = Path(fusar_qgis.__file__).parent
PLACE = re.compile(r"{\w+}")


def strings() -> set[tuple[str, str]]:
    """(context, text) of each ``self.tr(text)`` and ``translate(context, text)`` in the plugin."""
    found = set()
    for path in PLUGIN.rglob("*.py"):
        for top in ast.parse(path.read_text("utf-8")).body:
            for node in ast.walk(top):
                match node:
                    case ast.Call(ast.Attribute(attr="tr"), [ast.Constant(text)]):
                        found.add((top.name, text))
                    case ast.Call(ast.Name("translate"), [ast.Constant(context), ast.Constant(text)]):
                        found.add((context, text))
    return found


@pytest.fixture
def chinese(qgis_app):
    translator = QTranslator()
    assert translator.load(str(PLUGIN / "i18n" / "fusar_zh_CN.qm"))
    QCoreApplication.installTranslator(translator)
    yield
    QCoreApplication.removeTranslator(translator)


def test_chinese_is_complete(chinese):
    assert len(strings()) > 50
    translated = {(context, text): QCoreApplication.translate(context, text) for context, text in strings()}
    missing = [key for key, chinese in translated.items() if chinese.isascii()]
    assert missing == [], "run scripts/translations.sh, translate what is unfinished, run it again"
    for (_, text), chinese in translated.items():
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(chinese))


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
