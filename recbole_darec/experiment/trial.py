"""One trial of a search, as Ray Tune calls it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from recbole_darec.experiment.exchange import keep_state, take_over
from recbole_darec.experiment.execute import run_or_resume
from recbole_darec.experiment.search import Search

METRIC = "best_valid_score"
TIME = "validation"


def run_trial(sampled: dict[str, Any], search: Search, output: str, loaded: Any = None) -> None:
    """Train with the sampled values; report the validation score after each validation.

    The trial's run lies below ``runs/`` by the trial's id, so that a trial that is started again
    goes on from its last epoch; with population-based training, from the state that it is given.
    The test part is not looked at.

    Args:
        sampled: value of each searched key.
        search: what is searched.
        output: folder of the search, absolute.
        loaded: the dataset, None if the trial loads it.
    """
    import torch
    from ray import get_runtime_context, tune

    from recbole_darec.run_folder import RunFolder

    resources = tune.get_context().get_trial_resources()
    torch.set_num_threads(max(1, int(resources.required_resources.get("CPU", 1))))
    place = Path(output) / "runs" / tune.get_context().get_trial_id()

    node = get_runtime_context().get_node_id()
    parameters = search.parameters_of(sampled)
    exchanged = tune.get_checkpoint()
    if exchanged is not None:
        with exchanged.as_directory() as folder:
            take_over(place, parameters, Path(folder))
    progress = Progress(place, search.bigger)

    def after_validation(epoch: int, score: float) -> None:
        progress.add(search.validation(epoch), score)
        now = {METRIC: progress.best, TIME: progress.validation}
        exchange = search.options.scheduler == "pbt" and progress.validation % search.interval == 0
        state = tune.Checkpoint.from_directory(keep_state(place)) if exchange else None
        tune.report({**now, "finished": False, "node_id": node}, checkpoint=state)

    result = run_or_resume(
        place,
        parameters,
        saved=False,
        tested=False,
        callback_fn=after_validation,
        loaded=loaded,
    )
    metrics = RunFolder.open(result["run_folder"]).read_metrics()
    ended = {METRIC: result["best_valid_score"], TIME: len(metrics["eval_seconds"])}
    tune.report({**ended, "finished": True, "node_id": node})


class Progress:
    """The best validation score so far, that of an earlier start of the run included.

    Attributes:
        best: score.
        validation: how many validations there were.
    """

    def __init__(self, place: Path, bigger: bool) -> None:
        from recbole_darec import checkpoint

        self._better = max if bigger else min
        self.best = -math.inf if bigger else math.inf
        self.validation = 0
        for file in place.glob("*/last.pth"):
            before = checkpoint.load(file)["progress"]
            self.best, self.validation = before["best_valid_score"], len(before["eval_seconds"])

    def add(self, validation: int, score: float) -> None:
        """Take note of a validation."""
        self.best, self.validation = self._better(self.best, score), validation
