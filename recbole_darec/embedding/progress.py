"""How far a long work is."""

from __future__ import annotations

import sys
import time
from logging import getLogger
from types import TracebackType

from tqdm import tqdm  # type: ignore[import-untyped]

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """A bar on a terminal, else a plain line in the log every ten seconds and at the end.

    Args:
        total: how many there are to do.
        what: what is done to what, e.g. ``Encoded texts``.
    """

    def __init__(self, total: int, what: str) -> None:
        self._bar = tqdm(total=total, desc=what, disable=not (total and sys.stderr.isatty()))
        self._total, self._what = total, what
        self._done, self._last = 0, time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def advance(self, count: int) -> None:
        """Say that so many more are done."""
        self._bar.update(count)
        self._done += count
        waited = time.monotonic() - self._last
        if self._bar.disable and (waited > _SECONDS_BETWEEN_LINES or self._done == self._total):
            self._last = time.monotonic()
            getLogger().info(f"{self._what}: {self._done} of {self._total}")
