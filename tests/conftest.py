"""No test fetches a prior from a public network, though ``auto`` is the default; those that mean to, say so."""

import os

os.environ["FUSAR_PRIOR_OFFLINE"] = "yes"
