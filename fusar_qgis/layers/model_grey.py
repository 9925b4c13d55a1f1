"""A raster layer's style that shows the grey that the model sees, beside the style that the layer had."""

from __future__ import annotations

from qgis.core import (
    QgsColorRampShader,
    QgsRasterLayer,
    QgsRasterShader,
    QgsSingleBandPseudoColorRenderer,
)
from qgis.PyQt.QtGui import QColor

from ..translation import translate
from .sar_file import SarFile
from .scene import SceneError

STYLE = "FUSAR-GPT"
_BEFORE = "fusar/style_before_grey"


def grey_limits(path: str, band: int | None) -> tuple[int, list[float]]:
    """Return the band, and the numbers as QGIS reads them that become grey 0 to 255; for any thread.

    Raises SceneError.
    """
    scene = SarFile(path, band)
    limits = scene.grey_limits()
    if limits is None:
        raise SceneError(
            translate(
                "ModelGrey",
                "“{path}” holds complex numbers, which QGIS cannot draw. Export their amplitude to see it; "
                "“Interpret SAR” works on the file as it is.",
            ).format(path=path)
        )
    return scene.band, limits


def is_shown(layer: QgsRasterLayer) -> bool:
    """Return whether the layer is shown in the model's grey."""
    return bool(layer.styleManager().currentStyle() == STYLE)


def show(layer: QgsRasterLayer, band: int, limits: list[float]) -> None:
    """Show the layer in the model's grey, in a style of its own; the present one is kept."""
    styles = layer.styleManager()
    before = styles.currentStyle()
    if before != STYLE:
        styles.removeStyle(STYLE)
        styles.addStyleFromLayer(STYLE)
        styles.setCurrentStyle(STYLE)
        layer.setCustomProperty(_BEFORE, before)
    ramp = QgsColorRampShader(limits[0], limits[-1])
    ramp.setColorRampType(QgsColorRampShader.Type.Interpolated)
    ramp.setColorRampItemList(
        [
            QgsColorRampShader.ColorRampItem(number, QColor(grey, grey, grey), f"{number:.4g}")
            for grey, number in enumerate(limits)
        ]
    )
    shader = QgsRasterShader(limits[0], limits[-1])
    shader.setRasterShaderFunction(ramp)
    layer.setRenderer(QgsSingleBandPseudoColorRenderer(layer.dataProvider(), band, shader))
    layer.triggerRepaint()


def show_as_before(layer: QgsRasterLayer) -> None:
    """Show the layer as it was before :func:`show`."""
    styles = layer.styleManager()
    before = str(layer.customProperty(_BEFORE) or "")
    others = [name for name in styles.styles() if name != STYLE]
    styles.setCurrentStyle(before if before in others else others[0])
    styles.removeStyle(STYLE)
    layer.triggerRepaint()
