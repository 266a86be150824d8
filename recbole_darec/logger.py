"""RecBole's log format, one file a run."""

from __future__ import annotations

import logging
from pathlib import Path

import colorlog
from recbole.utils.logger import RemoveColorFilter, log_colors_config

# An attribute of our handlers: the level of the root logger before the run.
_BEFORE = "_recbole_darec_level_before"


def end_log() -> None:
    """Close the log of the run in this process.

    What follows is left to the handlers of the program that called; where it has none, Python
    writes warnings to what is standard error by then, which need not be what it was in the run.
    """
    root = logging.getLogger()
    for handler in [h for h in root.handlers if hasattr(h, _BEFORE)]:
        root.setLevel(getattr(handler, _BEFORE))
        root.removeHandler(handler)
        handler.close()


def init_logger(file: Path, level: str) -> None:
    """Send the root logger, which RecBole writes to, to standard error and to ``file``.

    Handlers of an earlier run in this process are closed and removed, so that each run's log
    holds that run alone (RecBole's ``init_logger`` keeps writing to the first run's file).

    Args:
        file: the log file, opened for appending.
        level: ``DEBUG``, ``INFO``, ``WARNING``, ``ERROR`` or ``CRITICAL``.
    """
    end_log()
    root = logging.getLogger()
    to_file = logging.FileHandler(file, encoding="utf-8")
    to_file.setFormatter(
        logging.Formatter("%(asctime)-15s %(levelname)s  %(message)s", "%a %d %b %Y %H:%M:%S")
    )
    to_file.addFilter(RemoveColorFilter())
    to_terminal = logging.StreamHandler()
    to_terminal.setFormatter(
        colorlog.ColoredFormatter(
            "%(log_color)s%(asctime)-15s %(levelname)s  %(message)s",
            "%d %b %H:%M",
            log_colors=log_colors_config,
        )
    )
    for handler in (to_terminal, to_file):
        setattr(handler, _BEFORE, root.level)
        root.addHandler(handler)
    root.setLevel(level)
