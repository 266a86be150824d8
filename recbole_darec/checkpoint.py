"""Checkpoints that hold nothing but plain values and tensors, so that reading runs no code."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from recbole_darec.atomic import replacing
from recbole_darec.keys import ConfigError

FORMAT = "recbole_darec/1"
_NDARRAY, _SPARSE = "__ndarray__", "__sparse__"


class CheckpointError(ConfigError):
    """A checkpoint is missing, unreadable, or not one of this package."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` whole or not at all.

    NumPy arrays and SciPy sparse matrices, which RecBole's models keep in ``other_parameter``,
    are stored as tensors.

    Raises:
        TypeError: if a value is of a type that cannot be read back safely.
        CheckpointError: if the file cannot be written, as on a full disk.
    """
    content = {"format": FORMAT, **_encode(state, "state")}
    try:
        with replacing(path) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:
        # PyTorch's own words for a write that failed are a RuntimeError about positions.
        raise CheckpointError(
            f"checkpoint {path} cannot be written ({error}): is the disk full?"
        ) from error


def load(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint with ``weights_only=True``.

    Raises:
        CheckpointError: if the file is missing, truncated, or was not written by ``save``.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"checkpoint {path} does not exist")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read: it is truncated, or not a checkpoint of this "
            "package (RecBole's own checkpoints hold pickled objects and are not read)"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"checkpoint {path} is not one of this package (no format mark '{FORMAT}')"
        )
    decoded: dict[str, Any] = _decode(content)
    return decoded


def restore(
    model: torch.nn.Module, name: str, state: dict[str, Any], file: str | os.PathLike[str]
) -> None:
    """Put the weights of a checkpoint into a model.

    Args:
        model: one of RecBole's models or ours.
        name: the model's name in the configuration.
        state: what ``load`` returned.
        file: where it was loaded from, for messages.

    Raises:
        CheckpointError: if the checkpoint is of another model or of other sizes.
    """
    theirs = state["config"]["model"]
    if theirs != name:
        raise CheckpointError(f"checkpoint {file} is of model {theirs}, this run is of {name}")
    try:
        model.load_state_dict(state["state_dict"])
    except RuntimeError as error:
        raise CheckpointError(
            f"checkpoint {file} does not fit: it was made with another dataset or other "
            f"sizes. {error}"
        ) from error
    recbole_model: Any = model
    recbole_model.load_other_parameter(state["other_parameter"])


def _encode(value: Any, where: str) -> Any:
    # Before the plain types: NumPy's float64 is a float, but is not read back safely.
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (torch.Tensor, bool, int, float, str, type(None))):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {_NDARRAY: torch.from_numpy(np.ascontiguousarray(value))}
    if sp.issparse(value):
        csr = value.tocsr()
        parts = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr}
        return {_SPARSE: value.format, "shape": list(value.shape), **_encode(parts, where)}
    if isinstance(value, OrderedDict):
        return OrderedDict((k, _encode(v, f"{where}.{k}")) for k, v in value.items())
    if isinstance(value, dict):
        return {k: _encode(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_encode(v, where) for v in value])
    raise TypeError(f"{where} is a {type(value).__name__}, which a safe checkpoint cannot hold")


def _decode(value: Any) -> Any:
    if isinstance(value, OrderedDict):
        return OrderedDict((k, _decode(v)) for k, v in value.items())
    if isinstance(value, dict):
        if _NDARRAY in value:
            return value[_NDARRAY].cpu().numpy()
        if _SPARSE in value:
            parts = tuple(_decode(value[name]) for name in ("data", "indices", "indptr"))
            return sp.csr_matrix(parts, shape=tuple(value["shape"])).asformat(value[_SPARSE])
        return {k: _decode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_decode(v) for v in value])
    return value
