"""The page “Search”: words or examples in, ranked places out, as a list and as layers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from html import escape

from qgis.core import Qgis, QgsApplication, QgsProject
from qgis.gui import QgisInterface, QgsFilterLineEdit
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QModelIndex, QPoint, QSize, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...connection.backend import Backend
from ...connection.backend_words import in_words, sentence
from ...connection.client import Client
from ...contract import Finished, Info, SearchRequest
from ...layers.places import PlaceLayers, add_places, replace_places
from ...layers.scene import Scene, SceneError
from ...translation import translate_count
from ..areas import Area, AreaError, scene_for, show_on_map
from ..messages import show_message
from ..obstacle import misplaced
from ..text_block import TextBlock
from .examples import ExampleLabels, offer, place_name
from .places import PlacesModel, PlacesView
from .query import Query, ShownExample
from .scene_search import SceneSearch, gone, is_there
from .scope_menu import ScopeMenu

_AROUND = 3.0  # the map shows this many times the place
_WORDS_TOLD = 40
_ICON_PX = 16

Interpret = Callable[[Scene, Area], None]
LastScene = Callable[[], str]


class SearchPanel(QWidget):
    """Searches the active scene, and shows the places that were found.

    ``ended`` brings the id of each search whose places are in the project.

    Attributes:
        field: The words.
        labels: The examples.
        scope: Where to look, and for how many places.
        status: Where the search is, what came out, or what is wrong.
        notes: What a reader of the places must know.
        view: The list of places.
    """

    ended = pyqtSignal(str)

    def __init__(
        self,
        iface: QgisInterface,
        backend: Backend,
        interpret: Interpret,
        last_scene: LastScene,
        parent: QWidget,
    ) -> None:
        """``interpret`` asks what to do with an area; ``last_scene`` is the layer that was interpreted last."""
        super().__init__(parent)
        self._iface, self._backend = iface, backend
        self._interpret, self._last_scene = interpret, last_scene
        self._search = SceneSearch(backend, self)
        self._scene: Scene | None = None  # of the search under way, or of what is shown
        self._query = Query()  # likewise
        # By run; a slot that knew them would be a circle, which Python takes apart while Qt still uses it.
        self._arriving: dict[str, PlaceLayers] = {}
        self._shown_run = self._shown_layer = ""  # the ids of what is shown, once it is
        self._waiting: tuple[Finished, Scene, SearchRequest] | None = None  # to be shown in its place
        self._began = 0.0
        self._result = ""  # what became of the last search
        self._make_fields()
        self._lay_out()
        self._search.told.connect(self._tell)
        self._search.progressed.connect(self._on_progress)
        self._search.asked.connect(self._on_asked)
        self._search.finished.connect(self._on_finished)
        self._search.failed.connect(self._on_failed)
        backend.ready.connect(self._on_ready)
        if backend.info is not None:
            self._on_ready(None, backend.info)
        QgsProject.instance().cleared.connect(self._forget)

    def remove(self) -> None:
        """Stop, and let go of the project."""
        self._forget()
        QgsProject.instance().cleared.disconnect(self._forget)
        self._backend.ready.disconnect(self._on_ready)
        self._search.remove()
        self.model.pictures.stop()
        self.scope.remove()

    def add_examples(self, examples: Sequence[ShownExample]) -> None:
        """Search the same place again with more examples; those of another scene begin a search of that."""
        if self._scene is not None and any(misplaced(self._scene, one.ground) for one in examples):
            self.labels.clear()
            self._scene = None
        self.labels.add(examples)
        self._refine()

    def search(self) -> None:
        """Search the active scene for what the field and the labels say; a question that is open is answered."""
        try:
            scene = scene_for(self._iface.activeLayer(), self._last_scene())
            area = self.scope.area()
        except (SceneError, AreaError) as error:
            self._search.stop()
            self._end(str(error))
            return
        if area is not None and not area.crs.isValid():
            area = Area(area.outline, scene.crs)
        query = self._query_in(area)
        if self._is_asking and scene == self._scene and query.is_same(self._query):
            self._go_on()
        else:
            self._begin(scene, query, refines=False)

    def _refine(self) -> None:
        """Search the same area of the same scene again, with other examples."""
        if self._scene is None or not is_there(self._scene):
            self.search()
        else:
            self._begin(self._scene, self._query_in(self._query.area), refines=True)

    def _query_in(self, area: Area | None) -> Query:
        text = self.field.text().strip()
        return Query(text, self.labels.examples, area, self.scope.top, self.scope.encoder)

    def _begin(self, scene: Scene, query: Query, *, refines: bool) -> None:
        self._search.stop()
        problem = self._hint() if query.says_nothing else ""
        if not problem and query.area is not None:
            problem = misplaced(scene, query.area)
        if problem:
            self._end(problem)
            return
        if not refines:
            self._show_nothing()
        self._query, self._scene = query, scene
        self._began = time.monotonic()
        self._start.hide()
        self._stop.show()
        self._search.start(query, scene)

    def _hint(self) -> str:
        return str(
            self.tr(
                "Type what to find and press Enter. Or right-click a place on the map and choose “More like this”."
            )
        )

    def _make_fields(self) -> None:
        self.field = QgsFilterLineEdit(self)
        self.field.setShowSearchIcon(True)
        self.field.setShowClearButton(True)
        self.field.setPlaceholderText(self.tr("ships at a dock, farmland by a river…"))
        self.field.setToolTip(self.tr("What to find in the scene, in English or Chinese. Enter searches."))
        self.field.setAccessibleName(self.tr("What to find in the scene"))
        self.field.returnPressed.connect(self.search)
        self.scope = ScopeMenu(self._iface, self)
        self.scope.asks_to_draw.connect(self._on_drawing)
        self.scope.changed.connect(self._on_scope)
        self.labels = ExampleLabels(self)
        self.labels.changed.connect(self._refine)
        self.status = TextBlock(self)
        self._gauge = QProgressBar(self)
        self._gauge.setTextVisible(False)
        self._gauge.setMaximumHeight(8)
        self._start = QPushButton(self.tr("Index and search"), self)
        self._start.clicked.connect(self._go_on)
        self._stop = QPushButton(self.tr("Stop"), self)
        self._stop.clicked.connect(self.stop)
        self.notes = TextBlock(self)
        self._notes_icon = QLabel(self)
        icon = QgsApplication.getThemeIcon("/mIconWarning.svg")
        self._notes_icon.setPixmap(icon.pixmap(QSize(_ICON_PX, _ICON_PX)))
        self.model = PlacesModel(self)
        self.view = PlacesView(self.model, self)
        self.view.clicked.connect(self._go_to)
        self.view.activated.connect(self._go_to)
        self.view.customContextMenuRequested.connect(self._show_menu)
        self.view.selectionModel().selectionChanged.connect(self._name_button)
        self.model.modelReset.connect(self._name_button)
        self.interpret = QPushButton(self)
        self.interpret.setToolTip(
            self.tr(
                "Count, detect or describe in these places alone; a dialog asks what. Select some, or take all."
            )
        )
        self.interpret.clicked.connect(self._on_interpret)

    def _lay_out(self) -> None:
        line, work, notes = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        line.addWidget(self.field, 1)
        line.addWidget(self.scope)
        work.addWidget(self._gauge, 1)
        work.addWidget(self._start)
        work.addWidget(self._stop)
        notes.addWidget(self._notes_icon, 0, Qt.AlignmentFlag.AlignTop)
        notes.addWidget(self.notes, 1)
        column = QVBoxLayout(self)
        column.addLayout(line)
        column.addWidget(self.labels)
        column.addWidget(self.status)
        column.addLayout(work)
        column.addLayout(notes)
        column.addWidget(self.view, 1)
        column.addWidget(self.interpret)
        self._show_notes(())
        self._end(self._hint())
        self._name_button()

    def _on_ready(self, _: Client | None, info: Info) -> None:
        """Say what the encoder knows, as far as the backend tells."""
        self.scope.offer(info)
        chosen = [one for one in info.encoders if one.name == self.scope.encoder] or info.encoders[:1]
        lines = [self.tr("What to find in the scene, in English or Chinese. Enter searches.")]
        for encoder in chosen:
            if encoder.demonstration:
                lines.append(self.tr("“{title}” is a demonstration.").format(title=encoder.title))
            if encoder.words:
                words = ", ".join(encoder.words[:_WORDS_TOLD])
                lines.append(self.tr("It was taught words such as: {words}").format(words=words))
        self.field.setToolTip(f"<p>{'</p><p>'.join(map(escape, lines))}</p>")

    def _on_drawing(self, begins: bool) -> None:
        if begins:
            self._tell(self.tr("Drag a rectangle on the map."))
        elif not self._search.is_busy:
            self._tell(self._result or self._hint())

    def _on_scope(self) -> None:
        if self._is_asking:  # it was about another place
            self._search.stop()
        if not self._search.is_busy:
            says_nothing = self._query_in(None).says_nothing
            self._end(self._hint() if says_nothing else self.tr("Press Enter to search like this."))

    def _tell(self, text: str) -> None:
        self.status.setPlainText(text)

    def _on_progress(self, done: int, total: int) -> None:
        self._gauge.setRange(0, total)
        self._gauge.setValue(done)
        self._gauge.show()

    @property
    def _is_asking(self) -> bool:
        """Whether the analyst may decide if so much is indexed."""
        return not self._start.isHidden()

    def _on_asked(self) -> None:
        self._gauge.hide()
        self._start.show()

    def _go_on(self) -> None:
        self._start.hide()
        self._search.go_on()

    def stop(self) -> None:
        """Stop the search."""
        self._search.stop()
        self._end(self.tr("Stopped. What is indexed by now is kept; press Enter to go on."))

    def _on_failed(self, problem: str) -> None:
        self._end(sentence(problem))

    def _end(self, text: str) -> None:
        """Say what became of a search."""
        self._result = text
        self._tell(text)
        for widget in (self._gauge, self._start, self._stop):
            widget.hide()

    def _show_notes(self, notes: Sequence[str]) -> None:
        self.notes.setPlainText("\n".join(sentence(in_words(note)) for note in notes))
        self.notes.setVisible(bool(notes))
        self._notes_icon.setVisible(bool(notes))

    def _on_finished(self, finished: Finished, request: SearchRequest) -> None:
        scene, run = self._scene, finished.run
        if scene is None or not is_there(scene):
            self._end(gone(scene.name if scene is not None else ""))
            return
        notes = [self.tr("A demonstration encoder: look at what it finds, do not rely on it.")]
        self._show_notes([*(notes if run.demonstration else []), *run.warnings])
        self.model.show(finished, scene, request)
        if not finished.findings:
            self._end(self.tr("No place was found. Search the whole scene, or use other words."))
            return
        text = translate_count("SearchPanel", "%n place(s), the best first", len(finished.findings))
        self._end(f"{text}. {self._where(scene)}")
        self.view.scrollToTop()
        self._add_layers(finished, scene, request)

    def _where(self, scene: Scene) -> str:
        if self._query.area is None:
            return str(self.tr("Scene: “{name}”").format(name=scene.name))
        return str(self.tr("A part of the scene “{name}”").format(name=scene.name))

    def _add_layers(self, finished: Finished, scene: Scene, request: SearchRequest) -> None:
        """Put the places into the project: a refined search takes the place of the one before, once that is there."""
        self._waiting = (finished, scene, request) if self._shown_run in self._arriving else None
        if self._waiting or not is_there(scene):
            return
        inputs = {**request.to_json(), "layer_id": scene.layer_id}
        old = QgsProject.instance().mapLayer(self._shown_layer)
        put = add_places if old is None else partial(replace_places, old)
        layers = put(finished, self._query.title, scene.layer.source(), inputs, began=self._began)
        layers.warned.connect(self._warn)
        layers.settled.connect(self._on_settled)
        self._shown_run = finished.run.id
        self._arriving[self._shown_run] = layers

    def _on_settled(self) -> None:
        for run_id, layers in list(self._arriving.items()):
            if not layers.is_settled:
                continue
            del self._arriving[run_id]
            if layers.places is None or sip.isdeleted(layers.places):
                continue
            if run_id == self._shown_run:
                self._shown_layer = layers.places.id()
            self.ended.emit(run_id)
        if self._waiting and self._shown_run not in self._arriving:
            self._add_layers(*self._waiting)

    def _warn(self, text: str) -> None:
        show_message(self._iface.messageBar(), self.tr("Search"), text, Qgis.MessageLevel.Warning)

    def _forget(self) -> None:
        """Another project: what was found in the last one is gone with it."""
        self._search.stop()
        self._scene, self._query = None, Query()
        self._arriving.clear()
        self.labels.clear()
        self._show_nothing()
        self._end(self._hint())

    def _show_nothing(self) -> None:
        """Take the places of the last search off the list; its layers stay."""
        self._shown_run = self._shown_layer = ""
        self._waiting = None
        self.model.clear()
        self._show_notes(())

    def _go_to(self, index: QModelIndex) -> None:
        """Show a place on the map and let it flash."""
        ground = self.model.ground(index.row())
        if not show_on_map(self._iface.mapCanvas(), [ground.outline], ground.crs, _AROUND):
            self._warn(self.tr("The map cannot show that place in its coordinate system."))

    def _show_menu(self, at: QPoint) -> None:
        rows = self.view.rows()
        if not rows:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.fill_menu(menu)
        menu.popup(self.view.viewport().mapToGlobal(at))

    def fill_menu(self, menu: QMenu) -> None:
        """Offer what can be done with the selected places."""
        grounds = [
            (place_name(self.model.place(row).properties.get("rank")), self.model.ground(row))
            for row in self.view.rows()
        ]
        offer(menu, grounds, self.add_examples)
        menu.addSeparator()
        menu.addAction(self.interpret.text()).triggered.connect(self._on_interpret)

    def _name_button(self, *_: object) -> None:
        """Say on the button how many places it takes: those that are selected, else all."""
        chosen, everything = len(self.view.rows()), self.model.rowCount()
        self.interpret.setVisible(bool(everything))
        text = translate_count("SearchPanel", "Interpret %n selected place(s)…", chosen)
        if not chosen:
            text = translate_count("SearchPanel", "Interpret these %n place(s)…", everything)
        self.interpret.setText(text)

    def _on_interpret(self, _: bool = False) -> None:
        scene = self._scene
        if scene is None or not is_there(scene):
            self._end(gone(scene.name if scene is not None else ""))
            return
        rows = self.view.rows() or range(self.model.rowCount())
        self._interpret(scene, self.model.ground_of(rows))
