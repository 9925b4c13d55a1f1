"""QGIS layers: the SAR layer that goes in, and the styled layers of a run that come out."""
