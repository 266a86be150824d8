"""Checks of RecBole's own keys whose wrong values it ignores or meets with a traceback."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Collection, Iterable, Mapping
from logging import getLogger
from typing import Any

from recbole_darec.keys import ConfigError, Key, nearest

_LEAVE_ONE_OUT = ("valid_and_test", "valid_only", "test_only")
_ORDERS = ("RO", "TO")
_MODE = re.compile(r"full|labeled|(uni|pop)[1-9]\d*")
_INTERVAL = re.compile(r"[\[(]([^,\[\]()]+),([^,\[\]()]+)[\])]")
INTERVAL_KEYS = (
    "user_inter_num_interval",
    "item_inter_num_interval",
    "entity_kg_num_interval",
    "relation_kg_num_interval",
)
_OF_VALUES = {"auc", "mae", "rmse", "logloss"}
_WITHOUT_CUT = {*_OF_VALUES, "gauc"}
_CLIPPING = {"max_norm": Key(float, low=0, open_low=True), "norm_type": Key(float, low=0)}
_NEGATIVES = {
    "distribution": Key(str, choices=("uniform", "popularity", "None"), optional=True),
    "sample_num": Key(int, low=1),
    "alpha": Key(float, low=0),
    "dynamic": Key(bool),
    "candidate_num": Key(int, low=0),
}


def check_recbole_values(final: Mapping[str, Any]) -> None:
    """Refuse what RecBole would ignore or stumble over, before any work.

    Args:
        final: all keys and values; those of a list or dict type have it.

    Raises:
        ConfigError: naming the key and what it expects.
    """
    _check_lists(final)
    _check_metrics(final)
    _check_fields(final)
    _check_columns(final)
    _check_eval_args(final)
    for key in INTERVAL_KEYS:
        _check_interval(f"key '{key}'", final.get(key))
    for field, value in (final.get("val_interval") or {}).items():
        if not isinstance(value, (list, tuple)):  # a token field's admissible values
            _check_interval(f"key 'val_interval' of '{field}'", value)
    _check_negatives(final["train_neg_sample_args"])
    _check_clipping(final.get("clip_grad_norm"))
    if final.get("transform"):
        raise ConfigError(
            f"key 'transform' is {final['transform']!r}: RecBole's transforms are of sequences, "
            "and its user_defined does nothing; leave it out"
        )
    try:
        codecs.lookup(final.get("encoding") or "utf-8")
    except LookupError as error:
        raise ConfigError(
            f"key 'encoding' is {final['encoding']!r}; expected one of Python's, such as utf-8"
        ) from error


def _check_lists(final: Mapping[str, Any]) -> None:
    if not final["metrics"] or not all(isinstance(name, str) for name in final["metrics"]):
        raise ConfigError(
            f"key 'metrics' is {final['metrics']}; expected a list of names, such as [Recall, NDCG]"
        )
    cuts = final["topk"]
    if not cuts or not all(type(k) is int and k > 0 for k in cuts):
        raise ConfigError(f"key 'topk' is {cuts}; expected whole numbers above 0, such as [10, 20]")
    for key, values in (("metrics", [name.lower() for name in final["metrics"]]), ("topk", cuts)):
        if len(set(values)) < len(values):
            raise ConfigError(
                f"key '{key}' is {final[key]}, which holds a value twice; give each once"
            )

    files = final.get("benchmark_filename")
    if files and (len(files) != 3 or not all(isinstance(name, str) for name in files)):
        raise ConfigError(
            f"key 'benchmark_filename' is {files}; expected the suffixes of three files, of "
            "training, validation and test, such as [train, valid, test]"
        )


def computed_metrics(final: Mapping[str, Any]) -> set[str]:
    """Names of the metrics that an evaluation gives, in lower case: ``recall@10``, ``auc``."""
    names = {name.lower() for name in final["metrics"]}
    cut = {f"{name}@{k}" for name in names - _WITHOUT_CUT for k in final["topk"]}
    return cut | (names & _WITHOUT_CUT)


def _check_metrics(final: Mapping[str, Any]) -> None:
    """Names that RecBole knows, all of values or all of rankings, that fit what is evaluated."""
    from recbole.evaluator.register import metric_types

    for name in final["metrics"]:
        if name.lower() not in metric_types:
            raise ConfigError(
                f"key 'metrics': '{name}' does not exist{nearest(name, metric_types)}; there are "
                f"{', '.join(sorted(metric_types))}"
            )
    of_values = [name for name in final["metrics"] if name.lower() in _OF_VALUES]
    if of_values and len(of_values) < len(final["metrics"]):
        raise ConfigError(
            f"key 'metrics' is {final['metrics']}: {', '.join(of_values)} are of values, the "
            "others of rankings, and RecBole evaluates one kind a run; leave out one of them"
        )
    modes = _modes(final["eval_args"].get("mode", "full"))
    if of_values and "full" in modes:
        raise ConfigError(
            f"key 'metrics': {', '.join(of_values)} are of values, which mode full of eval_args "
            "has none of; set mode to labeled, or to uniN or popN (uni100)"
        )


def _modes(mode: Any) -> Collection[Any]:
    """The evaluation modes of validation and test."""
    return mode.values() if isinstance(mode, dict) else (mode,)


def _check_fields(final: Mapping[str, Any]) -> None:
    names: dict[str, str] = {}
    for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "LABEL_FIELD"):
        if (first := names.setdefault(final[key], key)) != key:
            raise ConfigError(
                f"keys '{first}' and '{key}' are both '{final[key]}'; name two columns"
            )
    for key in ("field_separator", "seq_separator"):
        if not final[key]:
            raise ConfigError(f"key '{key}' is empty; give the character between two entries")
    columns = interaction_columns(final) or []
    negative = final["NEG_PREFIX"] + final["ITEM_ID_FIELD"]
    if not final["NEG_PREFIX"] or negative in columns:
        raise ConfigError(
            f"key 'NEG_PREFIX' is '{final['NEG_PREFIX']}': negative items would take the name of a "
            f"column, '{negative}'; set another, such as neg_"
        )


def _check_columns(final: Mapping[str, Any]) -> None:
    for key in ("load_col", "unload_col", "unused_col"):
        for file, columns in (final.get(key) or {}).items():
            if not isinstance(columns, (list, tuple)) and columns != "*":
                raise ConfigError(
                    f"key '{key}' of '{file}' is {columns!r}; expected a list of columns, such as "
                    f"{{'{file}': ['{columns}']}}"
                )
    for name in (final["USER_ID_FIELD"], final["ITEM_ID_FIELD"]):
        if name in (final.get("unused_col") or {}).get("inter", ()):
            raise ConfigError(
                f"key 'unused_col' of 'inter' holds '{name}', which every model reads; leave it out"
            )
    loaded = final.get("load_col")
    if loaded is not None and "inter" not in loaded:
        raise ConfigError(
            f"key 'load_col' is {loaded}, without columns of the interactions; add "
            f"'inter': ['{final['USER_ID_FIELD']}', '{final['ITEM_ID_FIELD']}']"
        )
    columns = interaction_columns(final)
    for key in ("USER_ID_FIELD", "ITEM_ID_FIELD"):
        if columns is not None and final[key] not in columns:
            raise ConfigError(
                f"key 'load_col' loads {columns} of the interactions, without '{final[key]}' "
                f"({key}); add it"
            )


def interaction_columns(final: Mapping[str, Any]) -> list[str] | None:
    """Columns of the interactions that are loaded, None for all."""
    if final["load_col"] is None:
        return None
    columns = final["load_col"].get("inter", [])
    return None if columns == "*" else list(columns)


def _check_eval_args(final: Mapping[str, Any]) -> None:
    args = final["eval_args"]
    _check_names("eval_args", args, ("split", "order", "group_by", "mode"))
    _check_split(args.get("split", {"RS": [8, 1, 1]}), args.get("order"))
    order, group_by = args.get("order", "RO"), args.get("group_by", "user")
    if order not in _ORDERS:
        raise ConfigError(f"key 'eval_args': order is {order!r}; expected RO (random) or TO (time)")
    if group_by != "user" and str(group_by).lower() != "none":
        raise ConfigError(f"key 'eval_args': group_by is {group_by!r}; expected user or none")
    _check_mode(args.get("mode", "full"))
    _warn_of_few_sampled(final)
    _check_labeled(final)
    time, columns = final["TIME_FIELD"], interaction_columns(final)
    by_files = bool(final.get("benchmark_filename"))
    if order == "TO" and not by_files and columns is not None and time not in columns:
        raise ConfigError(
            f"key 'eval_args' orders by time, but load_col leaves out '{time}': load it, as in "
            f"--load_col=\"{{'inter': {[*columns, time]}}}\""
        )


def has_part(final: Mapping[str, Any], phase: str) -> bool:
    """Whether ``eval_args`` or the benchmark files ask for a part ``valid`` or ``test``."""
    if final["benchmark_filename"]:
        return True
    ((_, shares),) = final["eval_args"]["split"].items()
    if isinstance(shares, list):
        return bool(shares[1 if phase == "valid" else 2])
    return shares in ("valid_and_test", f"{phase}_only")


def _check_split(split: Any, order: Any) -> None:
    if isinstance(split, dict) and set(split) == {"TS"}:
        _check_time_split(split["TS"], order)
        return
    if not isinstance(split, dict) or len(split) != 1 or not {"RS", "LS"} & split.keys():
        raise ConfigError(
            f"key 'eval_args': split is {split!r}; expected {{'RS': [0.8, 0.1, 0.1]}} (ratios) or "
            "{'LS': 'valid_and_test'} (leave one out)"
        )
    if "LS" in split and split["LS"] not in _LEAVE_ONE_OUT:
        raise ConfigError(
            f"key 'eval_args': LS is {split['LS']!r}; expected {', '.join(_LEAVE_ONE_OUT)}"
        )
    _check_ratios("RS", split.get("RS", [1, 0, 0]))


def _check_ratios(name: str, ratios: Any) -> None:
    numbers = isinstance(ratios, list) and len(ratios) == 3 and all(map(_is_share, ratios))
    if not numbers or ratios[0] == 0:
        raise ConfigError(
            f"key 'eval_args': {name} is {ratios!r}; expected a list of the shares of training, "
            "validation and test, such as [0.8, 0.1, 0.1], none negative, the first above 0"
        )


def _check_time_split(ratios: Any, order: Any) -> None:
    from recbole.data.dataset import Dataset

    _check_ratios("TS", ratios)
    if not hasattr(Dataset, "time_based_split"):
        raise ConfigError(
            "key 'eval_args': the split TS is of RecBole 1.2.1; install that, or use RS or LS"
        )
    if order != "TO":
        # RecBole masks a user's unsorted interactions by their sorted times.
        raise ConfigError(
            f"key 'eval_args': TS with order {order!r} would train on interactions after the "
            "split's time; set order: TO"
        )


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _check_mode(mode: Any) -> None:
    if isinstance(mode, dict):
        _check_names("eval_args': 'mode", mode, ("valid", "test"))
    for value in _modes(mode):
        if not isinstance(value, str) or not _MODE.fullmatch(value):
            raise ConfigError(
                f"key 'eval_args': mode is {value!r}; expected full, uniN or popN with a number N "
                "of sampled items (uni100), or labeled"
            )


def _warn_of_few_sampled(final: Mapping[str, Any]) -> None:
    """Of a list with all candidates in it every positive item is found."""
    largest = max(final["topk"])
    for mode in set(map(str, _modes(final["eval_args"].get("mode")))):
        if mode.startswith(("uni", "pop")) and int(mode[3:]) < largest:
            getLogger().warning(
                f"mode {mode} of eval_args ranks {mode[3:]} sampled items, fewer than the largest "
                f"topk, {largest}: every positive item is among the first {largest}"
            )


def _check_labeled(final: Mapping[str, Any]) -> None:
    """Labels are evaluated by the metrics of values, and have to be there."""
    if "labeled" not in _modes(final["eval_args"].get("mode")):
        return
    ranking = [name for name in final["metrics"] if name.lower() not in _OF_VALUES]
    if ranking:
        raise ConfigError(
            f"key 'eval_args': mode labeled has no ranking, which {', '.join(ranking)} of key "
            "'metrics' need; use AUC, MAE, RMSE or LogLoss, or another mode"
        )
    label, columns = final["LABEL_FIELD"], interaction_columns(final)
    if not final.get("threshold") and columns is not None and label not in columns:
        raise ConfigError(
            f"key 'eval_args': mode is labeled, but load_col leaves out '{label}': load it, or set "
            "threshold, which makes it of another column"
        )


def _check_interval(what: str, value: Any) -> None:
    if value is None:
        return
    for part in str(value).split(";"):
        match = _INTERVAL.fullmatch(part.strip())
        try:
            sound = match is not None and float(match[1]) <= float(match[2])
        except ValueError:
            sound = False
        if not sound:
            raise ConfigError(
                f'{what} is {value!r}; expected an interval: "[5,inf)" is 5 and more, '
                '"(0,3]" above 0 and up to 3; several stand behind each other with ";"'
            )


def _check_negatives(args: Mapping[str, Any] | None) -> None:
    if args is None:
        return
    _check_names("train_neg_sample_args", args, _NEGATIVES)
    drawn = args.get("distribution", "uniform") not in (None, "None")
    for name, value in args.items():
        if drawn or name == "distribution":
            _NEGATIVES[name].check(f"train_neg_sample_args: {name}", value)
    if drawn and args.get("dynamic") and not args.get("candidate_num"):
        raise ConfigError(
            "key 'train_neg_sample_args': dynamic needs a candidate_num above 0, the items that "
            "the hardest is chosen from"
        )


def _check_names(key: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            near = nearest(str(name), known)
            raise ConfigError(f"key '{key}' has no '{name}'{near}; it holds {', '.join(known)}")


def _check_clipping(clipping: Mapping[str, Any] | None) -> None:
    if clipping:
        _check_names("clip_grad_norm", clipping, ("max_norm", "norm_type"))
        for name, value in {"max_norm": None, **clipping}.items():
            value = math.inf if (name, value) == ("norm_type", "inf") else value
            _CLIPPING[name].check(f"clip_grad_norm': '{name}", value)
