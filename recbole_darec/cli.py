"""Command line: RecBole's ``run_recbole.py`` with our models."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from recbole_darec.keys import ConfigError

_EXAMPLE = """\
Any key of RecBole or of this package is set by --key=value, as in RecBole. Examples:
  run_recbole_darec.py --model=DaRec --dataset=ml-100k
  run_recbole_darec.py --model=DaRec --backbone=LightGCN --alignment_weight=0.01 --seed=1
  run_recbole_darec.py --model=BPR --dataset=ml-100k --config_files 'my.yaml other.yaml'
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_recbole_darec.py",
        description="Train and evaluate DaRec, a bare backbone or a RecBole model.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--model", "-m", help="DaRec (default), Backbone, or a RecBole model")
    parser.add_argument("--dataset", "-d", help="name of the dataset; default ml-100k")
    parser.add_argument(
        "--config_files", nargs="+", default=[], metavar="FILE", help="yaml files, later ones win"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: default ``sys.argv[1:]``.

    Returns:
        Exit status: 0, or 2 for a mistake in configuration or data, named on standard error.
    """
    known, rest = _parser().parse_known_args(arguments)
    files = [name for given in known.config_files for name in given.split()]
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # RecBole's own use of what its libraries are about to change; nothing a user can act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    try:
        from recbole_darec.quick_start import run_recbole_darec

        result = run_recbole_darec(known.model, known.dataset, files, command_line=rest)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"test result: {result['test_result']}")
    print(f"run folder: {result['run_folder']}")
    return 0
