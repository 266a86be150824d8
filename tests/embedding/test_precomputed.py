import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from recbole_darec.embedding.precomputed import load_embeddings
from recbole_darec.keys import ConfigError

IDS = ["007", "b", "1"]
MATRIX = np.array([[0.5, -1.0], [2.0, 3.0], [0.25, 1e-3]], dtype=np.float32)


def write(folder: Path, kind: str) -> Path:
    path = folder / kind.replace("/", ".")
    columns = {"item_id": IDS, "e0": MATRIX[:, 0], "e1": MATRIX[:, 1]}
    if kind.startswith("x.npy"):
        path = folder / "x.npy"
        np.save(path, MATRIX)
        if kind.endswith("txt"):
            (folder / "x.ids.txt").write_text("\n".join(IDS) + "\n", encoding="utf-8-sig")
        elif kind.endswith("csv"):
            (folder / "x.ids.csv").write_text("item_id,n\n007,1\nb,2\n1,3\n")
        else:
            np.save(folder / "x.ids.npy", np.array(IDS))
    elif kind == "x.npz":
        np.savez(path, ids=np.array(IDS), embeddings=MATRIX)
    elif kind == "x.safetensors":
        save_file({"embeddings": MATRIX}, path)
        (folder / "x.ids.txt").write_text("\n".join(IDS))
    elif kind == "lists.parquet":
        pd.DataFrame({"item_id": IDS, "v": list(MATRIX)}).to_parquet(path)
    elif kind == "columns.parquet":
        pd.DataFrame(columns).to_parquet(path)
    elif kind == "x.csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    else:
        values = [" ".join(map(repr, row)) for row in MATRIX.astype(float).tolist()]
        lines = [f"{i}\t{text}" for i, text in zip(IDS, values, strict=True)]
        path.write_text("iid:token\titem_emb:float_seq\n" + "\n".join(lines) + "\n")
    return path


def test_numbers_beyond_float32_are_not_finite(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", ids=["a", "b"], embeddings=np.array([[1.0], [1e39]]))
    with pytest.raises(ConfigError, match=r"infinite values in 1 rows: 1 \(id b\)"):
        load_embeddings(tmp_path / "x.npz", "item_embedding_file")


def test_ids_with_what_unicode_takes_for_the_end_of_a_line(tmp_path: Path) -> None:
    ids = ["a\u2028b", "c\x85", "\x1cd"]
    np.save(tmp_path / "x.npy", MATRIX)
    for end in ("", "\n"):
        (tmp_path / "x.ids.txt").write_text("\n".join(ids) + end, encoding="utf-8")
        assert load_embeddings(tmp_path / "x.npy", "item_embedding_file")[0] == ids
    (tmp_path / "x.ids.txt").write_text("")
    with pytest.raises(ConfigError, match="has 3 rows, but there are 0 ids"):
        load_embeddings(tmp_path / "x.npy", "item_embedding_file")


def test_ids_that_look_like_missing_values(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("item_id,e0\nNA,1\nnull,2\n,3\n")
    assert load_embeddings(tmp_path / "x.csv", "item_embedding_file")[0] == ["NA", "null", ""]


KINDS = [
    "x.npy/txt",
    "x.npy/csv",
    "x.npy/npy",
    "x.npz",
    "x.safetensors",
    "lists.parquet",
    "columns.parquet",
    "x.csv",
    "x.itememb",
    "x.useremb",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same(tmp_path: Path, kind: str) -> None:
    ids, matrix = load_embeddings(write(tmp_path, kind), "item_embedding_file")
    assert ids == IDS
    assert matrix.dtype == np.float32
    assert np.array_equal(matrix, MATRIX)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("order", ["C", "F"])
def test_rlmrec_pickle(tmp_path: Path, protocol: int, order: Any) -> None:
    path = tmp_path / "usr_emb_np.pkl"
    with path.open("wb") as file:
        pickle.dump(np.asarray(MATRIX, order=order).astype(np.float64), file, protocol=protocol)
    ids, matrix = load_embeddings(path, "user_embedding_file")
    assert ids == ["0", "1", "2"]
    assert np.array_equal(matrix, MATRIX)


def test_rlmrec_pickle_of_older_numpy(tmp_path: Path) -> None:
    """RLMRec's files were written by NumPy 1, whose module was numpy.core."""
    content = pickle.dumps(MATRIX, protocol=2)
    assert b"numpy._core" in content
    (tmp_path / "itm_emb_np.pkl").write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    _, matrix = load_embeddings(tmp_path / "itm_emb_np.pkl", "item_embedding_file")
    assert np.array_equal(matrix, MATRIX)


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


class Evaluating(Malicious):
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.target)!r}, 'w')",)


