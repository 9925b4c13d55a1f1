"""What the plugin knows without QGIS or Qt: the endpoint, the request, the events and their wire format."""
