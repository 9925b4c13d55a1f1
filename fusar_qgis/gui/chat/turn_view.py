"""The view of one turn: question, answer, pictures, buttons."""

from __future__ import annotations

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QSize, Qt, QUrl, pyqtSignal
from qgis.PyQt.QtGui import QIcon, QPixmap, QResizeEvent
from qgis.PyQt.QtWidgets import QFrame, QProgressBar, QToolButton, QVBoxLayout, QWidget

from ...contract import Finding
from ...core.chat import Turn
from ...core.markdown import to_html
from ..flow_layout import FlowLayout
from ..text_block import PLAIN, TextBlock
from .captions import about, caption
from .on_map import read_picture

_PROBLEM = f"QTextBrowser {{ {PLAIN}; border-left: 3px solid #d55e00; padding-left: 6px }}"
# Half transparent, it suits light and dark themes.
_BUBBLE = "#bubble { background: rgba(128, 128, 128, 32); border-left: 3px solid palette(highlight) }"
_PICTURE_PX, _CHIP_PX = 200, 104
_BUTTON_PX = 16  # what a picture's button has around it


class TurnView(QFrame):
    """Shows one turn as it grows."""

    pointed = pyqtSignal(object, object)  # the Turn, and the findings meant; none: the area itself
    chip_pointed = pyqtSignal(object, object)  # the Turn, and its SeenChip; None: the one that is pictured
    retried = pyqtSignal(object)
    added = pyqtSignal(object)  # to the map

    def __init__(self, turn: Turn, parent: QWidget) -> None:
        super().__init__(parent)
        self.turn = turn
        self._places: dict[str, tuple[Finding, ...]] = {}
        self._shown: tuple[object, ...] = ()
        self._question = TextBlock(self)
        self._question.setObjectName("FusarChatQuestion")
        self._question.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._question.setPlainText(turn.question)
        self._about = self._small_text(self)
        self._answer = TextBlock(self)
        self._answer.setObjectName("FusarChatAnswer")
        self._answer.setAccessibleName(self.tr("Answer"))
        self._answer.anchorClicked.connect(self._on_link)
        self._problem = TextBlock(self)
        self._problem.setObjectName("FusarChatProblem")
        self._problem.setStyleSheet(_PROBLEM)
        self._seen = self._small_text(self)
        self._seen.setObjectName("FusarChatSeen")
        self._seen.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._seen.anchorClicked.connect(self._on_chip_link)
        self._caption = self._small_text(self)
        self._stage = self._small_text(self)
        self._busy = QProgressBar(self)
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setMaximumHeight(4)
        self._make_buttons()
        self._lay_out()
        self.show_turn("")

    def show_turn(self, stage: str) -> None:
        """Show what there is now; ``stage`` says what is waited for."""
        turn, waiting = self.turn, self.turn.state == "asked"
        key = (turn.answer, turn.state)
        if key != self._shown:
            self._shown = key
            self._show_answer()
            self._show_chips()
        self._show_pictures()
        for widget in (self._stage, self._busy):
            widget.setVisible(waiting)
        self._stage.setPlainText(stage)
        self._problem.setPlainText(self.tr("Stopped.") if turn.state == "stopped" else turn.problem)
        self._problem.setVisible(turn.state in ("stopped", "failed"))
        said = "" if waiting else caption(turn)
        self._caption.setPlainText(said)
        self._caption.setVisible(bool(said))
        self._retry.setVisible(turn.state in ("stopped", "failed"))
        self._add.setVisible(bool(turn.rests_on.mentions))
        self._copy.setVisible(bool(turn.answer) and not waiting)

    def _show_answer(self) -> None:
        self._about.setPlainText(about(self.turn))
        places = self.turn.places()
        self._places = {link.target: findings for link, findings in places}
        self._answer.setHtml(to_html(self.turn.answer, [link for link, _ in places]))
        self._answer.setVisible(bool(self.turn.answer))

    def _show_pictures(self) -> None:
        for button, data, side in (
            (self._picture, self.turn.picture, _PICTURE_PX),
            (self._chip, self.turn.chip, _CHIP_PX),
        ):
            if data and button.property("shown") != len(data):
                pixmap = QPixmap.fromImage(read_picture(data, "JPEG")).scaled(
                    side,
                    _PICTURE_PX if button is self._picture else _CHIP_PX,
                    Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
                button.setProperty("shown", len(data))
                button.setIcon(QIcon(pixmap))
                button.setProperty("full", pixmap.size())
            button.setVisible(bool(data) and not button.icon().isNull() and self._fold.isChecked())
        chips = self.turn.rests_on.chips
        self._seen.setVisible(bool(chips) and self._fold.isChecked())
        self._fold.setVisible(bool(self.turn.picture or self.turn.chip or chips))
        seen = self.tr("Chips seen: {n}").format(n=len(chips) or max(self.turn.chips, 1))
        self._fold.setText(seen if self.turn.chip or chips else self.tr("Picture of the area"))
        self._scale_pictures()

    def _show_chips(self) -> None:
        """List the chips as links to the map."""
        links = (f'<a href="#{n}">{n + 1}</a>' for n in range(len(self.turn.rests_on.chips)))
        text = self.tr("Show a chip on the map:")
        self._seen.setHtml(f"{text} {' '.join(links)}")

    def _scale_pictures(self) -> None:
        """Let no picture be wider than the transcript."""
        for button in (self._picture, self._chip):
            size = button.property("full")
            if size is not None:
                width = min(size.width(), max(self.width() - _BUTTON_PX, 1))
                button.setIconSize(QSize(width, round(width * size.height() / size.width())))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Follow the width of the dock."""
        super().resizeEvent(event)
        self._scale_pictures()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the least size: the pictures ask for none, they follow."""
        least = super().minimumSizeHint()
        buttons = max(
            button.minimumSizeHint().width() for button in (self._fold, self._add, self._copy, self._retry)
        )
        return QSize(buttons, least.height())

    def _make_buttons(self) -> None:
        self._fold = self._button("", "", self.tr("Show or hide the pictures of what was looked at"))
        self._fold.setObjectName("FusarChatFold")
        self._fold.setCheckable(True)
        self._fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._fold.setArrowType(Qt.ArrowType.RightArrow)
        self._fold.toggled.connect(self._on_fold)
        self._picture = self._button("", "", self.tr("The area on the map. Click to go there."))
        self._chip = self._button(
            "", "", self.tr("A chip as the model saw it. Click to show its place on the map.")
        )
        self._chip.setObjectName("FusarChatChip")
        self._add = self._button(
            self.tr("Add to map"), "/mActionAddLayer.svg", self.tr("Add what was found as layers")
        )
        self._add.setObjectName("FusarChatAdd")
        self._copy = self._button(self.tr("Copy"), "/mActionEditCopy.svg", self.tr("Copy the answer's text"))
        self._retry = self._button(
            self.tr("Ask again"), "/mActionReload.svg", self.tr("Ask the same question again")
        )
        self._retry.setObjectName("FusarChatRetry")
        self._picture.clicked.connect(self._point_at_area)
        self._chip.clicked.connect(self._point_at_chip)
        self._add.clicked.connect(self._on_add)
        self._copy.clicked.connect(self._on_copy)
        self._retry.clicked.connect(self._on_retry)

    def _button(self, text: str, icon: str, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        if icon:
            button.setIcon(QgsApplication.getThemeIcon(icon))
            button.setIconSize(QSize(16, 16))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setToolTip(tip)
        button.setAccessibleName(text or tip)
        button.setAutoRaise(True)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button

    def _small_text(self, parent: QWidget) -> TextBlock:
        block = TextBlock(parent)
        block.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        font = block.font()
        font.setPointSizeF(font.pointSizeF() * 0.88)
        block.document().setDefaultFont(font)
        return block

    def _lay_out(self) -> None:
        bubble = QFrame(self)
        bubble.setObjectName("bubble")
        bubble.setStyleSheet(_BUBBLE)
        inside = QVBoxLayout(bubble)
        inside.setContentsMargins(8, 5, 6, 4)
        inside.setSpacing(1)
        inside.addWidget(self._question)
        inside.addWidget(self._about)
        buttons = FlowLayout(spacing=4)
        for widget in (self._add, self._copy, self._retry):
            buttons.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 10)
        layout.setSpacing(4)
        layout.addWidget(bubble)
        for widget in (self._answer, self._problem, self._stage, self._busy):
            layout.addWidget(widget)
        for widget in (self._fold, self._picture, self._chip):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self._seen)
        layout.addWidget(self._caption)
        layout.addLayout(buttons)

    def _on_link(self, link: QUrl) -> None:
        findings = self._places.get(link.toString())
        if findings:
            self.pointed.emit(self.turn, findings)

    def _point_at_area(self) -> None:
        self.pointed.emit(self.turn, ())

    def _point_at_chip(self) -> None:
        self.chip_pointed.emit(self.turn, None)

    def _on_chip_link(self, link: QUrl) -> None:
        self.chip_pointed.emit(self.turn, self.turn.rests_on.chips[int(link.fragment())])

    def _on_fold(self, unfolded: bool) -> None:
        self._fold.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)
        self._show_pictures()

    def _on_add(self) -> None:
        self.added.emit(self.turn)

    def _on_copy(self) -> None:
        QgsApplication.clipboard().setText(self.turn.answer)

    def _on_retry(self) -> None:
        self.retried.emit(self.turn)
