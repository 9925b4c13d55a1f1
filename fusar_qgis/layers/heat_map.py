"""The heat map of a search as a GeoTIFF and as a layer that leaves the scene visible."""
