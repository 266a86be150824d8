"""What a search is: its base configuration, its space and how trials are chosen and stopped."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recbole_darec.atomic import require_writable
from recbole_darec.command_line import parse_command_line
from recbole_darec.experiment.files import PLAN, SEARCH, write_text
from recbole_darec.experiment.plan import COMPARED_BY
from recbole_darec.experiment.search_options import SearchOptions
from recbole_darec.experiment.search_space import (
    Dimension,
    chosen_space,
    declared_space,
    parse_space,
)
from recbole_darec.keys import ConfigError, nearest
from recbole_darec.known_keys import all_key_names
from recbole_darec.yaml_file import config_files

FILE_NAME = SEARCH


@dataclass(frozen=True)
class Search:
    """A search, complete but for its folder.

    Attributes:
        parameters: configuration that all trials share, paths absolute.
        space: searched keys in the syntax of ``hyper.test``.
        options: how trials are chosen and stopped, and what they run on.
        epochs: of a full run.
        eval_step: epochs from one validation to the next.
        metric: name of the validation metric.
        bigger: whether it should be large.
    """

    parameters: dict[str, Any]
    space: dict[str, str]
    options: SearchOptions
    epochs: int
    eval_step: int
    metric: str
    bigger: bool

    @classmethod
    def of(cls, args: argparse.Namespace, options: SearchOptions) -> Search:
        """From the command line of ``tune``; every key and corner of the space is checked.

        Raises:
            ConfigError: naming what is wrong; before any trial.
        """
        from recbole_darec.config import Config

        files = config_files(args.config_files)
        given = parse_command_line(args.keys)
        config = Config(args.model, args.dataset, files, given)
        backbone = config["backbone"] if config.has_backbone else None
        space = chosen_space(declared_space(config.model, backbone), args.space)
        _check_keys(space)
        _check_corners(args, files, given, parse_space(space))
        if not 0 < config["eval_step"] <= config["epochs"]:
            raise ConfigError("a search needs validation: set eval_step between 1 and epochs")
        return cls(
            parameters=_shared(config),
            space={key: str(text) for key, text in space.items() if text is not None},
            options=options,
            epochs=config["epochs"],
            eval_step=config["eval_step"],
            metric=config["valid_metric"],
            bigger=config["valid_metric_bigger"],
        )

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """The searched keys."""
        return parse_space(self.space)

    def ray_space(self) -> dict[str, Any]:
        """Ray Tune's ``param_space``.

        Raises:
            ConfigError: if a grid is asked of a continuous dimension.
        """
        grid = self.options.searcher == "grid"
        return {key: dimension.domain(grid) for key, dimension in self.dimensions.items()}

    def mutations(self) -> dict[str, Any]:
        """What population-based training may change, as Ray takes it: choices by their order."""
        return {
            key: list(dimension.values) if dimension.kind == "choice" else dimension.domain(False)
            for key, dimension in self.dimensions.items()
        }

    def admissible(self, sampled: Mapping[str, Any]) -> dict[str, Any]:
        """Changed values, back within their bounds."""
        dimensions = self.dimensions
        return {key: dimensions[key].nearest(value) for key, value in sampled.items()}

    @property
    def interval(self) -> int:
        """Validations before a trial may be stopped, or from one exchange to the next."""
        return min(self.options.grace_period, self.n_validations)

    @property
    def mode(self) -> str:
        """Ray's word for the direction of the metric."""
        return "max" if self.bigger else "min"

    @property
    def n_validations(self) -> int:
        """Validations of a full run."""
        return self.epochs // self.eval_step

    def validation(self, epoch: int) -> int:
        """How many validations a run has made after an epoch (counted from 0)."""
        return (epoch + 1) // self.eval_step

    def parameters_of(self, sampled: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration of a trial."""
        dimensions = self.dimensions
        plain = {key: dimensions[key].plain(value) for key, value in sampled.items()}
        return {**self.parameters, **plain}

    @staticmethod
    def check_output(output: Path) -> None:
        """See that a folder can take a new search; makes nothing.

        Raises:
            ConfigError: if it cannot be written or holds a search or other runs already.
        """
        if (output / FILE_NAME).is_file():
            raise ConfigError(
                f"{output} holds a search already: --resume goes on with it, or choose another "
                "--output"
            )
        if (output / PLAN).is_file():
            raise ConfigError(f"{output} holds runs of compare or ablate; choose another --output")
        require_writable(output)

    def save(self, output: Path) -> None:
        """Keep the search in its folder.

        Raises:
            ConfigError: if the folder cannot be written or holds a search already.
        """
        self.check_output(output)
        write_text(output / FILE_NAME, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, output: Path) -> Search:
        """Read the search of a folder.

        Raises:
            ConfigError: if there is none, or it cannot be read.
        """
        file = output / FILE_NAME
        if not file.is_file():
            raise ConfigError(f"{output} holds no search to resume: it has no {FILE_NAME}")
        try:
            content = json.loads(file.read_text("utf-8"))
            return cls(**{**content, "options": SearchOptions(**content["options"])})
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{file} is damaged: {error}") from error

    def require_same(self, other: Search, output: Path) -> None:
        """See that a resumed search is the one that was asked for; the cluster may be another.

        Raises:
            ConfigError: naming what differs.
        """
        mine, theirs = (_comparable(search) for search in (self, other))
        changed = [name for name in mine if mine[name] != theirs[name]]
        if changed:
            raise ConfigError(
                f"{output} holds another search: {', '.join(changed)} differ from what is given. "
                "Choose another --output, or resume it by --resume --output alone"
            )


def _comparable(search: Search) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(asdict(search)))
    options = content.pop("options")
    options.pop("ray_address")
    return {**content, **options}


def _shared(config: Any) -> dict[str, Any]:
    """What was given, not what follows from it: a trial may choose another backbone."""
    from recbole_darec.config import _PATH_KEYS

    resolved = config.resolved()
    given = {key: resolved[key] for key in config.external_config_dict if key in resolved}
    paths = {key: resolved[key] for key in _PATH_KEYS if resolved.get(key)}
    shared = {**given, **paths, "model": config.model, "dataset": config.dataset}
    shared.pop("checkpoint_dir", None)
    return shared


def _check_keys(space: Mapping[str, Any]) -> None:
    """Refuse what would let trials win by another measure, other data or a longer run."""
    left_out = [key for key, text in space.items() if text is None]
    for key in left_out:
        if key not in all_key_names():
            raise ConfigError(
                f"search space: key '{key}' does not exist{nearest(key, all_key_names())}"
            )
    alone = {*COMPARED_BY, "valid_metric", "seed", "epochs", "eval_step", "checkpoint_dir"}
    for key in sorted(alone & space.keys() - left_out):
        raise ConfigError(
            f"search space: '{key}' cannot be searched, as trials that differ in it cannot be "
            f"compared; give --{key} for all of them"
        )


def _check_corners(
    args: argparse.Namespace,
    files: Sequence[str],
    given: Mapping[str, str],
    dimensions: Mapping[str, Dimension],
) -> None:
    from recbole_darec.config import Config
    from recbole_darec.data.side_configuration import check_side_configuration

    first = {key: dimension.corners()[0] for key, dimension in dimensions.items()}
    unread = {*given, *first}
    for key, dimension in dimensions.items():
        for value in _distinct(dimension.corners()):
            chosen = {**given, **first, key: value}
            try:
                config = Config(args.model, args.dataset, files, chosen)
                check_side_configuration(config)
            except ConfigError as error:
                raise ConfigError(f"search space, {key} = {value!r}: {error}") from error
            unread &= set(config.unread_keys())
    for key in sorted(unread):
        where = "search space: " if key in dimensions else ""
        raise ConfigError(where + config.unread_message(key))


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for i, value in enumerate(values) if value not in values[:i]]
