"""One planned run: started, taken up where it was killed, or found finished."""

from __future__ import annotations

import contextlib
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from recbole_darec.checksums import CHECKSUMS
from recbole_darec.experiment.files import write_text
from recbole_darec.experiment.plan import PlannedRun
from recbole_darec.keys import ConfigError


@dataclass(frozen=True)
class Task:
    """A planned run and where its results go.

    Attributes:
        run: what to run.
        output: folder of the experiment.
        saved: whether to keep the checkpoint of the best epoch.
    """

    run: PlannedRun
    output: Path
    saved: bool = False

    @property
    def place(self) -> Path:
        """The run's own folder, in which the run folder lies."""
        return self.output / "runs" / self.run.name


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: the planned run.
        seconds: time that it took now; 0 where it was finished before.
        error: what went wrong, None if nothing did.
    """

    run: PlannedRun
    seconds: float = 0.0
    error: str | None = None


def execute(task: Task) -> Outcome:
    """Run a task; an error is caught, kept in ``error.txt`` and returned.

    What the run prints goes to ``output.log`` beside its run folder.
    """
    if finished_folder(task.place):
        return Outcome(task.run)
    started = perf_counter()
    report = task.place / "error.txt"
    try:
        with _printing_to(task.place / "output.log"):
            run_or_resume(task.place, task.run.parameters, saved=task.saved)
    except Exception as error:
        write_text(report, traceback.format_exc())
        kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
        return Outcome(task.run, perf_counter() - started, f"{kind}{error}")
    report.unlink(missing_ok=True)
    return Outcome(task.run, perf_counter() - started)


def run_or_resume(
    place: Path,
    parameters: dict[str, Any],
    saved: bool = True,
    tested: bool = True,
    callback_fn: Callable[[int, float], Any] | None = None,
    loaded: Any = None,
) -> dict[str, Any]:
    """The only run below ``place``: a new one, or the one that was killed, from its last epoch.

    Args:
        place: folder for the run folder.
        parameters: the resolved configuration.
        saved: see ``run_recbole_darec``, as for the others.
        tested: whether to look at the test part.
        callback_fn: called after each validation.
        loaded: the dataset, None to read it.

    Returns:
        The result of ``run_recbole_darec``.
    """
    from recbole_darec.quick_start import run_recbole_darec

    begun = [folder for folder in place.glob("*/") if (folder / "config.yaml").is_file()]
    useful = [f for f in begun if (f / "metrics.json").is_file() or (f / "last.pth").is_file()]
    for folder in set(begun) - set(useful):
        shutil.rmtree(folder)
    options: dict[str, Any] = {
        "saved": saved,
        "tested": tested,
        "callback_fn": callback_fn,
        "loaded": loaded,
    }
    if useful:
        trusted = parameters.get("allow_pickle", False)
        given: dict[str, Any] = {"resume": str(useful[0]), "allow_pickle": trusted}
        result: dict[str, Any] = run_recbole_darec(config_dict=given, **options)
        return result
    file = place / "given.yaml"
    write_text(file, yaml.safe_dump(parameters, allow_unicode=True))
    given = {"checkpoint_dir": str(place)}
    result = run_recbole_darec(config_file_list=[str(file)], config_dict=given, **options)
    return result


def finished_folder(place: Path) -> Path | None:
    """The run folder below ``place`` whose run has ended, if any."""
    return next((file.parent for file in sorted(place.glob(f"*/{CHECKSUMS}"))), None)


@contextlib.contextmanager
def _printing_to(file: Path) -> Any:
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        file.open("a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            yield
        finally:
            from recbole_darec.logger import end_log

            end_log()  # a run that failed has not ended its log, which lies in a file closed now
