"""``tune``: search hyper-parameters with Ray Tune."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_darec.experiment.files import output_of, write_text
from recbole_darec.experiment.search import Search
from recbole_darec.experiment.search_options import SCHEDULERS, SEARCHERS, SearchOptions
from recbole_darec.sole_user import sole_user

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION = "Search hyper-parameters on the validation metric; the winner alone is tested."
EXAMPLE = """\
The space is what the model declares; --space FILE changes it key by key if it is a yaml
('key: choice [0.1, 1]', '~' to leave a key out) and replaces it if it is a hyper.test file of
RecBole. Any key by --key=value holds for all trials. Example:
  run_recbole_darec.py tune --model DaRec --dataset ml-100k --num_samples 16 --workers 2 \\
      --output results/tune-darec --epochs=100
Then: OMP_NUM_THREADS=1 run_recbole_darec.py --config_files results/tune-darec/best.yaml
Resume only folders of your own: Ray keeps the state of a search as a pickle.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``tune``."""
    parser.add_argument("--model", "-m", help="default DaRec")
    parser.add_argument("--dataset", "-d", help="default ml-100k")
    parser.add_argument("--config_files", nargs="+", default=[], metavar="FILE")
    parser.add_argument("--space", metavar="FILE", help="yaml or hyper.test: see below")
    parser.add_argument("--num_samples", type=int, help="trials (default 20)")
    parser.add_argument("--searcher", choices=SEARCHERS, help="default random")
    parser.add_argument("--scheduler", choices=SCHEDULERS, help="default asha")
    parser.add_argument(
        "--grace_period",
        type=int,
        help="validations before a trial may be stopped, or from "
        "one exchange of pbt to the next (default 5)",
    )
    parser.add_argument(
        "--reduction_factor", type=int, help="ASHA keeps one of so many (default 3)"
    )
    parser.add_argument("--search_seed", type=int, help="of the searcher (default 0)")
    parser.add_argument("--workers", type=int, help="trials at a time; default as many as fit")
    parser.add_argument("--cpus_per_trial", type=int, help="default 1")
    parser.add_argument("--gpus_per_trial", type=float, help="default 0; 1 is a GPU, 0.5 shares it")
    parser.add_argument("--retries", type=int, help="of a trial that failed (default 1)")
    parser.add_argument("--ray_address", help="host:port of a Ray cluster")
    parser.add_argument(
        "--output", metavar="DIR", help="storage, local or seen by all nodes; default new"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the search in --output")
    parser.add_argument("--dry_run", action="store_true", help="show the search and stop")


def main(args: argparse.Namespace) -> int:
    """Run ``tune``.

    Args:
        args: of ``add_arguments``; ``args.keys`` holds the remaining ``--key=value``.

    Returns:
        0, or 1 if a trial failed for good.

    Raises:
        ConfigError: if a key, file or the space is wrong, before any trial; if no trial finished.
    """
    output = output_of(args, "tune")
    search = _search(args, output)
    for key in (word[2:].partition("=")[0] for word in args.keys):
        if key in search.space:
            print(f"{key} is searched; the value given for it is not used")
    from recbole_darec.experiment import tuning

    search.ray_space()
    tuning.searcher(search.options)
    if not args.resume:
        search.check_output(output)
    if args.dry_run:
        _show(search, output)
        return 0
    tuning.connect(search.options)
    tuning.check_room(search.options)
    with sole_user(output):
        if not args.resume:
            search.save(output)
        trials = _carry_out(search, output, args.resume)
    return 1 if (trials["status"] == "failed").any() else 0


def _carry_out(search: Search, output: Path, resume: bool) -> pd.DataFrame:
    from recbole_darec.experiment import tuning

    trials = tuning.trial_table(tuning.run_search(search, output, resume), search)
    write_text(output / "trials.csv", trials.to_csv(index=False))
    winner = tuning.winner_of(trials, search)
    best = tuning.write_best(output, winner, search.options)
    _report(trials, winner, tuning.train_winner(output, winner, search.options), search)
    print(f"best configuration: {best}")
    draw(output, trials, search)
    return trials


def draw(output: Path, trials: pd.DataFrame, search: Search) -> None:
    """Write ``importance.csv`` and the figures of a search with at least two scored trials."""
    from recbole_darec.experiment import search_figures
    from recbole_darec.experiment.trial import METRIC

    if trials[METRIC].notna().sum() < 2:
        return
    table = search_figures.importance(trials, search.dimensions, METRIC)
    write_text(output / "importance.csv", table.to_csv(index=False))
    search_figures.draw_importance(table, output / "importance.png")
    file = output / "parallel_coordinates.png"
    search_figures.draw_parallel_coordinates(trials, search.dimensions, METRIC, file)


def _search(args: argparse.Namespace, output: Path) -> Search:
    if not args.resume:
        return Search.of(args, SearchOptions.of(args))
    kept = Search.load(output)
    asked = replace(kept, options=SearchOptions.of(args, kept.options))
    if args.model or args.dataset or args.config_files or args.space or args.keys:
        asked = Search.of(args, asked.options)
    asked.require_same(kept, output)
    return asked


def _show(search: Search, output: Path) -> None:
    options = search.options
    n = "all" if options.searcher == "grid" else options.num_samples
    print(f"{search.parameters['model']} on {search.parameters['dataset']}: {n} trials by "
          f"{options.searcher} search, scheduler {options.scheduler}, {search.n_validations} "
          f"validations of {search.metric} each")  # fmt: skip
    for key, text in search.space.items():
        print(f"  {key}: {text}")
    print(f"output: {output}")


def _report(trials: pd.DataFrame, winner: str, result: Mapping[str, Any], search: Search) -> None:
    from recbole_darec.experiment.trial import METRIC

    counts = ", ".join(f"{n} {status}" for status, n in trials["status"].value_counts().items())
    print(f"{len(trials)} trials: {counts}")
    for _, trial in trials[trials["status"] == "failed"].iterrows():
        print(f"FAILED trial {trial['trial']}: {trial['error']}")
    row = trials[trials["trial"] == winner].iloc[0]
    print(f"winner {winner}: " + ", ".join(f"{key}={row[key]}" for key in search.space))
    print(f"{search.metric} on validation: {row[METRIC]}, of the tested run: "
          f"{result['best_valid_score']}")  # fmt: skip
    print(f"test result, looked at once: {result['test_result']}")
