"""Short runs of this package's models on one device: prints what each came to as JSON.

Usage: ``python device_runs.py cpu|simulated FOLDER LIBRARY`` with a folder to write data and runs
into and the compiled ``simulated_device.cpp``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from recbole_darec.analysis.study import analyze
from recbole_darec.config import Config
from recbole_darec.load import load
from recbole_darec.quick_start import run_recbole_darec
from recbole_darec.recommend.new_items import NewItems, new_item_vectors
from recbole_darec.registry import BARE, parts


def own(family: str) -> list[str]:
    """Names of this package's parts, without those of others."""
    return [p.name for p in parts(family).values() if p.target.startswith("recbole_darec.")]


# Of RecBole's serving models those of tables; the device lacks ConvNCF's convolution and the COO
# graphs of the others.
BACKBONES = (
    *own("backbone"),
    *(f"recbole/{name}" for name in ("BPR", "ENMF", "LINE", "NeuMF", "SimpleX")),
)
NO_VECTORS = ("recbole/ENMF", "recbole/NeuMF")
VARIANTS: dict[str, dict[str, Any]] = {
    "sum": {"score": "sum"},
    "concat": {"score": "concat"},
    "anchor": {"anchor": "raw", "structure": "separate", "matching": "hungarian"},
    "batch": {"sampling": "batch", "reg": "all"},
    "protocol": {"protocol": "rlmrec"},
    "nodes": {"backbone": "SGL", "type": "ND", "view_interval": "step"},
    "walk": {"backbone": "SGL", "type": "RW"},
}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    f"{model} on {backbone}": (model, {"backbone": backbone})
    for backbone in BACKBONES
    for model in (BARE, *own("alignment"))
    if (model, backbone) != ("KAR", "recbole/SimpleX")
}
RUNS |= {f"DaRec, {variant}": ("DaRec", keys) for variant, keys in VARIANTS.items()}
RUNS |= {model: (model, {}) for model in own("standalone")}
SMALL = {
    "epochs": 2,
    "embedding_size": 8,
    "reg_weight": 0.01,
    "n_sampled": 16,
    "alignment_warmup": 3,
    "n_centers": 3,
    "gen_mask_ratio": 0.5,
    "n_intents": 4,
    "n_seeds": 2,
    "mask_depth": 1,
    "view_steps": 1,
    "mf_embedding_size": 8,
    "mlp_embedding_size": 8,
    "mlp_hidden_size": [8],
    "history_len": 5,
    "train_batch_size": 64,
    "eval_batch_size": 30,
    "state": "ERROR",
    "show_progress": False,
    "topk": [5],
    "metrics": ["Recall", "NDCG"],
    "valid_metric": "NDCG@5",
}


class Device:
    """What PyTorch asks of the module of a device."""

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    class device:  # noqa: N801 - PyTorch's own name for it
        def __init__(self, index: int) -> None: ...

        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...


def take(library: str) -> None:
    """Let every run be on the simulated device."""
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend("simulated", backend_module=Device())
    torch.ops.load_library(library)
    device = torch.device("simulated", 0)

    def chosen(self: Config) -> None:
        self.final_config_dict |= {
            "gpu_id": "0",
            "single_spec": True,
            "local_rank": 0,
            "use_gpu": True,
            "device": device,
        }

    Config._init_device = chosen


def write_data(folder: Path) -> np.ndarray:
    """A dataset of 40 users and 50 items, three of them without a vector."""
    rng = np.random.default_rng(3)
    pairs = sorted({tuple(pair) for pair in rng.integers(0, [40, 50], (600, 2)).tolist()})
    table = pd.DataFrame(pairs, columns=["user_id:token", "item_id:token"])
    (folder / "small").mkdir(exist_ok=True)
    table.to_csv(folder / "small" / "small.inter", sep="\t", index=False)
    ids = np.arange(3, 50).astype(str)
    vectors = rng.normal(size=(len(ids), 12)).astype(np.float32)
    np.savez(folder / "items.npz", ids=ids, embeddings=vectors)
    return vectors


def came_to(model: str, keys: dict[str, Any], vectors: np.ndarray) -> dict[str, Any]:
    """Losses, metrics and a new item of one run, whose analysis has to run through."""
    folder = run_recbole_darec(model, "small", config_dict=keys)["run_folder"]
    run = load(folder)
    analyze(run)
    numbers = [value for epoch in run.metrics["train_losses"] for value in epoch.values()]
    numbers += run.metrics["test_result"].values()
    if run.config.uses_text and keys.get("backbone") not in NO_VECTORS:
        new = NewItems(np.array(["new"]), np.array([""], dtype=object), vectors[:1])
        numbers += new_item_vectors(run, new)[0].tolist()
    return {"numbers": numbers, "device": next(run.model.parameters()).device.type}


def main() -> None:
    """Run all and print."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    if name == "simulated":
        take(sys.argv[3])
    torch.set_num_threads(1)
    vectors = write_data(folder)
    places = {
        "data_path": str(folder),
        "item_embedding_file": str(folder / "items.npz"),
        "checkpoint_dir": str(folder / f"saved-{name}"),
    }
    results = {}
    for title, (model, keys) in RUNS.items():
        try:
            results[title] = came_to(model, SMALL | places | keys, vectors)
        except Exception as error:
            results[title] = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
