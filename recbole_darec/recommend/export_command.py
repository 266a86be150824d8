"""Sub-command ``export``."""

from __future__ import annotations

import argparse

from recbole_darec.moved import add_moved_arguments, moved

DESCRIPTION = "Write a run's user and item vectors for a vector database."
EXAMPLE = """\
Examples:
  run_recbole_darec.py export saved/DaRec-ml-100k-... --output vectors
  run_recbole_darec.py export saved/DaRec-ml-100k-... --output vectors --format parquet
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_moved_arguments(parser)
    parser.add_argument("--output", "-o", required=True, metavar="FOLDER")
    parser.add_argument("--format", choices=("npy", "parquet"), default="npy")
    parser.add_argument(
        "--part",
        default="scored",
        help="scored (default): inner products are the model's scores; or 'C raw', 'L shared', ...",
    )


def main(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        ConfigError: for a user's mistake.
    """
    from recbole_darec.recommend.export import export_vectors

    for file in export_vectors(args.run, args.output, args.format, args.part, **moved(args)):
        print(file)
    return 0
