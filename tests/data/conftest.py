import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_darec.config import Config

Make = Callable[..., Config]
N_USERS, N_ITEMS = 30, 40


@pytest.fixture
def vectors() -> np.ndarray:
    """One vector per item of the toy dataset, and of ten items that nobody saw."""
    return np.random.default_rng(0).normal(size=(N_ITEMS + 10, 5)).astype(np.float32)


@pytest.fixture
def toy(tmp_path: Path, vectors: np.ndarray) -> Make:
    """Makes a Config of a small random dataset; item 'i<k>' has row k of ``vectors``."""
    generator = np.random.default_rng(1)
    folder = tmp_path / "toy"
    folder.mkdir()
    weights = 1 / np.arange(1, N_ITEMS + 1)
    lines = ["user_id:token\titem_id:token"]
    for user in range(N_USERS):
        size = int(generator.integers(3, 15))
        seen = generator.choice(N_ITEMS, size, replace=False, p=weights / weights.sum())
        lines += [f"u{user}\ti{item}" for item in seen]
    (folder / "toy.inter").write_text("\n".join(lines) + "\n")
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "v.ids.txt").write_text("\n".join(f"i{k}" for k in range(len(vectors))))

    def make(**changes: Any) -> Config:
        settings = {
            "data_path": str(tmp_path),
            "load_col": {"inter": ["user_id", "item_id"]},
            "val_interval": None,
            "item_embedding_file": str(tmp_path / "v.npy"),
            "embedding_dir": str(tmp_path / "store"),
            "use_gpu": False,
        }
        return Config("DaRec", "toy", config_dict=settings | changes)

    return make


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO):
        yield
