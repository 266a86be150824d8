"""Vectors by external id from files that somebody else made.

========================  =====================================================================
``X.npy``                 matrix ``(n, d)``; ids, in the same order, in ``X.ids.txt`` (a line an
                          id), ``X.ids.npy`` or ``X.ids.csv`` (first column, with a header)
``X.npz``                 arrays ``ids`` and ``embeddings``
``X.safetensors``         tensor ``embeddings``; ids beside it as for ``.npy``, or as a tensor of
                          integers ``ids``
``X.parquet``             first column ids; one column of lists, or one column a dimension
``X.csv``                 header; first column ids, one column a dimension
``X.itememb``, ``.useremb``  RecBole's text: header ``id:token<TAB>emb:float_seq``
``X.pkl``                 RLMRec's NumPy array; row numbers are the ids. Nothing but arrays is read
========================  =====================================================================
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd

from recbole_darec.embedding.table import refuse_longer_rows, require_file
from recbole_darec.keys import ConfigError

_BLOCK = 1 << 16
Rows = tuple[list[str], np.ndarray]


def load_embeddings(path: Path, key: str) -> Rows:
    """Ids and vectors of a file; the kinds are listed in the module's docstring.

    Args:
        path: the file.
        key: the configuration key that named it, for messages.

    Returns:
        The ids, and float32 ``(n, d)``; of a float32 ``.npy`` file a read-only memory map.

    Raises:
        ConfigError: if the file is missing, unreadable, of an unknown kind, not a matrix of
            finite numbers, or does not have exactly one id for every row.
    """
    check_embedding_file(path, key)
    try:
        ids, matrix = _READERS[path.suffix](path)
    except _UNREADABLE as error:
        raise ConfigError(f"key '{key}': {path} cannot be read: {error}") from error
    _check(ids, matrix, f"key '{key}': {path}")
    return ids, matrix.astype(np.float32, copy=False)


def check_embedding_file(path: Path, key: str) -> None:
    """Whether the file exists and is of a known kind, without reading it.

    Raises:
        ConfigError: if not.
    """
    require_file(path, key)
    if path.suffix not in _READERS:
        raise ConfigError(f"key '{key}': {path} must end in one of {', '.join(_READERS)}")
    if path.suffix == ".npy":
        try:
            _ids_file(path)
        except ValueError as error:
            raise ConfigError(f"key '{key}': {error}") from error


def _check(ids: list[str], matrix: np.ndarray, where: str) -> None:
    if matrix.dtype.kind not in "fiu" or matrix.ndim != 2 or 0 in matrix.shape:
        raise ConfigError(
            f"{where} must hold a matrix of numbers (rows, dimensions), found "
            f"{matrix.dtype} {matrix.shape}"
        )
    if len(ids) != len(matrix):
        raise ConfigError(f"{where} has {len(matrix)} rows, but there are {len(ids)} ids")
    blocks = np.array_split(matrix, max(1, len(matrix) // _BLOCK))
    with np.errstate(over="ignore"):
        finite = np.concatenate(
            [np.isfinite(block.astype(np.float32, copy=False)).all(axis=1) for block in blocks]
        )
    if not finite.all():
        bad = np.flatnonzero(~finite)
        examples = ", ".join(f"{row} (id {ids[row]})" for row in bad[:5])
        raise ConfigError(f"{where} has NaN or infinite values in {len(bad)} rows: {examples}")
    series = pd.Series(ids, dtype=str)
    repeated = series[series.duplicated()].unique()
    if len(repeated):
        raise ConfigError(
            f"{where} has {len(repeated)} ids more than once: {', '.join(repeated[:5])}; "
            "keep one row per id"
        )


def _ids_file(path: Path) -> Path:
    candidates = [path.with_suffix(f".ids{suffix}") for suffix in (".txt", ".npy", ".csv")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    names = ", ".join(candidate.name for candidate in candidates)
    raise ValueError(f"no ids beside {path}; write one id per row into one of {names}")


def _read_ids(path: Path) -> list[str]:
    file = _ids_file(path)
    if file.suffix == ".npy":
        return _as_ids(np.load(file, allow_pickle=False))
    if file.suffix == ".csv":
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        refuse_longer_rows(frame)
        _refuse_index(frame)
        return _as_ids(frame.iloc[:, 0])
    # Not splitlines: an id may hold what Unicode, though not RecBole, takes for the end of a line.
    text = file.read_text(encoding="utf-8-sig")
    return text.removesuffix("\n").split("\n") if text else []


def _as_ids(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _npy(path: Path) -> Rows:
    ids = _read_ids(path)
    try:
        return ids, np.lib.format.open_memmap(path, mode="r")
    except (SyntaxError, TokenError) as error:
        raise ValueError(f"its header is damaged ({error})") from error


def _npz(path: Path) -> Rows:
    with np.load(path, allow_pickle=False) as arrays:
        return _as_ids(arrays["ids"]), arrays["embeddings"]


def _safetensors(path: Path) -> Rows:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    ids = _as_ids(tensors["ids"].tolist()) if "ids" in tensors else _read_ids(path)
    return ids, tensors["embeddings"].float().numpy()


def _parquet(path: Path) -> Rows:
    frame = pd.read_parquet(path)
    if not isinstance(frame.index, pd.RangeIndex):  # the ids, if it has a name
        frame = frame.reset_index()
    _refuse_index(frame)
    if frame.shape[1] == 2:
        return _as_ids(frame.iloc[:, 0]), np.array(
            [np.asarray(row, dtype=np.float32) for row in frame.iloc[:, 1]]
        )
    return _as_ids(frame.iloc[:, 0]), frame.iloc[:, 1:].to_numpy(dtype=np.float32)


def _csv(path: Path) -> Rows:
    # A converter, since an id such as NA would be a missing value for a dtype.
    frame = pd.read_csv(path, converters={0: str})
    refuse_longer_rows(frame)
    _refuse_index(frame)
    if any(_is_fraction(str(name)) for name in frame.columns[1:]):
        raise ValueError(
            f"its first line ({frame.columns[0]}, {frame.columns[1]}, ...) holds values where the "
            "columns' names should be; write a header"
        )
    return _as_ids(frame.iloc[:, 0]), frame.iloc[:, 1:].to_numpy(dtype=np.float32)


def _refuse_index(frame: pd.DataFrame) -> None:
    """Numbers of rows would pass for ids, as most datasets have the ids 1, 2, 3."""
    if str(frame.columns[0]) in ("index", "Unnamed: 0", "__index_level_0__"):
        raise ValueError(
            "its first column, which should hold the ids, is pandas' index; write the file with "
            "index=False"
        )


def _is_fraction(text: str) -> bool:
    """Names such as 0, 1, 2 are what pandas gives columns without one."""
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and not value.is_integer()


def _recbole(path: Path) -> Rows:
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    refuse_longer_rows(frame)
    if not all(":" in name for name in frame.columns):
        raise ValueError(
            f"its first line begins with '{frame.columns[0]}'; expected RecBole's header, whose "
            "columns are named name:type, such as iid:token"
        )
    rows = [np.array(text.split(), dtype=np.float32) for text in frame.iloc[:, 1]]
    return _as_ids(frame.iloc[:, 0]), np.array(rows)


def _rlmrec(path: Path) -> Rows:
    with path.open("rb") as file:
        found = _ArrayUnpickler(file).load()
    if not isinstance(found, _PickledArray):
        raise ValueError(f"it holds a {type(found).__name__}, not a NumPy array")
    matrix = found.matrix()
    return [str(row) for row in range(len(matrix))], matrix


class _ArrayUnpickler(pickle.Unpickler):
    """Reads what NumPy's pickles say of an array; any other global in the file is refused.

    None of NumPy's own functions is handed to the file: with ``ndarray``, ``dtype`` and their
    ``__setstate__`` it could lay arrays of objects over bytes of its choice.
    """

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a global of the file, made anew so that the file can spoil no other."""
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: _latin1(text, encoding)
        if (module, name) == ("numpy", "ndarray"):
            return object()
        if (module, name) == ("numpy", "dtype"):
            return lambda code, *_: _PickledDtype(code)
        home, _, leaf = module.rpartition(".")
        if home in {"numpy.core", "numpy._core"}:
            if (leaf, name) == ("multiarray", "_reconstruct"):
                return lambda *_: _PickledArray()
            if (leaf, name) == ("numeric", "_frombuffer"):
                return lambda buffer, dtype, shape, order: _PickledArray(
                    shape, dtype, order == "F", buffer
                )
        raise pickle.UnpicklingError(
            f"it asks for '{module}.{name}'; only pickles of NumPy arrays are read"
        )


