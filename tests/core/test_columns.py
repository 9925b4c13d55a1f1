"""The plugin's tables have the columns of the backend's, which it cannot import."""

from fusar_gpt.findings.geopackage import LAYERS
from fusar_qgis.core.columns import FINDING_COLUMNS


def test_the_columns_are_those_that_the_command_line_writes():
    assert FINDING_COLUMNS == LAYERS
