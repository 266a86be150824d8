"""The life of one run: configuration, data, model, training, test, results on disk."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from logging import INFO, WARNING, getLogger
from typing import Any

import torch
from recbole.utils import get_environment, init_seed, set_color

from recbole_darec import checkpoint, compat
from recbole_darec.checkpoint import CheckpointError
from recbole_darec.checksums import CHECKSUMS, seal
from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset, prepare_data
from recbole_darec.data.side_configuration import check_side_configuration
from recbole_darec.fingerprints import fingerprints
from recbole_darec.inference.model_scorer import ModelScorer
from recbole_darec.inference.saved_scorer import FILE_NAME
from recbole_darec.keys import ConfigError
from recbole_darec.logger import end_log, init_logger
from recbole_darec.moved import MOVABLE
from recbole_darec.run_folder import RunFolder
from recbole_darec.sole_user import LOCK, sole_user
from recbole_darec.trainer import EpochCallback, RunTrainer, make_trainer

Result = dict[str, Any]


def run_recbole_darec(
    model: str | None = None,
    dataset: str | None = None,
    config_file_list: Sequence[str] | None = None,
    config_dict: Mapping[str, Any] | None = None,
    saved: bool = True,
    command_line: Sequence[str] = (),
    callback_fn: EpochCallback | None = None,
    tested: bool = True,
    loaded: Any = None,
) -> Result:
    """Train a model, ours or RecBole's, and test the epoch that is best on validation.

    Args:
        model: name of a model; default ``DaRec``.
        dataset: name of a dataset; default ``ml-100k``.
        config_file_list: yaml files, later ones win.
        config_dict: parameters by key.
        saved: whether to keep the checkpoints in the run folder.
        command_line: arguments of the form ``--key=value``.
        callback_fn: called with epoch and validation score after each validation.
        tested: whether to look at the test part; a search does not, ``test_result`` is then None.
        loaded: result of ``create_dataset`` for the same data, which saves reading the files; it
            is used up by the run.

    Returns:
        RecBole's result dictionary (``best_valid_score``, ``valid_score_bigger``,
        ``best_valid_result``, ``test_result``) and ``run_folder``.

    Raises:
        ConfigError: if the configuration or the data are wrong, or the run to resume is still
            running; before any training. Later, if a loss or the validation score is no number.
    """
    config = Config(model, dataset, config_file_list, config_dict, command_line)
    if config["resume"]:
        config, folder = _reopen(config, {"model": model, "dataset": dataset})
        if folder.metrics.is_file():
            if not (folder.path / CHECKSUMS).is_file():
                _finish(folder, saved)
            return _result(folder.read_metrics(), folder)
    else:
        compat.check_packages(config)
        compat.require_dataset(config)
        check_side_configuration(config)
        folder = RunFolder.create(config)
    try:
        with sole_user(folder.path, "start a new run"):
            result = _run(config, folder, saved, callback_fn, tested, loaded)
        (folder.path / LOCK).unlink(missing_ok=True)
        return result
    finally:
        end_log()


def _reopen(config: Config, named: Mapping[str, str | None]) -> tuple[Config, RunFolder]:
    folder = RunFolder.open(config["resume"])
    moved = {k: v for k, v in config.external_config_dict.items() if k in MOVABLE}
    theirs = Config(
        config_file_list=[folder.config], config_dict={**folder.earlier_values(), **moved}
    )
    if theirs["allow_pickle"] and not config["allow_pickle"]:
        raise ConfigError(
            f"{folder.config} says allow_pickle: True, and reading a pickle can run code; give "
            "--allow_pickle=True again if you made that folder yourself"
        )
    if not theirs["allow_pickle"]:
        # RecBole would read the file that it saved, or that somebody planted.
        theirs["save_dataloaders"] = False
    given = config.external_config_dict.keys() - {"resume", *moved}
    given |= {key for key, name in named.items() if name is not None}
    mine, kept = config.resolved(), theirs.resolved()
    changed = [key for key in sorted(given) if mine[key] != kept.get(key)]
    if changed:
        raise ConfigError(
            f"a resumed run keeps its configuration, but {', '.join(changed)} differs from "
            f"{folder.config}; start a new run to change it"
        )
    if not folder.metrics.is_file() and not folder.last.is_file():
        raise CheckpointError(f"{folder.path} has no last.pth: the run ended before an epoch did")
    return theirs, folder


def _run(
    config: Config,
    folder: RunFolder,
    saved: bool,
    callback_fn: EpochCallback | None,
    tested: bool,
    loaded: Any,
) -> Result:
    init_logger(folder.log, config["state"] or "INFO")
    try:
        loaders, model, trainer = _prepare(config, folder, loaded)
    except ConfigError:
        end_log()
        folder.discard()
        raise
    show = bool(config["show_progress"]) and sys.stderr is not None and sys.stderr.isatty()
    score, best = trainer.fit(loaders[0], loaders[1], show_progress=show, callback_fn=callback_fn)
    if not folder.best.is_file():
        trainer._save_checkpoint(-1, verbose=False)
    if trainer.best_epoch is not None:
        _warn_of_warm_up(config, (trainer.best_epoch + 1) * len(loaders[0]))
    test, users = trainer.test(loaders[0], loaders[2], show) if tested else (None, None)
    if saved:
        _save_scorer(config, model, loaders, folder)
    metrics = _metrics(config, trainer, score, best, test)
    _log_end(config, metrics)
    try:
        if users is not None:
            users.save(folder.path)
        folder.write_metrics(metrics)
        _finish(folder, saved)
    except OSError as error:
        raise ConfigError(
            f"the results cannot be written into {folder.path} ({error}): is the disk full? Make "
            f"room, and --resume={folder.path} writes them. Test result: {metrics['test_result']}"
        ) from error
    return _result(metrics, folder)


def _prepare(config: Config, folder: RunFolder, loaded: Any) -> tuple[Any, Any, RunTrainer]:
    """Loaders, model and trainer, as they are when training begins or goes on."""
    config.warn_of_unread_keys()
    logger = getLogger()
    config["checkpoint_dir"] = str(folder.path)
    init_seed(config["seed"], config["reproducibility"])
    logger.info(config)
    dataset = create_dataset(config) if loaded is None else loaded
    dataset.config = config
    logger.info(dataset)
    loaders = prepare_data(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = build_model(config, loaders[0]._dataset)
    logger.info(model)
    trainer = make_trainer(config, model, folder)
    trainer.fingerprints = fingerprints(config, loaders)
    if config["resume"] or folder.last.is_file():
        trainer.resume(loaders[0])
    return loaders, model, trainer


def _finish(folder: RunFolder, saved: bool) -> None:
    """What is left to do once the results are written; done again if a kill came between."""
    folder.last.unlink(missing_ok=True)
    if not saved:
        folder.best.unlink(missing_ok=True)
    end_log()
    seal(folder.path)


def _save_scorer(config: Config, model: torch.nn.Module, loaders: Any, folder: RunFolder) -> None:
    """Keep what recommending needs of the best epoch, where the scores are inner products."""
    state = checkpoint.load(folder.best, config["device"])
    checkpoint.restore(model, config.model, state, folder.best)
    try:
        ModelScorer(config, model.eval(), loaders).saved().save(folder.path)
    except (ConfigError, UnicodeError, OSError) as error:
        level = WARNING if isinstance(error, OSError) else INFO
        getLogger().log(level, f"No {FILE_NAME}, recommending will load model and data: {error}")


def build_model(config: Config, train_dataset: Any) -> torch.nn.Module:
    """The model of the configuration on its device.

    Raises:
        ConfigError: if the model needs a package that is not installed, or if it is RecBole's and
            cannot be built with these keys.
    """
    if config.model == "NCL":
        sizes = train_dataset.user_num, train_dataset.item_num
        compat.require_points("model 'NCL'", config, *sizes)
    refusals = nullcontext() if config.is_ours else compat.recboles_refusals(config.model, config)
    try:
        with refusals:
            model: torch.nn.Module = config.model_class(config, train_dataset)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"model '{config.model}' needs the package '{error.name}': pip install {error.name}"
        ) from error
    if config.model == "LINE":
        compat.require_strangers("model 'LINE'", model, train_dataset)
    compat.keep_clusters(model)
    return model.to(config["device"])


def _log_end(config: Config, metrics: Mapping[str, Any]) -> None:
    logger = getLogger()
    if not logger.isEnabledFor(INFO):
        return  # RecBole measures the processor for a second
    environment = get_environment(config).draw()
    logger.info(f"The running environment of this training is as follows:\n{environment}")
    logger.info(set_color("best valid ", "yellow") + f": {metrics['best_valid_result']}")
    logger.info(set_color("test result", "yellow") + f": {metrics['test_result']}")


def _warn_of_warm_up(config: Config, steps: int) -> None:
    """Say that the epoch that was kept is one in which the alignment was not yet at its weight."""
    warm_up = (config["alignment_warmup"] or 0) if config.alignment_part else 0
    if config["alignment_weight"] and steps < warm_up:
        getLogger().warning(
            f"The epoch that was kept came after {steps} steps, within alignment_warmup "
            f"({warm_up}): the alignment had reached {steps / warm_up:.0%} of its weight; with "
            "data this small set alignment_warmup to less"
        )


def _metrics(
    config: Config, trainer: RunTrainer, score: float, best: Any, test: Any
) -> dict[str, Any]:
    return {
        "model": config.model,
        "backbone": config["backbone"] if config.has_backbone else None,
        "dataset": config.dataset,
        "seed": config["seed"],
        "valid_metric": config["valid_metric"],
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_score": float(score) if math.isfinite(score) else None,
        "best_valid_result": _floats(best),
        "test_result": _floats(test),
        "best_epoch": trainer.best_epoch,
        "epoch_seconds": trainer.epoch_seconds,
        "eval_seconds": trainer.eval_seconds,
        "train_losses": trainer.train_losses,
        **trainer.fingerprints,
        "versions": _versions(),
    }


def _floats(metrics: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if metrics is None else {name: float(value) for name, value in metrics.items()}


def _versions() -> dict[str, str]:
    names = ("recbole-darec", "recbole", "torch", "numpy", "scipy", "pandas", "transformers")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            from recbole_darec import __version__

            found[name] = __version__
    return found


def _result(metrics: Mapping[str, Any], folder: RunFolder) -> Result:
    names = ("best_valid_score", "valid_score_bigger", "best_valid_result", "test_result")
    result = {name: metrics[name] for name in names}
    if result["best_valid_score"] is None:  # RecBole's value where nothing was validated
        result["best_valid_score"] = -math.inf if metrics["valid_score_bigger"] else math.inf
    return {**result, "run_folder": str(folder.path)}
