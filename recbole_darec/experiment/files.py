"""Files of an experiment, written whole or not at all."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from recbole_darec.atomic import replacing
from recbole_darec.keys import ConfigError

PLAN, SEARCH = "plan.json", "search.json"


def output_of(args: argparse.Namespace, command: str) -> Path:
    """The folder of an experiment: as given, else a new one named by the command and the time.

    Raises:
        ConfigError: if an experiment is to be resumed, but not which.
    """
    if args.resume and not args.output:
        raise ConfigError("--resume needs --output: the folder of what is to be resumed")
    return Path(args.output or f"results/{command}-{time.strftime('%Y%m%d-%H%M%S')}").absolute()


def write_text(file: Path, text: str, option: str = "--output") -> None:
    """Write a file, making its folder.

    Args:
        file: where to.
        text: its content.
        option: what the user sets to write elsewhere.

    Raises:
        ConfigError: if it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            # pandas ends rows by the system's own newline, which must not be translated again.
            temporary.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written ({error.strerror}); set {option} to a folder that you may "
            "write to"
        ) from error


def save_figure(figure: Any, file: Path) -> None:
    """Write a Matplotlib figure, whole or not at all; the format is the file's suffix."""
    with replacing(file) as temporary:
        figure.savefig(temporary, dpi=150, format=file.suffix[1:])
