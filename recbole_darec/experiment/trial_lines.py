"""Plain lines on the progress of a search, for logs."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback

from recbole_darec.experiment.trial import METRIC, TIME


class TrialLines(Callback):  # type: ignore[misc]
    """Prints one line for each trial that ends or fails."""

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Print the trial's score and whether the scheduler stopped it."""
        last = trial.last_result or {}
        how = "finished" if last.get("finished") else "stopped"
        self._print(trials, trial, f"{how} after {last.get(TIME)} validations: {last.get(METRIC)}")

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Print that the trial failed for good."""
        self._print(trials, trial, f"FAILED; see {trial.error_file}")

    @staticmethod
    def _print(trials: Any, trial: Any, text: str) -> None:
        ended = sum(other.is_finished() for other in trials)
        print(f"[{ended} ended] trial {trial.trial_id}: {text}", flush=True)
