"""What a loaded or resumed run may be told anew, in Python and on the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection
from typing import Any

from recbole_darec.keys import ConfigError

# The keys that do not change what the run is, with what they say on the command line.
MOVABLE = {
    "data_path": "folder above the dataset's folder",
    "embedding_dir": "store of encoded texts",
    "item_text_file": "the items' texts",
    "user_text_file": "the users' texts",
    "item_embedding_file": "the items' precomputed vectors",
    "user_embedding_file": "the users' precomputed vectors",
    "text_encoder": "the encoder: its folder, or its name",
    "text_device": "where the encoder runs: auto, cpu, cuda, ...",
    "api_base": "endpoint that encodes texts; asked only if this and --api_key_env are given",
    "api_key_env": "environment variable that holds the endpoint's key; none: no key is sent",
    "use_gpu": "whether the model runs on a GPU: True or False",
    "gpu_id": "which GPU",
}


def add_moved_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run folder and the options of ``load``."""
    parser.add_argument("run", help="run folder, as training names it at its end")
    group = parser.add_argument_group("if data or devices are no longer those of the run")
    for name, text in MOVABLE.items():
        group.add_argument(f"--{name}", help=text)


def moved(args: argparse.Namespace) -> dict[str, Any]:
    """What was given of these options, as keyword arguments of ``load``."""
    return {name: getattr(args, name) for name in MOVABLE if getattr(args, name) is not None}


def check_moved(run: Any, moved: Collection[str]) -> None:
    """See that what is given beside a run says where something lies now.

    Args:
        run: the path of a run folder, or a run that is loaded, of which nothing can be changed.
        moved: the keys that are given.

    Raises:
        ConfigError: if one is none of ``MOVABLE``, or the run is loaded already.
    """
    wrong = sorted(set(moved) - set(MOVABLE))
    if wrong:
        raise ConfigError(
            f"a loaded run keeps its configuration; {', '.join(wrong)} cannot be changed. "
            f"Only these can: {', '.join(MOVABLE)}"
        )
    if moved and not isinstance(run, (str, os.PathLike)):
        raise ConfigError(
            f"{', '.join(sorted(moved))} holds for a run that is loaded from its folder; this one "
            "is loaded already"
        )
