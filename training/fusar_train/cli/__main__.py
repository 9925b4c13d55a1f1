"""``python -m fusar_train.cli``, as ``torchrun -m`` starts it."""

import sys

from fusar_train.cli import main

sys.exit(main())
