"""Which configuration keys exist: RecBole's, ours, and those of registered parts."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from recbole_darec.embedding.keys import KEYS as EMBEDDING_KEYS
from recbole_darec.keys import Key
from recbole_darec.paths import properties_dir
from recbole_darec.registry import FAMILIES, parts

# Keys of RecBole whose wrong values otherwise surface as tracebacks from deep inside.
RECBOLE_KEYS: Mapping[str, Key] = {
    "seed": Key(int, low=0, high=2**32 - 1),
    "epochs": Key(int, low=0),
    "train_batch_size": Key(int, low=1),
    "learning_rate": Key(float, low=0, open_low=True),
    "weight_decay": Key(float, low=0),
    "eval_step": Key(int, low=0),
    "stopping_step": Key(int, low=0),
    "eval_batch_size": Key(int, low=1),
    "metric_decimal_place": Key(int, low=0),
    "use_gpu": Key(bool),
    "reproducibility": Key(bool),
    "show_progress": Key(bool),
    "checkpoint_dir": Key(str),
    "data_path": Key(str),
    "metrics": Key(list),
    "valid_metric": Key(str),
    "topk": Key(list),
    "benchmark_filename": Key(list, optional=True),
    "load_col": Key(dict, optional=True),
    "val_interval": Key(dict, optional=True),
    "learner": Key(str, choices=("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam")),
    "state": Key(str, choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
}

OWN_KEYS: Mapping[str, Key] = {
    "resume": Key(str, optional=True),
    "allow_pickle": Key(bool),
    "save_per_user": Key(bool),
    "mask_valid_at_test": Key(bool),
    "protocol": Key(
        str,
        choices=lambda: tuple(sorted(f.stem for f in (properties_dir() / "protocol").glob("*"))),
    ),
}

RECOMMENDER_KEYS: Mapping[str, Key] = {
    "backbone": Key(str),
    "embedding_size": Key(int, low=1, high=4096),
}


@cache
def recbole_key_names() -> frozenset[str]:
    """Every key that RecBole declares in a yaml or reads in its code."""
    spec = importlib.util.find_spec("recbole")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0])
    names: set[str] = set()
    for file in root.glob("properties/**/*.yaml"):
        names.update(re.findall(r"^(\w+)\s*:", file.read_text(encoding="utf-8"), re.M))
    for file in root.glob("**/*.py"):
        text = file.read_text(encoding="utf-8")
        names.update(re.findall(r"""config\[\s*["']([\w-]+)["']\s*\]""", text))
    of_the_script = {"model", "dataset", "config_files", "nproc", "world_size", "ip", "port"}
    return frozenset(names) | of_the_script | {"group_offset"}


@cache
def declared_keys() -> Mapping[str, Key]:
    """Every key whose type and range are declared, whichever model is chosen."""
    keys = {**RECBOLE_KEYS, **OWN_KEYS, **RECOMMENDER_KEYS, **EMBEDDING_KEYS}
    for family in FAMILIES:
        for part in parts(family).values():
            keys |= part.load().keys
    return keys


@cache
def all_key_names() -> frozenset[str]:
    """Every admissible key, whichever model is chosen."""
    return recbole_key_names() | declared_keys().keys()
