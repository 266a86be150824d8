"""Files that are written whole or not at all, and the JSON in them."""

from __future__ import annotations

import contextlib
import json
import math
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def json_text(value: Any, indent: int) -> str:
    """JSON that every reader takes: null for numbers that are not finite, ended by a newline."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
