"""Peak memory of encoding a large catalogue, with an encoder that costs nothing.

    python benchmarks/embed_memory.py [--rows 2000000] [--users 500000] [--dim 32] [--length 200]

Writes a file of items, encodes all of its texts into a store, then finds all of them there, then
encodes a text for each user from five random items, and prints seconds and the growth of the
resident set over what the imports take.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recbole_darec.embedding.encode import encode_missing
from recbole_darec.embedding.history import TrainingInteractions
from recbole_darec.embedding.source import text_source
from recbole_darec.embedding.store import EmbeddingStore
from recbole_darec.embedding.text import template_source
from recbole_darec.embedding.text_source import TextSource

_TAKEN = 5


class CheapEncoder:
    """Vectors from a checksum of the text."""

    def __init__(self, dim: int) -> None:
        self.name, self.specification = "checksum", {"dim": dim}
        self.chunk, self.concurrency, self.counts_exactly = 1024, 1, False
        self._dim = dim

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 ``(len(texts), dim)``."""
        sums = np.array([zlib.crc32(text.encode()) for text in texts], dtype=np.float64)
        return np.cos(sums[:, None] * np.arange(1, self._dim + 1)).astype(np.float32)

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int | None]:
        """Words."""
        return [text.count(" ") + 1 for text in texts], None


def peak() -> float:
    """Largest resident set of this process until now, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def write_items(path: Path, rows: int, length: int) -> None:
    """An atomic file whose texts are all different."""
    with path.open("w", encoding="utf-8") as file:
        file.write("item_id:token\ttext:token_seq\n")
        for row in range(rows):
            text = f"item number {row} ".ljust(length, "x")
            file.write(f"{row}\t{text}\n")


def users_texts(config: dict[str, Any], items: int, users: int) -> TextSource:
    """Texts of users from random items; the first item tells the users apart."""
    generator = np.random.default_rng(0)
    taken = generator.integers(0, items, (users, _TAKEN))
    taken[:, 0] = np.arange(users) % items
    interactions = TrainingInteractions(
        np.repeat(np.arange(users), _TAKEN),
        taken.ravel(),
        np.tile(-np.arange(_TAKEN), users),
        np.arange(users),
        np.arange(items),
    )
    return text_source(config, "user", "user_history_template", interactions)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--length", type=int, default=200, help="bytes of a text")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_items(root / "big.item", arguments.rows, arguments.length)
        config = {
            "data_path": folder,
            "dataset": "big",
            "ITEM_ID_FIELD": "item_id",
            "field_separator": "\t",
            "seq_separator": " ",
            "encoding": "utf-8",
            "item_template": "{text}",
            "item_embedding_file": None,
            "item_text_file": None,
            "user_history_template": "Saw {history}",
            "user_history_item": None,
            "user_history_items": _TAKEN,
            "user_history_order": "recent",
            "user_history_separator": "; ",
        }
        size = (root / "big.item").stat().st_size / 1e6
        print(f"{arguments.rows} rows, {size:.0f} MB of text; {peak():.0f} MB after imports")
        encoder = CheapEncoder(arguments.dim)
        store = EmbeddingStore(root / "store", encoder.name, encoder.specification)
        items, users = arguments.rows, arguments.users
        steps = {
            "encode all items": (items, lambda: template_source(config, "item")),
            "find all items": (items, lambda: template_source(config, "item")),
            "encode all users": (users, lambda: users_texts(config, items, users)),
        }
        for what, (count, source) in steps.items():
            before, start = peak(), time.perf_counter()
            found = encode_missing(encoder, store, source())
            seconds = time.perf_counter() - start
            print(f"{what}: {seconds:.0f} s, peak {peak():.0f} MB ({peak() - before:+.0f} MB)")
            assert found.n_different == count
            del found


if __name__ == "__main__":
    main()
