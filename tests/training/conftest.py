"""What every test of the training shares."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small models are fastest so, also beside other work.

    For a module, so that what its fixtures train has it too: on some processors two threads add in another order.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