class _PickledDtype:
    """A type of numbers as a pickle describes it: code and byte order."""

    def __init__(self, code: Any) -> None:
        self._code, self._order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = state[1]

    def dtype(self) -> np.dtype[Any]:
        """The type, if it is one of numbers."""
        if not re.fullmatch(r"[fiu]\d+", self._code):
            raise ValueError(f"it holds an array of type {self._code!r}; only numbers are read")
        return np.dtype(f"{self._order}{self._code}")


class _PickledArray:
    """An array as a pickle describes it."""

    def __init__(
        self, shape: Any = (0,), dtype: Any = None, fortran: Any = False, content: Any = b""
    ) -> None:
        self._parts = shape, dtype, fortran, content

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, *parts = state
        self.__init__(*parts)  # type: ignore[misc]

    def matrix(self) -> np.ndarray:
        """The array; NumPy checks that the content fits the shape."""
        shape, dtype, fortran, content = self._parts
        numbers: Any = np.frombuffer(content, dtype.dtype())
        matrix: np.ndarray = numbers.reshape(shape, order="F" if fortran else "C")
        return matrix


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec '{encoding}'")
    return text.encode("latin1")


# What the readers raise on a damaged file; a damaged pickle may fail at any of its operations.
_UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    OSError,
    EOFError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
_READERS: dict[str, Callable[[Path], Rows]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": _parquet,
    ".csv": _csv,
    ".itememb": _recbole,
    ".useremb": _recbole,
    ".pkl": _rlmrec,
}
