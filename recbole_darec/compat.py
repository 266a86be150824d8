"""RecBole 1.2.0 and 1.2.1 on current NumPy, SciPy, pandas, PyTorch and Ray.

One function per upstream fault; :func:`install` applies all of them once. Importing this module
imports neither RecBole nor PyTorch. ``torch.load`` stays as it is: our trainer writes checkpoints
that load with ``weights_only=True``.

Faults of RecBole that need no mending here: ``logger.warnning`` (1.2.0) is reached only by
shuffled evaluation loaders, which RecBole never builds; the collector of 1.2.0 moves every batch
of results to the CPU, which is slower but equal; pandas 3 ignores ``fillna(inplace=True)`` on a
column, which is why this package asks for ``pandas<3``.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from recbole_darec.keys import ConfigError


@cache
def install() -> None:
    """Mend RecBole in this process. Call before RecBole is used; later calls do nothing."""
    restore_numpy_aliases()
    restore_dok_matrix_update()
    mend_dataset_download()
    put_tensorboard_beside_log()


def restore_numpy_aliases() -> None:
    """RecBole 1.2.0 and 1.2.1 use ``np.float`` and its like, which NumPy 1.24 removed.

    ``Config.compatibility_settings`` puts them back from ``np.float_``, ``np.complex_`` and
    ``np.unicode_``, which NumPy 2.0 removed in turn, so every ``Config`` raises AttributeError.
    Here only the missing names are added, with the types that RecBole gives them.
    """
    import numpy as np
    from recbole.config import Config

    aliases = {
        "bool": np.bool_,
        "int": np.int_,
        "float": np.float64,
        "complex": np.complex128,
        "object": np.object_,
        "str": np.str_,
        "long": np.int_,
        "unicode": np.str_,
    }
    for name, alias in aliases.items():
        if name not in vars(np):
            setattr(np, name, alias)
    Config.compatibility_settings = lambda self: None


def restore_dok_matrix_update() -> None:
    """RecBole 1.2.0 and 1.2.1 build graphs by ``dok_matrix._update``, removed in SciPy 1.13.

    Concerns LightGCN, NGCF, NCL, GCMC and SpectralCF (and the knowledge-aware KGIN and MCCLK).
    """
    import scipy.sparse as sp

    if not hasattr(sp.dok_matrix, "_update"):
        sp.dok_matrix._update = lambda self, entries: self._dict.update(entries)


def mend_dataset_download() -> None:
    """``Dataset._download`` waits at a barrier of process groups that a single process lacks.

    RecBole 1.2.0 and 1.2.1 raise ``ValueError: Default process group has not been initialized``
    after the download, and without a network leave the reader with a bare ``URLError``.
    """
    import torch.distributed
    from recbole.data.dataset import Dataset

    def _download(self: Any) -> None:
        if self.config["local_rank"] == 0:
            download_dataset(self.dataset_name, Path(self.dataset_path))
        if torch.distributed.is_initialized():
            torch.distributed.barrier()

    Dataset._download = _download


def put_tensorboard_beside_log() -> None:
    """The trainers of RecBole 1.2.0 and 1.2.1 write ``log_tensorboard/`` in the working folder.

    Here the events lie in ``tensorboard/`` beside the log file, and nowhere without a log file.
    """
    import recbole.trainer.trainer
    from torch.utils.tensorboard import SummaryWriter

    def get_tensorboard(logger: logging.Logger) -> Any:
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler) and handler.baseFilename != os.devnull:
                return SummaryWriter(str(Path(handler.baseFilename).parent / "tensorboard"))
        return _NoTensorBoard()

    recbole.trainer.trainer.get_tensorboard = get_tensorboard


class _NoTensorBoard:
    """Takes what RecBole's trainers write to TensorBoard, and drops it."""

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        """Drop a scalar."""

    def add_hparams(self, *args: Any, **kwargs: Any) -> None:
        """Drop the hyper-parameters."""


def known_datasets() -> dict[str, str]:
    """Names of the datasets that RecBole can download, with their addresses."""
    import yaml

    text = (_recbole_folder() / "properties" / "dataset" / "url.yaml").read_text("utf-8")
    addresses: dict[str, str] = yaml.safe_load(text)
    return addresses


@cache
def general_recommenders() -> dict[str, str]:
    """RecBole's general recommenders, traditional ones included: class name to module name.

    The sources are read, not imported, so that this costs no import of PyTorch. A model is the
    class whose name in lower case is that of its file, as in RecBole's ``get_model``.
    """
    package = "recbole.model.general_recommender"
    folder = _recbole_folder() / "model" / "general_recommender"
    found = {}
    for path in sorted(folder.glob("[!_]*.py")):
        for name in re.findall(r"^class (\w+)", path.read_text("utf-8"), flags=re.MULTILINE):
            if name.lower() == path.stem:
                found[name] = f"{package}.{path.stem}"
    return found


def require_dataset(config: Any) -> None:
    """Make sure that the interactions of a configured dataset are there; download if need be.

    Args:
        config: a RecBole configuration with ``dataset``, ``data_path`` and, where the split is
            given by files, ``benchmark_filename``.

    Raises:
        ConfigError: if files are missing and cannot be had; nothing has been created then.
    """
    name, folder = config["dataset"], Path(config["data_path"])
    if not folder.exists():
        download_dataset(name, folder)
    parts = config["benchmark_filename"]
    stems = [f"{name}.{part}" for part in parts] if parts else [name]
    missing = [f"{stem}.inter" for stem in stems if not (folder / f"{stem}.inter").is_file()]
    if missing:
        raise ConfigError(
            f"dataset '{name}': {', '.join(missing)} not found in {folder}. "
            "Put the file there, or correct 'dataset' and 'data_path'"
        )


def download_dataset(name: str, folder: Path, url: str | None = None) -> None:
    """Download a dataset as RecBole does, or leave no trace.

    Args:
        name: RecBole's name of the dataset.
        folder: where its atomic files will lie; must not exist yet.
        url: address of the zip file; by default the one that RecBole knows.

    Raises:
        ConfigError: if the name is unknown to RecBole or the download fails; the message says
            which files belong where.
    """
    url = url or known_datasets().get(name)
    if url is None:
        raise ConfigError(
            f"dataset '{name}' is not in {folder}, and RecBole knows no address to download it "
            f"from. {_where_files_belong(name, folder)}"
        )
    try:
        _fetch(name, folder, url)
    except (OSError, RuntimeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"dataset '{name}' is not in {folder}, and its download from {url} failed "
            f"({error}). {_where_files_belong(name, folder)}"
        ) from error


def _fetch(name: str, folder: Path, url: str) -> None:
    from recbole.utils.url import (
        decide_download,
        download_url,
        extract_zip,
        rename_atomic_files,
    )

    if not decide_download(url):
        raise RuntimeError("declined")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as temporary:
        archive = download_url(url, temporary)
        content = Path(temporary) / "content"
        extract_zip(archive, content)
        rename_atomic_files(content, Path(archive).stem, name)
        if not (content / f"{name}.inter").is_file():
            raise RuntimeError(f"the archive holds no {name}.inter")
        content.rename(folder)


def _where_files_belong(name: str, folder: Path) -> str:
    return (
        f"Put the files there yourself: {folder / name}.inter, and where the dataset has them "
        f"{folder / name}.item and {folder / name}.user; or correct 'dataset' and 'data_path'"
    )


def _recbole_folder() -> Path:
    spec = importlib.util.find_spec("recbole")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