@pytest.mark.parametrize("kind", [Malicious, Evaluating])
@pytest.mark.parametrize("inside", [False, True])
def test_malicious_pickle_is_refused_without_executing(
    tmp_path: Path, kind: type[Malicious], inside: bool
) -> None:
    target = tmp_path / "executed"
    bomb: Any = kind(target)
    payload = np.array([[bomb]], dtype=object) if inside else bomb
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(payload))
    with pytest.raises(ConfigError, match="only pickles of NumPy arrays are read"):
        load_embeddings(tmp_path / "x.pkl", "item_embedding_file")
    assert not target.exists()
    pickle.loads((tmp_path / "x.pkl").read_bytes())
    assert target.exists(), "the pickle would have done harm"


class Called:
    """A pickle that calls ``function`` with these arguments, and gives the result this state."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) + ((state,) if state else ())

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


# An array of objects over eight bytes of the file's choice, taken for the shape of another.
OVER_BYTES = Called(np.ndarray, Called(np.ndarray, (1,), "O", b"A" * 8), "f4")
RECONSTRUCT = np.empty(0).__reduce__()[0]
LOAD = """
import sys
from pathlib import Path
from recbole_darec.embedding.precomputed import load_embeddings
load_embeddings(Path(sys.argv[1]), "item_embedding_file")
"""


def test_a_pickle_that_breaks_numpy_s_memory(tmp_path: Path) -> None:
    """It names nothing but ``numpy.ndarray``; in a process of its own, which may not survive."""
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(OVER_BYTES))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "x.pkl")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "ConfigError: key 'item_embedding_file'" in done.stderr
    assert "x.pkl cannot be read: " in done.stderr


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (np.array([[None]]), "it holds an array of type 'O8'; only numbers are read"),
        (MATRIX.astype("U4"), "it holds an array of type 'U4'"),
        ([1.0], "it holds a list, not a NumPy array"),
        (Called(RECONSTRUCT, np.ndarray, (0,), b"b"), "cannot be read"),
        (
            Called(
                RECONSTRUCT,
                np.ndarray,
                (0,),
                b"b",
                state=(1, (5, 2), np.dtype("f4"), False, MATRIX.tobytes()),
            ),
            r"cannot reshape array of size 6 into shape \(5,2\)",
        ),
    ],
)
def test_pickles_of_something_else(tmp_path: Path, payload: Any, message: str) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(payload))
    with pytest.raises(ConfigError, match=message):
        load_embeddings(tmp_path / "x.pkl", "k")


@pytest.mark.parametrize("code", [">f8", "<f2", "i4", "u1"])
def test_rlmrec_pickle_of_other_numbers(tmp_path: Path, code: str) -> None:
    numbers = np.arange(6).reshape(3, 2)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(numbers.astype(code)))
    assert np.array_equal(load_embeddings(tmp_path / "x.pkl", "k")[1], numbers)


def test_a_pickle_that_asks_for_another_codec(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(b"c_codecs\nencode\n(Va\nVrot13\ntR.")
    with pytest.raises(ConfigError, match=r"x\.pkl cannot be read: it asks for the codec 'rot13'"):
        load_embeddings(tmp_path / "x.pkl", "k")


def test_an_npy_whose_header_is_damaged(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", MATRIX)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"}", b"("))
    (tmp_path / "x.ids.txt").write_text("\n".join(IDS))
    with pytest.raises(ConfigError, match=r"x\.npy cannot be read: its header is damaged \("):
        load_embeddings(tmp_path / "x.npy", "k")


def test_object_arrays_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    (tmp_path / "x.ids.txt").write_text("a")
    np.save(tmp_path / "x.npy", np.array([[Malicious(target)]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", ids=np.array(["a"]), embeddings=np.array([[{}]], dtype=object))
    for name, why in (("x.npy", "Array can't be memory-mapped"), ("x.npz", "Object arrays")):
        with pytest.raises(ConfigError, match=f"{name} cannot be read: {why}"):
            load_embeddings(tmp_path / name, "item_embedding_file")
    assert not target.exists()


@pytest.mark.parametrize(
    ("ids", "matrix", "message"),
    [
        (["a"], MATRIX, r"has 3 rows, but there are 1 ids"),
        (IDS, MATRIX[:, 0], r"must hold a matrix of numbers .* found float32 \(3,\)"),
        (IDS, MATRIX[:, :0], r"must hold a matrix"),
        (IDS, MATRIX.astype(complex), r"found complex"),
        (IDS, np.where(MATRIX == 2, np.nan, MATRIX), r"NaN or infinite values in 1 rows: 1 \(id b"),
        (IDS, np.where(MATRIX == 2, np.inf, MATRIX), r"NaN or infinite values in 1 rows"),
        (["a", "b", "a"], MATRIX, r"has 1 ids more than once: a; keep one row"),
    ],
)
def test_bad_content(tmp_path: Path, ids: list[str], matrix: np.ndarray, message: str) -> None:
    np.savez(tmp_path / "x.npz", ids=np.array(ids), embeddings=matrix)
    with pytest.raises(ConfigError, match=rf"'item_embedding_file': .*x\.npz.*{message}"):
        load_embeddings(tmp_path / "x.npz", "item_embedding_file")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_index_of_pandas_is_not_taken_for_ids(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"item_id": ["3", "1", "2"], "e0": MATRIX[:, 0], "e1": MATRIX[:, 1]})
    path = tmp_path / f"x.{suffix}"
    if suffix == "csv":
        frame.to_csv(path)
    else:
        frame.reset_index().to_parquet(path)
    with pytest.raises(ConfigError, match="is pandas' index; write the file with index=False"):
        load_embeddings(path, "k")


def test_the_index_of_pandas_is_not_taken_for_ids_beside_a_matrix(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", MATRIX)
    pd.DataFrame({"item_id": IDS}).to_csv(tmp_path / "x.ids.csv")
    with pytest.raises(ConfigError, match="is pandas' index; write the file with index=False"):
        load_embeddings(tmp_path / "x.npy", "k")


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_embeddings(tmp_path / "x.npy", "k")
    np.save(tmp_path / "x.npy", MATRIX)
    with pytest.raises(
        ConfigError, match=r"no ids beside .*; write one id per row into one of x\."
    ):
        load_embeddings(tmp_path / "x.npy", "k")
    (tmp_path / "x.h5").write_text("")
    with pytest.raises(ConfigError, match=r"x\.h5 must end in one of \.npy, "):
        load_embeddings(tmp_path / "x.h5", "k")
    (tmp_path / "t.ids.txt").write_text("a")
    for name in ("t.npy", "t.npz", "t.safetensors", "t.parquet", "t.csv", "t.pkl"):
        (tmp_path / name).write_text("")
        with pytest.raises(ConfigError, match=rf"'k': .*{name} cannot be read"):
            load_embeddings(tmp_path / name, "k")
    (tmp_path / "r.itememb").write_text("iid:token\te:float_seq\n1\t1 2\n2\t1\n")
    with pytest.raises(ConfigError, match=r"r\.itememb cannot be read"):
        load_embeddings(tmp_path / "r.itememb", "k")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "a,0.5,1.0\nb,2.0,3.5\n", r"its first line \(a, 0.5, ...\) holds values where"),
        ("x.csv", "id,0,1\na,1,2,3\n", "a row .of 'a'. has more fields than the header"),
        ("x.itememb", "a\t1 2\nb\t3 4\n", "its first line begins with 'a'; expected RecBole's"),
        ("x.itememb", "iid:token\te:float_seq\na\t1 2\t\n", "a row .of 'a'. has more fields"),
    ],
)
def test_lines_that_are_not_what_the_header_says(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=rf"'k': .*{name} cannot be read: {message}"):
        load_embeddings(tmp_path / name, "k")


def test_ids_with_more_fields_than_their_header(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", MATRIX)
    (tmp_path / "x.ids.csv").write_text("id\na,b\n")
    with pytest.raises(ConfigError, match="a row .of 'a'. has more fields than the header"):
        load_embeddings(tmp_path / "x.npy", "k")


def test_columns_without_names_of_their_own(tmp_path: Path) -> None:
    """As pandas writes a matrix: their numbers are names."""
    frame = pd.DataFrame({"id": ["a", "b"], 0: [0.5, 1.5], 1: [2.0, 2.5], "inf": [3.0, 4.5]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    ids, rows = load_embeddings(tmp_path / "x.csv", "k")
    assert ids == ["a", "b"]
    assert rows.tolist() == [[0.5, 2.0, 3.0], [1.5, 2.5, 4.5]]


def test_the_named_index_of_a_parquet_file_is_its_ids(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [0.5, 1.5], "y": [2.0, 2.5]}, index=pd.Index(["a", "b"], name="id"))
    frame.to_parquet(tmp_path / "x.parquet")
    assert load_embeddings(tmp_path / "x.parquet", "k")[0] == ["a", "b"]
    frame.reset_index(drop=True).iloc[[1]].to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="is pandas' index; write the file with index=False"):
        load_embeddings(tmp_path / "x.parquet", "k")


def test_npz_under_the_name_of_an_npy(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", ids=np.array(["a"]), embeddings=MATRIX)
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    (tmp_path / "x.ids.txt").write_text("a")
    with pytest.raises(ConfigError, match=r"'k': .*x\.npy cannot be read: the magic string"):
        load_embeddings(tmp_path / "x.npy", "k")


def test_npy_stays_on_disk_and_every_block_is_checked(tmp_path: Path) -> None:
    rows = 3 * (1 << 16) + 5
    matrix = np.zeros((rows, 1), dtype=np.float32)
    ids = "\n".join(map(str, range(rows)))
    (tmp_path / "x.ids.txt").write_text(ids)
    np.save(tmp_path / "x.npy", matrix)
    loaded = load_embeddings(tmp_path / "x.npy", "item_embedding_file")[1]
    assert isinstance(loaded, np.memmap)
    matrix[[7, rows - 1]] = np.nan
    np.save(tmp_path / "x.npy", matrix)
    with pytest.raises(ConfigError, match=f"NaN or infinite values in 2 rows: 7 .*, {rows - 1} "):
        load_embeddings(tmp_path / "x.npy", "item_embedding_file")
