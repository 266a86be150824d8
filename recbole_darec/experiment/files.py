"""Files of an experiment, written whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from recbole_darec.atomic import replacing
from recbole_darec.keys import ConfigError

PLAN, SEARCH = "plan.json", "search.json"


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
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written ({error.strerror}); set {option} to a folder that you may "
            "write to"
        ) from error


@contextlib.contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Keep other commands out of the folder of an experiment; a process that dies lets them in.

    Args:
        folder: made if need be.

    Raises:
        ConfigError: if another process is at work there, or it cannot be written.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Storage without locks is left to the user's care.
        with contextlib.suppress(NotImplementedError):
            lock.acquire()
    except Timeout:
        raise ConfigError(
            f"another process is at work in {folder}; wait for its end, or choose another --output"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written ({error.strerror}); set --output to another"
        ) from error
    try:
        yield
    finally:
        lock.release()


def save_figure(figure: Any, file: Path) -> None:
    """Write a Matplotlib figure, whole or not at all; the format is the file's suffix."""
    with replacing(file) as temporary:
        figure.savefig(temporary, dpi=150, format=file.suffix[1:])
