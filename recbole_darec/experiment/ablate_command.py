"""``ablate``: what each part of an aligned model contributes, and what placebos contribute."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_darec.experiment.ablation import Ablation, Member
from recbole_darec.experiment.files import output_of, write_text
from recbole_darec.experiment.plan import DATASET_HELP, datasets_of, make_plan, save_plan
from recbole_darec.experiment.runner import Runner, add_comparison_arguments, show_plan
from recbole_darec.sole_user import sole_user
from recbole_darec.yaml_file import config_files

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION = "Ablate an aligned model: variants, curves and placebos that one yaml describes."
EXAMPLE = """\
Supplied: losses, weights, sensitivity, backbones, encoders; or a yaml of your own, which holds
model, variants (name: {key: value}), curves (key: [values]), placebos and seeds. Any key by
--key=value holds for all runs. Example:
  run_recbole_darec.py ablate losses --dataset ml-100k --workers 2 --output results/losses \\
      --epochs=100
Every gain is over the same backbone without alignment, beside the gain of placebo embeddings.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ablate``."""
    parser.add_argument("ablation", help="name of a supplied one (see below), or a yaml file")
    parser.add_argument("--dataset", "-d", help=DATASET_HELP)
    parser.add_argument("--seeds", help="how many, or a list of them; default as the yaml says")
    add_comparison_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Run ``ablate``.

    Args:
        args: of ``add_arguments``; ``args.keys`` holds the remaining ``--key=value``.

    Returns:
        0, or 1 if a run failed.

    Raises:
        ConfigError: if a name, key or file is wrong; before any run.
    """
    runner = Runner.of(args)
    ablation = Ablation.read(args.ablation)
    output = output_of(args, "ablate")
    files = config_files(args.config_files)
    seeds = args.seeds or ablation.seeds_as_given
    datasets = datasets_of(args.dataset, files)
    runs = make_plan(ablation.runs(), datasets, seeds, files, args.keys)
    if args.dry_run:
        show_plan(runs, output)
        return 0
    runner.connect()
    save_plan(output, runs, args.resume)
    with sole_user(output):
        failed = [outcome for outcome in runner.run(runs, output) if outcome.error]

        from recbole_darec.analysis.tables import user_table
        from recbole_darec.experiment import results

        finished = results.measured(output, results.write_runs(output, runs))
        results.write_tables(output, finished, None, args.cold)
        write_gains(output, user_table(finished, args.cold), ablation.members())
    return 1 if failed else 0


def write_gains(output: Path, table: pd.DataFrame, members: Sequence[Member]) -> None:
    """Write ``gains.csv``, ``gains.md``, ``gains.tex``, ``curves.csv`` and the figures."""
    from recbole_darec.experiment import ablation_figures as figures
    from recbole_darec.experiment import gains as tables

    gains = tables.gain_table(table, members)
    if gains.empty:
        print("no variant has finished together with its base: there are no gains to show")
        return
    kinds = list(dict.fromkeys(kind for member in members for kind in member.placebos))
    text = tables.gains_as_markdown(gains, kinds)
    write_text(output / "gains.csv", gains.to_csv(index=False))
    write_text(output / "gains.md", text)
    write_text(output / "gains.tex", tables.gains_as_latex(gains, kinds))
    write_text(output / "curves.csv", gains[gains["key"].notna()].to_csv(index=False))
    for dataset, part in gains.groupby("dataset", sort=False):
        variants = part[part["key"].isna()]
        if len(variants):
            figures.draw_gains(variants, kinds, output / f"gains-{dataset}.png")
        for key, points in part[part["key"].notna()].groupby("key", sort=False):
            figures.draw_curve(points, kinds, output / f"curve-{dataset}-{key}.png")
    print(text)
    print(f"tables and figures: {output}")
