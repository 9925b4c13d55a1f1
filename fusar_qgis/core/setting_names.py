"""Keys of the settings that more than one module reads."""

BACKEND = "fusar/backend"  # which kind is used: a child of QGIS or a server
EXPORT_FOLDER = "fusar/export/folder"  # of the last export
EXECUTABLE = "fusar/executable"
LARGE_RUN = "fusar/run/large"  # chips above which a run asks before it goes on
MODEL = "fusar/model"
OTHER_RUNS = "fusar/runs/others"  # what happens on the map to the runs that are not selected
PLACE = "fusar/results/place"
PRIOR_NETWORK = "fusar/prior/network"  # may priors be fetched: always, never, or ask
RATES = "fusar/run/rates"  # chips a second of earlier runs, by their kind
REVIEWER = "fusar/review/who"
KEY_FILE = "fusar/token_file"  # named so for bandit, to which any "token" is a secret in the code
TORCH_INDEX = "fusar/torch_index"  # one more index in which pip looks for torch
URL = "fusar/url"
