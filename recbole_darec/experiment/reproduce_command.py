"""``reproduce``: published numbers, ours beside theirs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from recbole_darec.command_line import parse_command_line
from recbole_darec.config import Config
from recbole_darec.experiment.published import Published, known
from recbole_darec.keys import ConfigError

DESCRIPTION = "Run published experiments and print our numbers beside theirs."
EXAMPLE = """\
Names are files of properties/experiment/, or yaml files of your own. Any --key=value but the model
and the backbone stands above what the file says. Runs that several of them share are trained once.
Exit status 1 if a judged metric is out of its tolerance. Examples:
  run_recbole_darec.py reproduce --list
  run_recbole_darec.py reproduce rlmrec-amazon-book-lightgcn --data_path=DATA --seeds=2023
  run_recbole_darec.py reproduce --all --data_path=DATA
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``reproduce``."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="published results to run")
    parser.add_argument("--all", action="store_true", help="all that come with this package")
    parser.add_argument("--list", action="store_true", help="show their names and sources and stop")
    parser.add_argument("--seeds", help="separated by commas, in the place of the file's")
    parser.add_argument("--dry_run", action="store_true", help="check and show the runs and stop")


def main(args: argparse.Namespace) -> int:
    """Run ``reproduce``.

    Args:
        args: of ``add_arguments``; ``args.keys`` holds the remaining ``--key=value``.

    Returns:
        0, or 1 if a judged metric is out of its tolerance.

    Raises:
        ConfigError: if a name, file or key is wrong; before any run.
    """
    if args.list:
        for name in known():
            print(f"{name}: {Published.load(name).source}")
        return 0
    names = known() if args.all else args.names
    if not names:
        raise ConfigError("say what to reproduce: names, or --all; --list shows them")
    results = [Published.load(name) for name in names]
    if any(key.startswith("--seed=") for key in args.keys):
        raise ConfigError("--seed would make every run the same; give the seeds by --seeds")
    _check_parts(results, args.keys)
    planned = {result.name: _seeds(args.seeds, result) for result in results}
    for result in results:
        _check_computed(result, Config(config_dict=result.config, command_line=args.keys))
    if args.dry_run:
        for result in results:
            print(f"{result.name}: seeds {planned[result.name]}, {dict(result.config)}")
        return 0
    done: dict[str, dict[str, Any]] = {}
    failed = [r.name for r in results if not _reproduce(r, planned[r.name], args.keys, done)]
    return 1 if failed else 0


def _check_parts(results: Sequence[Published], keys: Sequence[str]) -> None:
    given = parse_command_line(keys)
    for result in results:
        for key in {"model", "backbone"} & given.keys() & result.config.keys():
            if given[key] != result.config[key]:
                raise ConfigError(
                    f"--{key}={given[key]}, but experiment '{result.name}' was published for "
                    f"{key} '{result.config[key]}'; leave the key out, or write a yaml of your own"
                )


def _check_computed(result: Published, config: Config) -> None:
    computed = {f"{name}@{k}".lower() for name in config["metrics"] for k in config["topk"]}
    computed |= {name.lower() for name in config["metrics"]}
    lacking = sorted(set(result.expected) - computed)
    if lacking:
        raise ConfigError(
            f"experiment '{result.name}' expects {', '.join(lacking)}, which its run does not "
            "compute; set 'metrics' and 'topk'"
        )


def _seeds(given: str | None, result: Published) -> list[int]:
    if given is None:
        return result.seeds
    try:
        seeds = [int(seed) for seed in given.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds is '{given}'; expected numbers separated by commas") from None
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds is '{given}', which names a seed twice")
    return seeds


def _reproduce(
    result: Published, seeds: Sequence[int], keys: Sequence[str], done: dict[str, dict[str, Any]]
) -> bool:
    runs = []
    for seed in seeds:
        run = _run_once({**result.config, "seed": seed}, keys, done)
        runs.append([run["test_result"][metric] for metric in result.expected])
        print(f"{result.name}, seed {seed}: {run['run_folder']}", flush=True)
    values = np.array(runs)
    ours = dict(zip(result.expected, values.mean(axis=0).tolist(), strict=True))
    spread = values.std(axis=0, ddof=1) if len(runs) > 1 else np.full(len(ours), np.nan)
    print(_table(result, ours, spread.tolist(), len(runs)), flush=True)
    return result.reproduced(ours)


def _run_once(
    settings: dict[str, Any], keys: Sequence[str], done: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """The result of a run, from ``done`` where one of the same configuration has ended before."""
    from recbole_darec.quick_start import run_recbole_darec

    resolved = json.dumps(Config(config_dict=settings, command_line=keys).resolved())
    if resolved not in done:
        done[resolved] = run_recbole_darec(config_dict=settings, saved=False, command_line=keys)
    return done[resolved]


def _table(result: Published, ours: dict[str, float], spread: Sequence[float], n_seeds: int) -> str:
    """Markdown: published value, our mean and deviation, relative difference, verdict."""
    differences = result.differences(ours)
    lines = [
        f"\n{result.name}: {result.source}",
        f"| metric | theirs | ours ({n_seeds} seeds) | deviation | difference | |",
        "|---|---|---|---|---|---|",
    ]
    for (metric, theirs), deviation in zip(result.expected.items(), spread, strict=True):
        verdict = ""
        if metric in result.judged:
            verdict = "reproduced" if result.within(differences[metric]) else "NOT reproduced"
        lines.append(
            f"| {metric} | {theirs:.4f} | {ours[metric]:.4f} | {deviation:.4f} "
            f"| {differences[metric]:+.1%} | {verdict} |"
        )
    bound = "or better" if result.above_is_fine else "in both directions"
    return "\n".join([*lines, f"Tolerance {result.tolerance:.0%} {bound}.\n"])
