"""A trained model, its data and its results from a run folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.utils import init_seed

from recbole_darec import checkpoint, compat
from recbole_darec.checksums import verify
from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset, prepare_data
from recbole_darec.fingerprints import check_fingerprints, fingerprints
from recbole_darec.keys import ConfigError
from recbole_darec.moved import check_moved
from recbole_darec.quick_start import build_model
from recbole_darec.run_folder import RunFolder

# What makes RecBole read or write pickles, its models read checkpoints of others by path, and
# encoders send texts or join a cluster; a stranger's configuration may ask for it. The weights
# come from model.pth.
_SAFE = {
    "allow_pickle": False,
    "text_engine": "local",
    "ray_address": None,
    "ray_workers": None,
    "dataset_save_path": None,
    "dataloaders_save_path": None,
    "save_dataset": False,
    "save_dataloaders": False,
    "show_progress": False,
    "resume": None,
    "use_pretrain": False,
    "pretrain_path": None,
    "pre_model_path": "",
    "train_method": "no_pretrain",
    "train_stage": "actor_pretrain",
}
_ENDPOINT = {"api_base", "api_key_env"}


@dataclass(frozen=True)
class Run:
    """A finished run, ready to be used.

    Attributes:
        folder: where it lies.
        config: its configuration.
        model: the model of the best epoch, in evaluation mode.
        loaders: RecBole's dataloaders of training, validation and test data.
        metrics: content of ``metrics.json``.
    """

    folder: RunFolder
    config: Config
    model: torch.nn.Module
    loaders: tuple[Any, Any, Any]
    metrics: dict[str, Any]

    @property
    def dataset(self) -> Any:
        """RecBole's dataset of the training part: ids, fields, side embeddings."""
        return self.loaders[0]._dataset

    @cached_property
    def user_ids(self) -> np.ndarray:
        """External ids of the users by internal id, ``(n_users,)``; 0 is RecBole's padding."""
        return np.asarray(self.dataset.field2id_token[self.dataset.uid_field], dtype=str)

    @cached_property
    def item_ids(self) -> np.ndarray:
        """External ids of the items by internal id, ``(n_items,)``; 0 is RecBole's padding."""
        return np.asarray(self.dataset.field2id_token[self.dataset.iid_field], dtype=str)

    def untrained_model(self) -> torch.nn.Module:
        """The model as it was before training: same configuration, same seed."""
        init_seed(self.config["seed"], self.config["reproducibility"])
        return build_model(self.config, self.dataset).eval()

    def __repr__(self) -> str:
        backbone = f" on {self.metrics['backbone']}" if self.metrics.get("backbone") else ""
        results = ", ".join(f"{k} {v:.4f}" for k, v in (self.metrics["test_result"] or {}).items())
        return (
            f"<Run {self.metrics['model']}{backbone}, {self.metrics['dataset']}: "
            f"{len(self.user_ids) - 1} users, {len(self.item_ids) - 1} items; "
            f"test {results}; {self.folder.path}>"
        )


def load(path: str | os.PathLike[str], **moved: Any) -> Run:
    """Load a finished run from its folder alone, without running code from it.

    The data are read anew from where the configuration says and must be those of the run. Texts
    come from the store or are encoded on this machine; an endpoint is asked only if its address
    and the variable of its key are given here, as a folder may name any.

    Args:
        path: the run folder.
        moved: where data or devices are now, if no longer where the run had them: one of
            ``data_path``, ``embedding_dir``, ``item_embedding_file``, ``use_gpu``, ...; see
            ``moved.MOVABLE``.

    Raises:
        ConfigError: if a file of the folder is missing or was altered, the data are not those
            that the run saw, or the checkpoint does not fit.
    """
    folder = RunFolder(Path(path))
    verify(folder.path)
    check_moved(path, moved)
    allowed = {"api_allowed": set(moved) >= _ENDPOINT}
    config = Config(
        config_file_list=[folder.config],
        config_dict={**folder.earlier_values(), **_SAFE, **allowed, **moved},
    )
    # RecBole unpickles a dataset that lies in checkpoint_dir; in this one nothing can.
    config["checkpoint_dir"] = os.devnull
    compat.require_dataset(config)
    init_seed(config["seed"], config["reproducibility"])
    loaders = prepare_data(config, create_dataset(config))
    metrics = _read_metrics(folder)
    check_fingerprints(metrics, fingerprints(config, loaders), config, folder.path)
    init_seed(config["seed"], config["reproducibility"])
    model = build_model(config, loaders[0]._dataset)
    state = checkpoint.load(folder.best, config["device"])
    checkpoint.restore(model, config["model"], state, folder.best)
    return Run(folder, config, model.eval(), loaders, metrics)


def _read_metrics(folder: RunFolder) -> dict[str, Any]:
    needed = {"model", "dataset", "test_result", "dataset_fingerprint", "embedding_fingerprints"}
    try:
        metrics = folder.read_metrics()
    except ValueError as error:
        raise ConfigError(f"{folder.metrics} is not valid json: {error}") from error
    if not isinstance(metrics, dict) or needed - set(metrics):
        raise ConfigError(f"{folder.metrics} is not the results of a run of this package")
    return metrics
