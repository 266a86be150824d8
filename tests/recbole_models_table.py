"""Print the table of docs/recbole-models.md: one epoch of every general recommender.

The data are the busiest users and items of ml-100k, so that the slowest model takes a minute.

Usage: ``python tests/recbole_models_table.py [MODEL ...]``
"""

from __future__ import annotations

import sys
import tempfile
from time import perf_counter

import recbole

from recbole_darec import compat
from recbole_darec.keys import ConfigError
from recbole_darec.quick_start import run_recbole_darec

KEYS = {
    "epochs": 1,
    "pretrain_epochs": 1,
    "num_clusters": 10,
    "user_inter_num_interval": "[200,inf)",
    "item_inter_num_interval": "[20,inf)",
    "use_gpu": False,
    "state": "ERROR",
}


def row(model: str, folder: str) -> str:
    """One line of the table, found by running the model."""
    keys = {**KEYS, "checkpoint_dir": folder}
    started = perf_counter()
    try:
        result = run_recbole_darec(model, "ml-100k", config_dict=keys, saved=False)
    except ConfigError as error:
        return f"| {model} | no: {error} | | |"
    ndcg = result["test_result"]["ndcg@10"]
    return f"| {model} | yes | {perf_counter() - started:.1f} | {ndcg:.4f} |"


def main() -> None:
    models = sys.argv[1:] or list(compat.general_recommenders())
    print(f"RecBole {recbole.__version__}\n")
    print("| model | trains | seconds | NDCG@10 |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            print(row(model, folder), flush=True)


if __name__ == "__main__":
    main()
