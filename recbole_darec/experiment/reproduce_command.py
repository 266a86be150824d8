"""``reproduce``: published numbers, ours beside theirs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_darec.command_line import parse_command_line
from recbole_darec.experiment.files import output_of, write_text
from recbole_darec.experiment.plan import PlannedRun, check_names, save_plan
from recbole_darec.experiment.published import Published, known
from recbole_darec.experiment.runner import Runner, add_runner_arguments, show_plan
from recbole_darec.keys import ConfigError
from recbole_darec.recbole_values import computed_metrics, has_part
from recbole_darec.sole_user import sole_user

if TYPE_CHECKING:
    from recbole_darec.config import Config

DESCRIPTION = "Run published experiments and print our numbers beside theirs."
EXAMPLE = """\
Names are files of properties/experiment/, or yaml files of your own. Any --key=value but the model,
the backbone and the dataset stands above what the file says. Runs that several of them share are
trained once. The same command with --resume goes on after a kill and tries failed runs again. Exit
status 1 if a run failed or a judged metric is out of its tolerance. Examples:
  run_recbole_darec.py reproduce --list
  run_recbole_darec.py reproduce rlmrec-amazon-book-lightgcn --data_path=DATA --seeds=2023
  run_recbole_darec.py reproduce --all --data_path=DATA --output results/published --workers 2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``reproduce``."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="published results to run")
    parser.add_argument("--all", action="store_true", help="all that come with this package")
    parser.add_argument("--list", action="store_true", help="show their names and sources and stop")
    parser.add_argument("--seeds", help="separated by commas, in the place of the file's")
    add_runner_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Run ``reproduce``.

    Args:
        args: of ``add_arguments``; ``args.keys`` holds the remaining ``--key=value``.

    Returns:
        0, or 1 if a run failed or a judged metric is out of its tolerance.

    Raises:
        ConfigError: if a name, file or key is wrong; before any run.
    """
    if args.names and (args.all or args.list):
        option = "--all" if args.all else "--list"
        raise ConfigError(
            f"{option} is of all that come with the package: leave out {', '.join(args.names)}"
        )
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
    planned = _plan(results, args.seeds, args.keys)
    output = output_of(args, "reproduce")
    return _carry_out(planned, Runner.of(args), output, args)


def _plan(
    results: Sequence[Published], seeds: str | None, keys: Sequence[str]
) -> list[tuple[Published, list[PlannedRun]]]:
    """The runs of each result; those of one configuration are one run."""
    runs: dict[str, PlannedRun] = {}
    planned = []
    for result in results:
        own = [_planned(result, seed, keys) for seed in _seeds(seeds, result)]
        planned.append((result, [runs.setdefault(json.dumps(r.parameters), r) for r in own]))
    check_names(list(runs.values()))
    return planned


def _planned(result: Published, seed: int, keys: Sequence[str]) -> PlannedRun:
    from recbole_darec.config import Config
    from recbole_darec.data.side_configuration import check_side_configuration

    config = Config(config_dict={**result.config, "seed": seed}, command_line=keys)
    check_side_configuration(config)
    _check_computed(result, config)
    parameters = config.resolved()
    del parameters["checkpoint_dir"]
    return PlannedRun(f"{result.name}-{seed}", result.name, config.dataset, seed, parameters)


def _carry_out(
    planned: Sequence[tuple[Published, list[PlannedRun]]],
    runner: Runner,
    output: Path,
    args: argparse.Namespace,
) -> int:
    from recbole_darec.experiment.results import write_runs

    runs = list({run.name: run for _, own in planned for run in own}.values())
    if args.dry_run:
        show_plan(runs, output)
        return 0
    runner.connect()
    save_plan(output, runs, args.resume)
    with sole_user(output):
        runner.run(runs, output)
        names = [run.name for run in runs]
        entries = dict(zip(names, write_runs(output, runs), strict=True))
        reports = [_report(r, [entries[run.name] for run in own], output) for r, own in planned]
        text = "\n".join(text for text, _ in reports)
        write_text(output / "table.md", text)
    print(f"{text}\ntables: {output}")
    return 0 if all(reproduced for _, reproduced in reports) else 1


def _check_parts(results: Sequence[Published], keys: Sequence[str]) -> None:
    given = parse_command_line(keys)
    for result in results:
        for key in {"model", "backbone", "dataset"} & given.keys() & result.config.keys():
            if given[key] != result.config[key]:
                raise ConfigError(
                    f"--{key}={given[key]}, but experiment '{result.name}' was published for "
                    f"{key} '{result.config[key]}'; leave the key out, or write a yaml of your own"
                )


def _check_computed(result: Published, config: Config) -> None:
    if not has_part(config, "test"):
        raise ConfigError(
            f"key 'eval_args' leaves experiment '{result.name}' no test part "
            f"({config['eval_args']['split']}), of which its numbers are"
        )
    lacking = sorted(set(map(str, result.expected)) - computed_metrics(config.final_config_dict))
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


def _report(result: Published, entries: Sequence[dict[str, Any]], output: Path) -> tuple[str, bool]:
    """Where the runs of a result lie, or why they failed, its table, and whether it stands."""
    finished = [entry for entry in entries if entry.get("test")]
    lines = [f"{result.name}, seed {entry['seed']}: {_end(entry, output)}" for entry in entries]
    if not finished:
        return "\n".join([*lines, ""]), False
    values = np.array([[entry["test"][metric] for metric in result.expected] for entry in finished])
    ours = dict(zip(result.expected, values.mean(axis=0).tolist(), strict=True))
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(ours), np.nan)
    lines.append(_table(result, ours, spread.tolist(), len(values)))
    return "\n".join(lines), len(finished) == len(entries) and result.reproduced(ours)


def _end(entry: dict[str, Any], output: Path) -> str:
    if entry.get("test"):
        return str(output / entry["run_folder"])
    if entry["status"] == "finished":
        return "FAILED: the split leaves no test part, of which the numbers are; change eval_args"
    return f"FAILED: {entry.get('error', 'it has not ended')}"


def _table(result: Published, ours: dict[str, float], spread: Sequence[float], n_seeds: int) -> str:
    """Markdown: published value, our mean and deviation, relative difference, verdict."""
    differences = result.differences(ours)
    seeds = f"{n_seeds} seeds" if n_seeds > 1 else "1 seed"
    lines = [
        f"\n{result.name}: {result.source}",
        f"| metric | theirs | ours ({seeds}) | deviation | difference | |",
        "|---|---|---|---|---|---|",
    ]
    for (metric, theirs), deviation in zip(result.expected.items(), spread, strict=True):
        verdict = ""
        if metric in result.judged:
            verdict = (
                "reproduced" if result.within(metric, differences[metric]) else "NOT reproduced"
            )
        spread_cell = f"{deviation:.4f}" if n_seeds > 1 else ""
        lines.append(
            f"| {metric} | {theirs:.4f} | {ours[metric]:.4f} | {spread_cell} "
            f"| {differences[metric]:+.1%} | {verdict} |"
        )
    bound = "or better" if result.above_is_fine else "in both directions"
    return "\n".join([*lines, f"Tolerance {result.tolerance:.0%} {bound}.\n"])
