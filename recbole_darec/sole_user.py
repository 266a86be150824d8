"""A folder in which one process works at a time."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from recbole_darec.keys import ConfigError

LOCK = ".lock"
# Of storage without locks, which is left to the user's care.
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextlib.contextmanager
def sole_user(folder: Path, otherwise: str = "choose another --output") -> Iterator[None]:
    """Keep other processes out of a folder; one that dies lets them in.

    Args:
        folder: made if need be.
        otherwise: what else the user can do, for messages.

    Raises:
        ConfigError: if another process is at work there, or it cannot be written.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(NotImplementedError):
            lock.acquire()
    except Timeout:
        raise ConfigError(
            f"another process is at work in {folder}; wait for its end, or {otherwise}"
        ) from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise ConfigError(
                f"{folder} cannot be written ({error.strerror}); {otherwise}"
            ) from error
    try:
        yield
    finally:
        lock.release()
