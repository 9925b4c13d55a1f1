"""The settings that more than one part of the plugin asks QGIS for."""

BACKEND = "fusar/backend"  # which kind is used: a child of QGIS or a server
EXECUTABLE = "fusar/executable"
MODEL = "fusar/model"
PLACE = "fusar/results/place"
REVIEWER = "fusar/review/who"
TOKEN_FILE = "fusar/token_file"  # noqa: S105 - where a setting is, no secret
URL = "fusar/url"
