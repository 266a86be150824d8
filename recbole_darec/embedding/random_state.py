"""Leave the global random generators as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Restore Python's, NumPy's and PyTorch's global generators on leaving.

    Loading a transformer initialises weights before it overwrites them, which draws random
    numbers; without this, a first run (encoding) and a second one (vectors from the store) would
    split and train differently.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
