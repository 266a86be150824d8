"""Peak memory of encoding a large catalogue, with an encoder that costs nothing.

    python benchmarks/embed_memory.py [--rows 2000000] [--dim 32] [--length 200]

Writes a file of items, encodes all of its texts into a store, then finds all of them there, and
prints seconds and the growth of the resident set over what the imports take.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recbole_darec.embedding.encode import encode_missing
from recbole_darec.embedding.store import EmbeddingStore
from recbole_darec.embedding.text import template_source


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
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
        }
        size = (root / "big.item").stat().st_size / 1e6
        print(f"{arguments.rows} rows, {size:.0f} MB of text; {peak():.0f} MB after imports")
        encoder = CheapEncoder(arguments.dim)
        store = EmbeddingStore(root / "store", encoder.name, encoder.specification)
        for what in ("encode all", "find all"):
            before, start = peak(), time.perf_counter()
            found = encode_missing(encoder, store, template_source(config, "item"))
            seconds = time.perf_counter() - start
            print(f"{what}: {seconds:.0f} s, peak {peak():.0f} MB ({peak() - before:+.0f} MB)")
            assert found.n_different == arguments.rows
            del found


if __name__ == "__main__":
    main()
