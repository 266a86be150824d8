"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from recbole_darec.keys import ConfigError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, which takes the place of ``path`` at the end.

    After an error ``path`` is as it was, and the temporary file is gone: on a full disk it would
    keep the disk full. Any number of processes may write the same path at once.

    Args:
        path: what to write; its folder exists.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path, option: str = "--output") -> None:
    """See that files can be written below a folder, which need not exist yet; makes nothing.

    Raises:
        ConfigError: if not.
    """
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise ConfigError(
            f"{folder} cannot be written: {there} is no folder that you may write to; set "
            f"{option} to another"
        )
