"""Which configuration keys exist: RecBole's, ours, and those of registered parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from logging import getLogger
from pathlib import Path

from recbole_darec import compat
from recbole_darec.embedding.keys import KEYS as EMBEDDING_KEYS
from recbole_darec.keys import ConfigError, Key
from recbole_darec.paths import properties_dir
from recbole_darec.registry import BARE, FAMILIES, Part, parts, recbole_properties

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
    "unload_col": Key(dict, optional=True),
    "unused_col": Key(dict, optional=True),
    "val_interval": Key(dict, optional=True),
    "threshold": Key(dict, optional=True),
    "seq_len": Key(dict, optional=True),
    "preload_weight": Key(dict, optional=True),
    "discretization": Key(dict, optional=True),
    "normalize_all": Key(bool, optional=True),
    "normalize_field": Key(list, optional=True),
    "alias_of_user_id": Key(list, optional=True),
    "alias_of_item_id": Key(list, optional=True),
    "rm_dup_inter": Key(str, choices=("first", "last"), optional=True),
    "transform": Key(str, optional=True),
    "encoding": Key(str, optional=True),
    "clip_grad_norm": Key(dict, optional=True),
    "train_neg_sample_args": Key(dict, optional=True),
    "loss_decimal_place": Key(int, low=1),
    "tail_ratio": Key(float, low=0, open_low=True, optional=True),
    "nproc": Key(int, low=1, optional=True),
    "USER_ID_FIELD": Key(str),
    "ITEM_ID_FIELD": Key(str),
    "LABEL_FIELD": Key(str),
    "TIME_FIELD": Key(str, optional=True),
    "NEG_PREFIX": Key(str),
    "field_separator": Key(str),
    "seq_separator": Key(str),
    "worker": Key(int, low=0),
    "learner": Key(str, choices=("adam", "adamw", "sgd", "adagrad", "rmsprop")),
    "state": Key(str, choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), optional=True),
}

# Of RecBole's general recommenders, where they have them.
RECBOLE_MODEL_KEYS: Mapping[str, Key] = {
    "embedding_size": Key(int, low=1),
    "n_layers": Key(int, low=0),
    "reg_weight": Key(float, low=0),
    "dropout_prob": Key(float, low=0, high=1),
    "drop_ratio": Key(float, low=0, high=1, open_high=True),
    "node_dropout": Key(float, low=0, high=1, open_high=True),
    "message_dropout": Key(float, low=0, high=1, open_high=True),
    "type": Key(str, choices=("ED", "ND", "RW")),
    "order": Key(int, choices=(1, 2)),
    "num_clusters": Key(int, low=1),
    "m_step": Key(int, low=1),
    "warm_up_step": Key(int, low=0),
    # Weights whose defaults happen to be whole numbers.
    "negative_weight": Key(float),
    "w_max": Key(float),
    "resolution": Key(float),
}

USER_SOURCES = {"user_template", "user_text_file", "user_embedding_file", "user_history_template"}

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
_NUMBERS = {int, float}
_KEYS_OF_ALL = {**RECBOLE_KEYS, **OWN_KEYS, **RECOMMENDER_KEYS, **EMBEDDING_KEYS}

# What RecBole reads of any general recommender's run without a default in a yaml file.
_WITHOUT_DEFAULT = {"model", "dataset", "nproc", "encoding", "tail_ratio"}
# Of RecBole's script for several processes and machines; nothing here reads them.
_OF_THE_SCRIPT = {"config_files", "world_size", "ip", "port", "group_offset"}
_MOST_READERS = 6


@cache
def general_keys() -> frozenset[str]:
    """Keys that RecBole reads whichever general recommender is chosen."""
    properties = recbole_properties("").parents[1]
    files = (properties / "overall.yaml", properties / "dataset" / "sample.yaml")
    return frozenset(_WITHOUT_DEFAULT).union(*map(_names_in_yaml, files))


@cache
def recbole_model_keys(model: str) -> frozenset[str]:
    """Keys that a general recommender of RecBole has in its yaml or reads in its code.

    Empty for a name that is none of theirs.
    """
    if model not in compat.general_recommenders():
        return frozenset()
    file = recbole_properties(model)
    module = file.parents[2] / "model" / "general_recommender" / f"{model.lower()}.py"
    text = module.read_text("utf-8")
    bases = re.findall(r"^from recbole\.model\.general_recommender\.\w+ import (\w+)", text, re.M)
    names = re.findall(r"""config\[\s*["']([\w-]+)["']\s*\]""", text)
    return frozenset(names).union(_names_in_yaml(file), *map(recbole_model_keys, bases))


def _names_in_yaml(file: Path) -> list[str]:
    text = file.read_text("utf-8") if file.is_file() else ""
    return re.findall(r"^([\w-]+)\s*:", text, re.M)


@cache
def declared_keys() -> Mapping[str, Key]:
    """Every key whose type and range are declared, whichever model is chosen."""
    return {**_KEYS_OF_ALL, **part_keys()}


def keys_of(part: Part) -> Mapping[str, Key]:
    """The keys that a part declares.

    Raises:
        ConfigError: if a third party's cannot be loaded, or gives a key of RecBole or of this
            package another type, with which that key would be read for every other model.
    """
    keys: Mapping[str, Key] = part.load().keys
    for name, key in keys.items() if part.package else ():
        first = _keys_of_ours().get(name)
        if first is not None and first.kind is not key.kind and {first.kind, key.kind} != _NUMBERS:
            raise ConfigError(
                f"{part} declares key '{name}' as {key.describe()}, which elsewhere is "
                f"{first.describe()}; rename it there"
            )
    return keys


@cache
def _keys_of_ours() -> Mapping[str, Key]:
    ours = [part for family in FAMILIES for part in parts(family).values() if not part.package]
    return {name: key for part in ours for name, key in part.load().keys.items()} | _KEYS_OF_ALL


@cache
def part_keys() -> Mapping[str, Key]:
    """Every key that a registered part declares."""
    return {name: key for _, keys in _keys_by_part() for name, key in keys.items()}


def _keys_by_part() -> Iterator[tuple[str, Mapping[str, Key]]]:
    """Declared keys of each registered part by its name.

    A third party's part that cannot be used is left out with a warning: it must not stop models
    that do not use it.
    """
    for part in (part for family in FAMILIES for part in parts(family).values()):
        try:
            yield part.name, keys_of(part)
        except ConfigError as error:
            getLogger().warning(f"left out: {error}")


@cache
def all_key_names() -> frozenset[str]:
    """Every admissible key, whichever model is chosen."""
    of_models = map(recbole_model_keys, compat.general_recommenders())
    return general_keys().union(_OF_THE_SCRIPT, declared_keys(), *of_models)


def keys_of_users(part: Part | None) -> frozenset[str]:
    """The keys of users' texts where a standalone model has no use for them, else none."""
    if part is None or getattr(part.load(), "reads_user_texts", True):
        return frozenset()
    return frozenset(key for key in EMBEDDING_KEYS if key.startswith("user_"))


def readers(key: str) -> str:
    """In words, which parts and models of RecBole read a key that a chosen model does not."""
    alone = [name for name, part in parts("standalone").items() if key not in keys_of_users(part)]
    text_users = [*parts("alignment"), *alone]
    names = text_users if key in EMBEDDING_KEYS else []
    names = [*parts("alignment"), BARE] if key == "backbone" else names
    names = names or [name for name, keys in _keys_by_part() if key in keys]
    theirs = [m for m in compat.general_recommenders() if key in recbole_model_keys(m)]
    names += [f"RecBole's {model}" for model in theirs]
    if not names:
        return "no model reads it"
    more = f" and {len(names) - _MOST_READERS} more" if len(names) > _MOST_READERS else ""
    verb = "reads it" if len(names) == 1 else "read it"
    return f"{', '.join(names[:_MOST_READERS])}{more} {verb}"
