"""``compare``: models x datasets x seeds under one protocol."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_darec.experiment.files import output_of, write_text
from recbole_darec.experiment.plan import (
    DATASET_HELP,
    PlannedRun,
    datasets_of,
    load_plan,
    make_plan,
    save_plan,
)
from recbole_darec.experiment.runner import Runner, add_comparison_arguments, show_plan
from recbole_darec.experiment.variant import parse_models
from recbole_darec.keys import ConfigError
from recbole_darec.sole_user import sole_user
from recbole_darec.yaml_file import config_files

if TYPE_CHECKING:
    import pandas as pd

_TABLES, _COLD = "tables.json", 5
DESCRIPTION = "Compare models on datasets with several seeds, with significance and groups."
EXAMPLE = """\
Any key by --key=value holds for all models; one of a model alone stands behind its name. Example:
  run_recbole_darec.py compare --models DaRec,DaRec:backbone=MF,LightGCN,BPR --base LightGCN \\
      --dataset ml-100k --seeds 5 --workers 2 --output results/ml-100k --epochs=100
A seed makes the split, the initial weights and the batches; models share it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``compare``."""
    parser.add_argument("--models", "-m", help="Model[:key=value...],...")
    parser.add_argument("--dataset", "-d", help=DATASET_HELP)
    parser.add_argument("--seeds", help="how many, or a list of them (default 1)")
    parser.add_argument("--base", help="model of the list to compare the others with")
    add_comparison_arguments(parser)
    parser.set_defaults(cold=None)  # an experiment that is resumed keeps its own


def main(args: argparse.Namespace) -> int:
    """Run ``compare``.

    Args:
        args: of ``add_arguments``; ``args.keys`` holds the remaining ``--key=value``.

    Returns:
        0, or 1 if a run failed.

    Raises:
        ConfigError: if a name, key or file is wrong; before any run.
    """
    output = output_of(args, "compare")
    args.base, args.cold = _tables_asked(args, output)
    runner = Runner.of(args)
    runs = _plan(args, output)
    labels = list(dict.fromkeys(run.label for run in runs))
    if args.base and args.base not in labels:
        raise ConfigError(f"--base '{args.base}' is none of the models: {', '.join(labels)}")
    if args.dry_run:
        show_plan(runs, output)
        return 0
    runner.connect()
    save_plan(output, runs, args.resume)
    with sole_user(output):
        write_text(output / _TABLES, json.dumps({"base": args.base, "cold": args.cold}) + "\n")
        failed = [outcome for outcome in runner.run(runs, output) if outcome.error]
        report(output, runs, args.base, args.cold)
    return 1 if failed else 0


def _tables_asked(args: argparse.Namespace, output: Path) -> tuple[str | None, int]:
    """The base and ``cold``: as given, or as when the experiment began."""
    file = output / _TABLES
    base, cold = None, _COLD
    if args.resume and file.is_file():
        try:
            earlier = json.loads(file.read_text("utf-8"))
            base, cold = earlier["base"], int(earlier["cold"])
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{file} is damaged: {error}; delete it, and give --base") from error
    return args.base or base, cold if args.cold is None else args.cold


def report(output: Path, runs: list[PlannedRun], base: str | None, cold: int) -> pd.DataFrame:
    """Write all files of the comparison and print its table.

    Returns:
        The summary: see ``summarise``.

    Raises:
        ConfigError: if no run has finished, or finished ones cannot be compared.
    """
    from recbole_darec.experiment import results

    entries = results.write_runs(output, runs)
    summary = results.write_tables(output, results.measured(output, entries), base, cold)
    of_datasets = (output / "table.md").read_text("utf-8").split("\n## ")
    print("\n## ".join(text.split("### ")[0].rstrip() + "\n" for text in of_datasets))
    print(f"tables: {output}")
    return summary


def _plan(args: argparse.Namespace, output: Path) -> list[PlannedRun]:
    if args.models:
        files = config_files(args.config_files)
        datasets = datasets_of(args.dataset, files)
        return make_plan(parse_models(args.models), datasets, args.seeds or "1", files, args.keys)
    if not args.resume:
        raise ConfigError("--models is missing, e.g. --models DaRec,LightGCN,BPR")
    others = {"--dataset": args.dataset, "--seeds": args.seeds, "--config_files": args.config_files}
    given = [*(option for option, value in others.items() if value), *args.keys]
    if given:
        raise ConfigError(
            f"--resume without --models goes on with the plan as it is; leave {' '.join(given)} "
            "out, or give the whole command"
        )
    return load_plan(output)
