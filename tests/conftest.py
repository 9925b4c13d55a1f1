"""What all tests share.

No test fetches a prior from a public network, though ``auto`` is the default; those that mean to, say so.
"""

import os
import signal

import pytest

os.environ["FUSAR_PRIOR_OFFLINE"] = "yes"


@pytest.fixture
def interruptible():
    """A shell has what it runs in the background ignore SIGINT, and so would all processes that a test starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
