"""Command-line options that say where a run's data are now."""

from __future__ import annotations

import argparse
from typing import Any


def add_moved_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run folder and the options of ``load``."""
    parser.add_argument("run", help="run folder, as training names it at its end")
    group = parser.add_argument_group("if data are no longer where the run had them")
    group.add_argument("--data_path", help="folder above the dataset's folder")
    group.add_argument("--embedding_dir", help="store of encoded texts")
    group.add_argument("--item_embedding_file", help="the items' precomputed vectors")
    group.add_argument("--user_embedding_file", help="the users' precomputed vectors")


def moved(args: argparse.Namespace) -> dict[str, Any]:
    """What was given of these options, as keyword arguments of ``load``."""
    names = ("data_path", "embedding_dir", "item_embedding_file", "user_embedding_file")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}
