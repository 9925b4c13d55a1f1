"""The histogram of a number of the findings: what it counts, and the range that mouse and keys choose."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qgis.PyQt.QtCore import QEvent, QPoint, QPointF, Qt
from qgis.PyQt.QtGui import QColor, QMouseEvent, QPalette
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication

from fusar_qgis.gui.findings.histogram import ALL, BARS, Histogram
from fusar_qgis.gui.findings.ranges import Ranges
from fusar_qgis.gui.findings.rows import Filter, Rows

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def histogram(qgis_app, qtbot):
    made = Histogram(None)
    qtbot.addWidget(made)
    made.resize(201, 90)
    made.set_axis((0.0, 200.0), 1.0, "m")
    made.set_values(np.array([10.0, 10.0, 100.0, 200.0, np.nan]))
    made.show()
    return made


def drag(widget, start: int, end: int) -> None:
    for kind, x in (
        (QEvent.Type.MouseButtonPress, start),
        (QEvent.Type.MouseMove, (start + end) // 2),
        (QEvent.Type.MouseMove, end),
        (QEvent.Type.MouseButtonRelease, end),
    ):
        at = QPointF(x, 20)
        none = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(widget, QMouseEvent(kind, at, at, LEFT, LEFT, none))


def test_it_counts_what_has_a_value(histogram):
    assert histogram.counts.sum() == 4
    assert [histogram.counts[at] for at in (2, BARS // 2, BARS - 1)] == [2, 1, 1]


def test_a_drag_chooses_a_range_whichever_way_and_a_double_click_everything(histogram):
    told = []
    histogram.brushed.connect(lambda *ends: told.append(ends))
    drag(histogram, 50, 150)
    assert told[-1] == histogram.chosen == pytest.approx((50, 150), abs=1)
    assert histogram.words.endswith("m")
    QTest.mouseDClick(histogram, LEFT, pos=QPoint(100, 20))
    assert told[-1] == ALL
    drag(histogram, 120, 80)
    assert histogram.chosen == pytest.approx((80, 120), abs=1)


def test_an_end_of_the_range_can_be_dragged_and_the_end_of_the_axis_is_no_limit(histogram):
    drag(histogram, 50, 150)
    low, _ = histogram.chosen
    drag(histogram, 151, 199)
    assert histogram.chosen[0] == low
    drag(histogram, 198, 260)
    assert histogram.chosen == (low, inf)


def test_a_click_chooses_nothing(histogram):
    QTest.mouseClick(histogram, LEFT, pos=QPoint(60, 20))
    assert histogram.chosen == ALL


def test_keys_move_the_ends_and_escape_clears(histogram):
    for _ in range(4):
        QTest.keyClick(histogram, Qt.Key.Key_Right)
    QTest.keyClick(histogram, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert histogram.chosen == (20, 195)
    QTest.keyClick(histogram, Qt.Key.Key_Escape)
    assert histogram.chosen == ALL


@given(st.lists(st.floats(0, 300) | st.just(float("nan")), max_size=30), st.floats(0, 300), st.floats(0, 300))
def test_whatever_is_brushed_the_ends_are_in_order_and_whole_steps(qgis_app, values, one, other):
    made = Histogram(None)
    made.resize(301, 80)
    made.set_axis((0.0, 300.0), 1.0, "m")
    made.set_values(np.array(values))
    drag(made, int(one), int(other))
    low, high = made.chosen
    assert low <= high
    assert all(end in (-inf, inf) or end == round(end) for end in (low, high))
    made.deleteLater()


@pytest.mark.parametrize("ground", ["#ffffff", "#202020"])
def test_its_bars_stand_out_from_a_light_and_a_dark_ground(histogram, ground):
    palette = QPalette(QColor(ground))
    histogram.setPalette(palette)
    drag(histogram, 40, 160)
    picture = histogram.grab().toImage()
    at = histogram._bars()
    seen = picture.pixelColor(int(at.left() + 0.5 * at.width()) + 2, int(at.bottom()) - 3)
    beside = picture.pixelColor(int(0.6 * at.width()), int(at.bottom()) - 3)
    assert abs(seen.lightness() - beside.lightness()) > 20


def test_ranges_of_several_numbers_count_together_and_are_marked(qgis_app, qtbot):
    rows = Rows.of(
        [("l", n, "r", "s", 0.0, "ship", "", n / 10, 10.0 * n, np.nan, "", "", (1,) * 4) for n in range(10)]
    )
    ranges = Ranges(None)
    qtbot.addWidget(ranges)
    ranges.show_rows(rows, Filter())
    ranges.low.setValue(0.3)
    ranges.quantity.setCurrentIndex(1)
    ranges.high.setValue(70)
    assert ranges.chosen == {"confidence": (0.3, inf), "length": (-inf, 70)}
    assert [ranges.quantity.itemText(n)[-1] for n in range(3)] == ["*", "*", "a"]
    chosen = Filter(ranges=ranges.chosen)
    assert np.flatnonzero(chosen.shown(rows)).tolist() == [3, 4, 5, 6, 7]
    ranges.quantity.setCurrentIndex(2)  # nobody has an area, and all stay
    ranges.show_rows(rows, chosen)
    assert ranges.histogram.counts.sum() == 0
