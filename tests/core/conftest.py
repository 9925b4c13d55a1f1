"""The plugin is no installed package: put the repository on the path for its pure core."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
