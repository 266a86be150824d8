"""Sub-command ``analyze``."""

from __future__ import annotations

import argparse
from pathlib import Path

from recbole_darec.moved import add_moved_arguments, moved

DESCRIPTION = "Measure and draw what the alignment of a run has learnt; compare two runs."
EXAMPLE = """\
Examples:
  run_recbole_darec.py analyze saved/DaRec-ml-100k-...
  run_recbole_darec.py analyze saved/RLMRecCon-ml-100k-... saved/DaRec-ml-100k-... -o comparison
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_moved_arguments(parser)
    parser.add_argument("other", nargs="?", help="a second run, to be shown beside the first")
    parser.add_argument(
        "--output", "-o", metavar="FOLDER", help="default: analysis/ in the first run's folder"
    )
    parser.add_argument("--analysis_seed", type=int, default=0, help="of samples and permutations")


def main(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        ConfigError: for a user's mistake.
    """
    from recbole_darec.analysis.report import write_report
    from recbole_darec.analysis.study import analyze

    runs = [args.run] if args.other is None else [args.run, args.other]
    analyses = [analyze(run, args.analysis_seed, **moved(args)) for run in runs]
    folder = args.output or Path(args.run) / "analysis"
    files = write_report(folder, *analyses)
    for analysis in analyses:
        print(analysis)
    print(f"report: {files.html}")
    return 0
