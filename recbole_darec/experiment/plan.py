"""Which runs an experiment consists of, kept in a file so that it can be resumed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_darec.command_line import parse_command_line
from recbole_darec.earlier import earlier_values
from recbole_darec.experiment.files import PLAN, SEARCH, write_text
from recbole_darec.experiment.variant import Variant, split_list
from recbole_darec.keys import ConfigError
from recbole_darec.known_keys import readers
from recbole_darec.yaml_file import read_yaml

if TYPE_CHECKING:
    from recbole_darec.config import Config

FILE_NAME = PLAN
DATASET_HELP = "names, separated by commas; default that of the config files, else ml-100k"
_MOST_SEEDS = 100
_LONGEST_NAME = 150  # bytes; file systems end at 255
_FILTERS = (
    "val_interval",
    "user_inter_num_interval",
    "item_inter_num_interval",
    "rm_dup_inter",
    "filter_inter_by_user_or_item",
    "benchmark_filename",
)
# What runs must have alike for their numbers to be compared.
COMPARED_BY = (
    "metrics",
    "topk",
    "eval_args",
    "mask_valid_at_test",
    "repeatable",
    *_FILTERS,
)


@dataclass(frozen=True)
class PlannedRun:
    """One run of an experiment.

    Attributes:
        name: of its folder.
        label: of its variant.
        dataset: name of the dataset.
        seed: seed of the split, the initial weights and the batches.
        parameters: the resolved configuration without ``checkpoint_dir``.
    """

    name: str
    label: str
    dataset: str
    seed: int
    parameters: dict[str, Any]


def datasets_of(option: str | None, files: Sequence[str]) -> list[str]:
    """Names of the datasets: those of ``--dataset``, else that of the config files, else ml-100k.

    Raises:
        ConfigError: if a name is empty or a file cannot be read.
    """
    contents = [read_yaml(file, "config file") for file in files]
    named = [content["dataset"] for content in contents if "dataset" in content]
    names = option if option is not None else (["ml-100k", *named])[-1]
    if not names:
        raise ConfigError("key 'dataset' is empty: give a name, or leave the key out")
    return split_list(str(names))


def make_plan(
    variants: Sequence[Variant],
    datasets: Sequence[str],
    seeds: str,
    config_files: Sequence[str] = (),
    command_line: Sequence[str] = (),
) -> list[PlannedRun]:
    """Every variant on every dataset with every seed, each configuration checked.

    Args:
        variants: the models.
        datasets: names.
        seeds: how many, counted from key ``seed``; or a comma-separated list of them
            (``7,`` is one seed).
        config_files: yaml files for all runs.
        command_line: ``--key=value`` for all runs.

    Raises:
        ConfigError: if any of the configurations is wrong; before any run.
    """
    common = parse_command_line(command_line)
    _refuse_names(common)
    runs, unread = [], set(common)
    for dataset in datasets:
        alike: dict[str, tuple[str, Any]] = {}
        for variant in variants:
            config = _configured(variant, dataset, config_files, common)
            unread.intersection_update(config.unread_keys())
            resolved = _resolved(config)
            _check_evaluated_alike(alike, config, variant.label)
            for seed in _seeds(seeds, int(resolved["seed"])):
                name = _folder_name(f"{dataset}-{variant.label}-{seed}")
                parameters = {**resolved, "seed": seed}
                runs.append(PlannedRun(name, variant.label, dataset, seed, parameters))
    if unread:
        key = min(unread)
        labels = ", ".join(variant.label for variant in variants)
        raise ConfigError(f"key '{key}' is read by none of {labels}; {readers(key)}")
    check_names(runs)
    return runs


def _folder_name(text: str) -> str:
    name = re.sub(r"[^\w.=-]+", "_", text).encode()
    if len(name) <= _LONGEST_NAME:
        return name.decode()
    start = name[: _LONGEST_NAME - 9].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(name).hexdigest()[:8]}"


def check_names(runs: Sequence[PlannedRun]) -> None:
    """See that each run has a folder of its own.

    Raises:
        ConfigError: if not.
    """
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"runs stand twice in the experiment: {', '.join(twice)}")


def _check_evaluated_alike(alike: dict[str, tuple[str, Any]], config: Config, label: str) -> None:
    """See that a variant is evaluated as those before it, which ``alike`` keeps."""
    for key in COMPARED_BY:
        value = config[key]
        if isinstance(value, list):  # their order does not matter
            value = sorted(value)
        first, theirs = alike.setdefault(key, (label, value))
        if theirs != value:
            raise ConfigError(
                f"key '{key}' is {theirs!r} for {first} and {value!r} for {label}, whose numbers "
                "could not be compared; set it for all of them"
            )


def _refuse_names(keys: Mapping[str, Any]) -> None:
    """What the experiment sets for each run itself."""
    if "checkpoint_dir" in keys:
        raise ConfigError("key 'checkpoint_dir' cannot be set here: the runs lie in --output")
    if "model" in keys:
        raise ConfigError(
            "key 'model' cannot be set here: compare takes its models from --models, and ablate "
            "from the 'model' of the yaml that describes the ablation"
        )
    if "dataset" in keys:
        raise ConfigError("key 'dataset' cannot be set here: the datasets stand in --dataset")


def _configured(
    variant: Variant, dataset: str, config_files: Sequence[str], common: Mapping[str, str]
) -> Config:
    from recbole_darec.config import Config
    from recbole_darec.data.side_configuration import check_side_configuration

    options = {"save_per_user": True, **common, **variant.options}
    try:
        _refuse_names(variant.options)
        if "seed" in variant.options:
            raise ConfigError("key 'seed' cannot be a model's own: all have those of --seeds")
        config = Config(variant.model, dataset, config_files, options)
        for key in variant.options.keys() & set(config.unread_keys()):
            raise ConfigError(config.unread_message(key))
        check_side_configuration(config)
    except ConfigError as error:
        raise ConfigError(f"{variant.label} on {dataset}: {error}") from error
    return config


def _resolved(config: Config) -> dict[str, Any]:
    from recbole_darec.recbole_values import has_part
    from recbole_darec.user_values import has_top_k

    if not has_top_k(config["metrics"]):
        raise ConfigError(
            f"none of metrics {config['metrics']} has a value for each user; add one of Recall, "
            "MRR, NDCG, Hit, Precision, MAP"
        )
    if not has_part(config, "test"):
        raise ConfigError(
            f"key 'eval_args' leaves no test part ({config['eval_args']['split']}), but the tables "
            "are made of it"
        )
    if not config["save_per_user"]:
        raise ConfigError(
            "key 'save_per_user' is False, but the tables are made of the users' values; leave it "
            "out"
        )
    resolved = config.resolved()
    resolved.pop("checkpoint_dir")
    return resolved


def _seeds(text: str, first: int) -> list[int]:
    try:
        numbers = [int(entry) for entry in text.removesuffix(",").split(",")]
    except ValueError as error:
        raise ConfigError(
            f"--seeds is '{text}'; expected a number of seeds, or seeds by commas ('7,' is seed 7)"
        ) from error
    if "," not in text and numbers[0] > _MOST_SEEDS:
        raise ConfigError(f"--seeds={text} asks for {text} seeds; for seed {text} write '{text},'")
    seeds = numbers if "," in text else [first + i for i in range(numbers[0])]
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds is '{text}'; expected at least one, none twice, none negative")
    return seeds


def save_plan(output: Path, runs: Sequence[PlannedRun], resume: bool) -> None:
    """Keep the plan in its folder, or see that the folder holds the same one.

    Raises:
        ConfigError: if the folder cannot be written, holds an experiment and ``resume`` is not
            given, or holds another experiment.
    """
    file = output / FILE_NAME
    if file.is_file():
        if not resume:
            raise ConfigError(
                f"{output} holds an experiment already: --resume goes on with it, or choose "
                "another --output"
            )
        _check_same(file, load_plan(output), runs)
        return
    if resume:
        raise ConfigError(f"{output} holds no experiment to resume: it has no {FILE_NAME}")
    if (output / SEARCH).is_file():
        raise ConfigError(f"{output} holds a search of tune; choose another --output")
    text = json.dumps([asdict(run) for run in runs], indent=1) + "\n"
    write_text(file, text, "--output")


def load_plan(output: Path) -> list[PlannedRun]:
    """Read the plan of an experiment's folder.

    Raises:
        ConfigError: if there is none, or it cannot be read.
    """
    file = output / FILE_NAME
    if not file.is_file():
        raise ConfigError(f"{output} holds no experiment to resume: it has no {FILE_NAME}")
    try:
        runs = [PlannedRun(**run) for run in json.loads(file.read_text("utf-8"))]
        for run in runs:
            run.parameters.update(earlier_values(run.parameters))
        return runs
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is damaged: {error}") from error


def _that_matter(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """All but how a placebo is made where there is none, which earlier plans do not say."""
    without = {"embedding_placebo_users"} if parameters.get("embedding_placebo") == "none" else ()
    return {key: value for key, value in parameters.items() if key not in without}


def _check_same(file: Path, old: Sequence[PlannedRun], new: Sequence[PlannedRun]) -> None:
    theirs, ours = ({run.name: _that_matter(run.parameters) for run in runs} for runs in (old, new))
    differences = [f"run {name} is in one of them only" for name in sorted(theirs.keys() ^ ours)]
    for name in sorted(theirs.keys() & ours):
        keys = sorted(theirs[name].keys() | ours[name])
        differences += [
            f"{key} of {name} is {theirs[name].get(key)!r} there and {ours[name].get(key)!r} here"
            for key in keys
            if theirs[name].get(key) != ours[name].get(key)
        ]
    if differences:
        more = f" (and {len(differences) - 3} more)" if len(differences) > 3 else ""
        raise ConfigError(
            f"{file} is of another experiment: {'; '.join(differences[:3])}{more}. Choose another "
            "--output"
        )
