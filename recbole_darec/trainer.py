"""RecBole's trainers with safe checkpoints, exact resume and losses logged by name."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from recbole.trainer import Trainer
from recbole.utils import get_trainer, set_color
from torch.optim import Optimizer

from recbole_darec import checkpoint, compat
from recbole_darec.collector import TopKCollector
from recbole_darec.config import Config
from recbole_darec.fingerprints import check_fingerprints
from recbole_darec.keys import ConfigError
from recbole_darec.model.aligned_recommender import AlignedRecommender
from recbole_darec.run_folder import RunFolder
from recbole_darec.user_values import KeepingEvaluator, UserValues, has_top_k

# What PyTorch says of an operation without half precision, on a CPU and on a GPU.
_NO_HALF_PRECISION = ("scalar type", "not implemented for", "same dtype")

EpochCallback = Callable[[int, float], Any]


class RunTrainer(Trainer):  # type: ignore[misc]
    """What every run needs beside RecBole's trainer of the model; mixed in before that trainer.

    Checkpoints go to the run's own folder, hold plain values only and are read with
    ``weights_only=True``. After each validation the whole state of training is kept, random
    generators included, so that a resumed run ends with the numbers of an uninterrupted one (nearly
    on a GPU, whose sums vary in order).

    Attributes:
        epoch_seconds: training time of each epoch.
        eval_seconds: time of each validation.
        train_losses: by epoch, the sum over batches of each named term of the loss.
        best_epoch: epoch of the best validation score (the last epoch without validation).
        fingerprints: what ``fingerprints`` says of the data and embeddings of the run.
    """

    def __init__(self, config: Config, model: torch.nn.Module, folder: RunFolder) -> None:
        super().__init__(config, model)
        self.folder = folder
        self.eval_collector = TopKCollector(config)
        self.saved_model_file = str(folder.best)
        # RecBole counts user-item pairs here, for models that cannot score all items at once.
        self.test_batch_size = max(int(config["eval_batch_size"]), 2**16)
        self.epoch_seconds: list[float] = []
        self.eval_seconds: list[float] = []
        self.train_losses: list[dict[str, float]] = []
        self.best_epoch: int | None = None
        self.fingerprints: dict[str, Any] = {}
        self._without_validation: Any = None

    def _build_optimizer(self, **kwargs: Any) -> Optimizer:
        """RecBole's optimizer; for models of this package in one pass over each parameter."""
        optimizer: Optimizer = super()._build_optimizer(**kwargs)
        for group in optimizer.param_groups:
            # Adagrad has made its state by now, on the CPU, where a fused step cannot use it.
            if self.config.is_ours and "fused" in group and not optimizer.state:
                group["fused"] = True
        return optimizer

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: EpochCallback | None = None,
    ) -> tuple[float, dict[str, float] | None]:
        """RecBole's ``fit`` that keeps a resumable state after each validation.

        Without validation it is kept after each epoch.

        Returns:
            Best validation score and the metrics of that epoch.
        """
        if self.start_epoch >= self.epochs > 0:
            self.eval_collector.data_collect(train_data)  # as RecBole does before its first epoch
            return self.best_valid_score, self.best_valid_result
        # RecBole then calls back after no epoch, but saves after each.
        self._without_validation = train_data if self.eval_step <= 0 or not valid_data else None

        def after_validation(epoch: int, score: float) -> None:
            if self.cur_step == 0:
                self.best_epoch = epoch
            self._save_last(epoch, train_data)
            if callback_fn is not None:
                callback_fn(epoch, score)

        score, result = super().fit(
            train_data, valid_data, verbose, saved, show_progress, after_validation
        )
        return score, result

    def evaluate(
        self,
        eval_data: Any,
        load_best_model: bool = True,
        model_file: str | None = None,
        show_progress: bool = False,
    ) -> Any:
        """RecBole's ``evaluate``; the best model is read without running code from the file.

        Raises:
            CheckpointError: if the checkpoint cannot be read or does not fit the model.
        """
        if load_best_model:
            file = Path(model_file or self.saved_model_file)
            self._load_model(checkpoint.load(file, self.device), file)
            self.logger.info(f"Loading model structure and parameters from {file}")
        return super().evaluate(eval_data, False, None, show_progress)

    def test(
        self, train_data: Any, test_data: Any, show_progress: bool = False
    ) -> tuple[Any, UserValues | None]:
        """Metrics of the best epoch on the test part, and each user's own.

        The latter are None without ``save_per_user`` or where no metric has a value for each user,
        both without a test part.
        """
        if test_data is None:
            return None, None
        if not (self.config["save_per_user"] and has_top_k(self.config["metrics"])):
            return self.evaluate(test_data, show_progress=show_progress), None
        setattr(self.eval_collector.register, "rec.items", True)
        self.evaluator = KeepingEvaluator(self.config)
        result = self.evaluate(test_data, show_progress=show_progress)
        collected = self.evaluator.collected
        return result, UserValues.collect(self.config, collected, train_data, test_data)

    def resume(self, train_data: Any) -> None:
        """Take up training where ``last.pth`` of the run folder left it.

        Raises:
            CheckpointError: if that file cannot be read or does not fit the model.
            ConfigError: if the data are no longer those of the run.
        """
        for left in self.folder.path.glob(".*.pth.*"):
            left.unlink()  # a checkpoint that was being written when the run was killed
        state = checkpoint.load(self.folder.last, self.device)
        # A run of an earlier version has none.
        kept = state.get("fingerprints", self.fingerprints)
        check_fingerprints(kept, self.fingerprints, self.config, self.folder.path)
        self._load_model(state, self.folder.last)
        for name, optimizer_state in state["optimizers"].items():
            getattr(self, name).load_state_dict(optimizer_state)
        for name, value in state["progress"].items():
            setattr(self, name, value)
        compat.set_training_state(self.model, state.get("training", {}))
        _set_random_state(state["random"], self.model, train_data)
        if self.cur_step > self.stopping_step:
            self.epochs = self.start_epoch
        self.logger.info(f"Resume training from epoch {self.start_epoch}")

    def save_pretrained_model(self, epoch: int, saved_model_file: str) -> None:
        """RecBole's checkpoint of a pre-training stage, written safely."""
        self._save_checkpoint(epoch, verbose=False)

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        if epoch >= 0:
            self.best_epoch = epoch
        checkpoint.save(Path(self.saved_model_file), self._model_state(epoch))
        if epoch >= 0 and self._without_validation is not None:
            self._save_last(epoch, self._without_validation)
        if verbose:
            self.logger.info(set_color("Saving current", "blue") + f": {self.saved_model_file}")

    def _model_state(self, epoch: int) -> dict[str, Any]:
        return {
            "config": self.config.resolved(),
            "epoch": epoch,
            "state_dict": self.model.state_dict(),
            "other_parameter": self.model.other_parameter(),
        }

    def _load_model(self, state: dict[str, Any], file: Path) -> None:
        checkpoint.restore(self.model, self.config["model"], state, file)

    def _save_last(self, epoch: int, train_data: Any) -> None:
        progress = {
            "start_epoch": epoch + 1,
            "cur_step": self.cur_step,
            "best_valid_score": self.best_valid_score,
            "best_valid_result": self.best_valid_result and dict(self.best_valid_result),
            "train_loss_dict": self.train_loss_dict,
            "epoch_seconds": self.epoch_seconds,
            "eval_seconds": self.eval_seconds,
            "train_losses": self.train_losses,
            "best_epoch": self.best_epoch,
        }
        state = {
            **self._model_state(epoch),
            "optimizers": {n: o.state_dict() for n, o in self._optimizers().items()},
            "training": compat.training_state(self.model),
            "progress": progress,
            "fingerprints": self.fingerprints,
            "random": _random_state(self.model, train_data),
        }
        checkpoint.save(self.folder.last, state)

    def _optimizers(self) -> dict[str, Optimizer]:
        """Optimizers by attribute; one that also stands under another name is left out once."""
        found = {n: o for n, o in vars(self).items() if isinstance(o, Optimizer)}
        special = {id(o) for n, o in found.items() if n != "optimizer"}
        return {n: o for n, o in found.items() if n != "optimizer" or id(o) not in special}

    def _train_epoch(
        self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False
    ) -> Any:
        started = perf_counter()
        if isinstance(self.model, AlignedRecommender):
            self.model.begin_epoch(epoch_idx)
        with self._precision_refused():
            losses = super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)
        self.epoch_seconds.append(perf_counter() - started)
        self.train_losses.append(self._named(losses))
        return losses

    @contextmanager
    def _precision_refused(self) -> Iterator[None]:
        """Name the key where RecBole's own model has an operation without half precision."""
        try:
            yield
        except RuntimeError as error:
            said = any(words in str(error) for words in _NO_HALF_PRECISION)
            if not (self.enable_amp and said) or self.config.is_ours:
                raise
            raise ConfigError(
                f"RecBole's {self.config.model} does not train in mixed precision ({error}); leave "
                "enable_amp out"
            ) from error

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> Any:
        started = perf_counter()
        score, result = super()._valid_epoch(valid_data, show_progress)
        self.eval_seconds.append(perf_counter() - started)
        if not math.isfinite(score):
            raise ConfigError(
                f"valid_metric '{self.config['valid_metric']}' is {score} on the validation part, "
                f"so that no epoch can be the best one ({dict(result)}); set valid_metric to "
                "another of metrics, or look at the labels (threshold, LABEL_FIELD)"
            )
        return score, result

    def _named(self, losses: Any) -> dict[str, float]:
        if not isinstance(losses, tuple):
            return {"train loss": float(losses)}
        names = getattr(self.model, "loss_names", None) or [
            f"train_loss{i + 1}" for i in range(len(losses))
        ]
        return dict(zip(names, map(float, losses), strict=True))

    def _generate_train_loss_output(
        self, epoch_idx: int, s_time: float, e_time: float, losses: Any
    ) -> str:
        places = self.config["loss_decimal_place"] or 4
        terms = ", ".join(
            f"{set_color(name, 'blue')}: {value:.{places}f}"
            for name, value in self._named(losses).items()
        )
        head = set_color(f"epoch {epoch_idx} training", "green")
        return f"{head} [{set_color('time', 'blue')}: {e_time - s_time:.2f}s, {terms}]"

    def _add_train_loss_to_tensorboard(
        self, epoch_idx: int, losses: Any, tag: str = "Loss/Train"
    ) -> None:
        for name, value in self._named(losses).items():
            self.tensorboard.add_scalar(f"{tag}/{name}", value, epoch_idx)

    def _check_nan(self, loss: torch.Tensor) -> None:
        if not torch.isfinite(loss):
            raise ConfigError(
                f"the training loss is {loss.item()}: lower learning_rate (now "
                f"{self.learning_rate}) or the weights of the model's losses"
            )


def make_trainer(config: Config, model: torch.nn.Module, folder: RunFolder) -> RunTrainer:
    """RecBole's trainer of the model, as a ``RunTrainer``."""
    base = get_trainer(config["MODEL_TYPE"], config["model"])
    bases = (RunTrainer,) if base is Trainer else (RunTrainer, base)
    trainer: RunTrainer = type(f"Run{base.__name__}", bases, {})(config, model, folder)
    return trainer


def _random_state(model: torch.nn.Module, train_data: Any) -> dict[str, Any]:
    numpy_state: Any = np.random.get_state()
    name, keys, position, has_gauss, cached = numpy_state
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, keys.astype(np.int64), int(position), int(has_gauss), float(cached)],
        "python": random.getstate(),
        "loader": train_data.generator.get_state(),
        "model": [g.get_state() for g in getattr(model, "generators", list)()],
    }


def _set_random_state(state: dict[str, Any], model: torch.nn.Module, train_data: Any) -> None:
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.astype(np.uint32), position, has_gauss, cached))
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"]:
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"][: torch.cuda.device_count()]])
    train_data.generator.set_state(state["loader"].cpu())
    for generator, saved in zip(getattr(model, "generators", list)(), state["model"], strict=True):
        generator.set_state(saved.cpu())
