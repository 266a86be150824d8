"""RLMRec's own LightGCN, from a copy of its repository, as a contender of ``epoch_speed.py``.

Its loaders, model, trainer and evaluation run as they are, on RecBole's split. Its ``configurator``
reads pickles of embeddings that its LightGCN does not use: the configuration is set here instead,
from its yaml, with the width, layers and batch of the other contenders and without edge dropout,
which none of them has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml


class Loader:
    """Batches of an epoch, for which RLMRec first draws all negative items."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __iter__(self) -> Iterator[Any]:
        self.data.train_dataloader.dataset.sample_negs()
        return iter(self.data.train_dataloader)


class Trainer:
    """RLMRec's trainer and evaluation under the names of RecBole's."""

    def __init__(self, trainer: Any, model: Any) -> None:
        self.trainer, self.model = trainer, model
        trainer.create_optimizer(model)

    def _train_epoch(self, _loader: Loader, epoch: int) -> None:
        self.trainer.train_epoch(self.model, epoch)

    def _valid_epoch(self, _loader: None) -> Any:
        self.model.eval()
        return self.trainer.metric.eval(self.model, self.trainer.data_handler.test_dataloader)


def why_absent(path: Path) -> str | None:
    """What is missing for running it, if anything."""
    file = path / "encoder" / "models" / "general_cf" / "lightgcn.py"
    return None if file.is_file() else f"there is no {file}"


def handler(args: argparse.Namespace, matrices: dict[str, Any]) -> Any:
    """RLMRec's data handler, before it forms its graph and loaders.

    Args:
        args: the command line.
        matrices: users by items, scipy COO, of ``train``, ``valid`` and ``test``.

    Raises:
        ImportError: if its code needs what is not installed.
    """
    encoder = args.rlmrec / "encoder"
    sys.path.insert(0, str(encoder))
    module = ModuleType("config.configurator")
    module.configs = configuration(encoder, args)  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    data = import_module("data_utils.data_handler_general_cf").DataHandlerGeneralCF()
    for name in ("models.general_cf.lightgcn", "trainer.trainer"):
        import_module(name)
    # What it takes for the names of pickles are the matrices themselves.
    data._load_one_mat = lambda matrix: matrix.astype("float32")
    for attribute, part in (("trn_file", "train"), ("val_file", "valid"), ("tst_file", "test")):
        setattr(data, attribute, matrices[part])
    return data


def build(data: Any) -> tuple[Any, Trainer]:
    """RLMRec's graph and loaders, its model and its trainer."""
    data.load_data()
    model = import_module("models.general_cf.lightgcn").LightGCN(data)
    model = model.to(data.torch_adj.device)
    return model, Trainer(import_module("trainer.trainer").Trainer(data, None), model)


def configuration(encoder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """RLMRec's configuration of LightGCN with what all contenders share."""
    text = (encoder / "config" / "modelconf" / "lightgcn.yml").read_text("utf-8")
    configs: dict[str, Any] = yaml.safe_load(text)
    configs["model"] |= {
        "name": "lightgcn",
        "embedding_size": args.dim,
        "layer_num": args.layers,
        "keep_rate": 1.0,
    }
    # Its handler knows three names, and the model's keys under them go before the others.
    configs["data"]["name"] = "amazon"
    configs["model"].pop("amazon", None)
    configs["model"].setdefault("reg_weight", 1e-6)
    configs["train"]["batch_size"] = args.batch
    configs["device"], configs["tune"] = args.device, {"enable": False}
    return configs
