"""Code that needs neither QGIS nor Qt."""
