"""A SAR layer in the grey that the model sees: a style beside its own or, of complex numbers, a layer above it."""

from __future__ import annotations

from qgis.core import (
    QgsColorRampShader,
    QgsDataProvider,
    QgsLayerTreeLayer,
    QgsProject,
    QgsRasterLayer,
    QgsRasterShader,
    QgsRasterTransparency,
    QgsSingleBandPseudoColorRenderer,
)
from qgis.PyQt.QtGui import QColor

from .. import compat
from ..core.request import LayerRequest
from ..translation import translate
from .project_runs import runs_in
from .sar_file import GreyScale, SarFile
from .scene import PICTURE_OF

STYLE = "FUSAR-GPT"
_BEFORE = "fusar/style_before_grey"


def grey_scale(
    path: str, band: int | None, quantity: str | None = None, scale: float | None = None
) -> GreyScale:
    """Return how QGIS shows a file as the model sees it; for any thread. Raises SceneError."""
    return SarFile(path, band, quantity, scale).grey_scale()


def last_request(project: QgsProject, layer: QgsRasterLayer) -> LayerRequest | None:
    """Return the newest request about a layer whose findings are in the project."""
    runs = [run for run in runs_in(project) if run.request and run.request.layer_id == layer.id()]
    return max(runs, key=lambda run: str(run.run.get("started") or "")).request if runs else None


def picture_of(layer: QgsRasterLayer) -> QgsRasterLayer | None:
    """Return the layer that shows the complex numbers of ``layer``."""
    others = QgsProject.instance().mapLayers().values()
    return next((one for one in others if one.customProperty(PICTURE_OF) == layer.id()), None)


def is_shown(layer: QgsRasterLayer) -> bool:
    """Return whether the layer is shown in the model's grey."""
    return bool(layer.styleManager().currentStyle() == STYLE) or picture_of(layer) is not None


def show(layer: QgsRasterLayer, grey: GreyScale) -> None:
    """Show the layer in the model's grey.

    It gets a style of its own, the present one is kept. Of complex numbers a layer of their magnitudes is put above it.
    """
    if grey.magnitudes:
        _colour(_picture(layer, grey.magnitudes), grey)
        return
    styles = layer.styleManager()
    before = styles.currentStyle()
    if before != STYLE:
        styles.removeStyle(STYLE)
        styles.addStyleFromLayer(STYLE)
        styles.setCurrentStyle(STYLE)
        layer.setCustomProperty(_BEFORE, before)
    _colour(layer, grey)


def show_as_before(layer: QgsRasterLayer) -> None:
    """Show the layer as it was before :func:`show`."""
    picture = picture_of(layer)
    if picture is not None:
        QgsProject.instance().removeMapLayer(picture.id())
        return
    styles = layer.styleManager()
    before = str(layer.customProperty(_BEFORE) or "")
    others = [name for name in styles.styles() if name != STYLE]
    styles.setCurrentStyle(before if before in others else others[0])
    styles.removeStyle(STYLE)
    layer.triggerRepaint()


def _picture(layer: QgsRasterLayer, magnitudes: str) -> QgsRasterLayer:
    """Return the layer above ``layer`` that shows its magnitudes; what was there gets its source anew."""
    name = translate("ModelGrey", "{name} (as the model sees)").format(name=layer.name())
    picture = picture_of(layer)
    if picture is not None:
        picture.setDataSource(magnitudes, name, "gdal", QgsDataProvider.ProviderOptions())
        picture.setCrs(layer.crs())
        return picture
    project = QgsProject.instance()
    picture = QgsRasterLayer(magnitudes, name, "gdal")
    picture.setCrs(layer.crs())
    picture.setCustomProperty(PICTURE_OF, layer.id())
    project.addMapLayer(picture, False)
    node = project.layerTreeRoot().findLayer(layer.id())
    parent = project.layerTreeRoot() if node is None else node.parent()
    parent.insertChildNode(parent.children().index(node) if node else 0, QgsLayerTreeLayer(picture))
    return picture


def _colour(layer: QgsRasterLayer, grey: GreyScale) -> None:
    limits = grey.limits
    ramp = QgsColorRampShader(limits[0], limits[-1])
    ramp.setColorRampType(QgsColorRampShader.Type.Interpolated)
    ramp.setColorRampItemList(
        [
            QgsColorRampShader.ColorRampItem(number, QColor(level, level, level), f"{number:.4g}")
            for level, number in enumerate(limits)
        ]
    )
    shader = QgsRasterShader(limits[0], limits[-1])
    shader.setRasterShaderFunction(ramp)
    renderer = QgsSingleBandPseudoColorRenderer(layer.dataProvider(), grey.band, shader)
    unseen = QgsRasterTransparency()
    unseen.setTransparentSingleValuePixelList([compat.transparent(*gap) for gap in grey.gaps])
    renderer.setRasterTransparency(unseen)
    layer.setRenderer(renderer)
    layer.triggerRepaint()
