"""``python -m fusar_gpt`` is ``fusar``."""

import sys

from fusar_gpt.cli import main

sys.exit(main())
