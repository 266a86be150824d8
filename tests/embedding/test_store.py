import json
import multiprocessing
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_darec.embedding.store import (
    EmbeddingStore,
    encoder_key,
    list_store,
    remove_encoder,
    text_keys,
    verify_store,
)
from recbole_darec.keys import ConfigError

SPECIFICATION = {"fingerprint": "abc", "pooling": "mean", "prefix": "", "max_length": 8}


def vectors_of(texts: list[str], dim: int = 4) -> np.ndarray:
    rows = [np.frombuffer(f"{text:<8}".encode()[:8], np.uint8)[:dim] for text in texts]
    return np.array(rows, dtype=np.float32).reshape(len(texts), dim)


def store_at(root: Path, **changes: object) -> EmbeddingStore:
    return EmbeddingStore(root, "tiny", SPECIFICATION | changes)


@settings(max_examples=30, deadline=None)
@given(
    first=st.lists(st.sampled_from("abcdefgh"), unique=True),
    second=st.lists(st.sampled_from("abcdefgh"), unique=True),
    asked=st.lists(st.sampled_from("abcdefghij")),
)
def test_lookup_is_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str], asked: list[str]
) -> None:
    store = store_at(tmp_path_factory.mktemp("store"))
    for texts in (first, second):
        store.append(texts, vectors_of(texts))
    found, vectors = store.lookup(asked)
    known = set(first) | set(second)
    assert found.tolist() == [text in known for text in asked]
    there = [text for text in asked if text in known]
    assert np.array_equal(vectors.reshape(len(there), 4), vectors_of(there))


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "abd"},
        {"pooling": "cls"},
        {"prefix": "query: "},
        {"max_length": 9},
        {"max_length": None},
        {"dtype": "float16"},
    ],
)
def test_another_encoder_never_hits(tmp_path: Path, change: dict[str, object]) -> None:
    store_at(tmp_path).append(["a"], vectors_of(["a"]))
    found, _ = store_at(tmp_path, **change).lookup(["a"])
    assert not found.any()


def test_readable_without_the_package(tmp_path: Path) -> None:
    """The documented format, read with the standard library and NumPy."""
    import hashlib

    store_at(tmp_path).append(["Käse", "b"], vectors_of(["xx", "b"]))
    (folder,) = tmp_path.iterdir()
    description = json.loads((folder / "encoder.json").read_text("utf-8"))
    assert description == {"name": "tiny", "specification": SPECIFICATION}
    canonical = json.dumps(SPECIFICATION, sort_keys=True, separators=(",", ":")).encode()
    assert hashlib.sha256(canonical).hexdigest().startswith(folder.name)
    (keys_file,) = folder.glob("shard-*.keys.npy")
    keys = np.load(keys_file).tolist()
    row = keys.index(hashlib.blake2b("Käse".encode(), digest_size=16).hexdigest().encode())
    matrix = np.load(str(keys_file).replace(".keys.npy", ".npy"))
    assert np.array_equal(matrix[row], vectors_of(["xx"])[0])


def test_vectors_without_keys_do_not_count(tmp_path: Path) -> None:
    """What a process killed between the two files of a shard leaves behind."""
    store = store_at(tmp_path)
    store.append(["a"], vectors_of(["a"]))
    (keys,) = store.folder.glob("*.keys.npy")
    keys.unlink()
    assert not store.lookup(["a"])[0].any()
    store.append(["a"], vectors_of(["a"]))
    assert store.lookup(["a"])[0].all()
    assert verify_store(tmp_path) == []


def append_many(root: Path, start: int) -> None:
    store = store_at(root)
    for i in range(start, start + 40):
        texts = [f"t{i}", f"t{i + 1}"]
        store.append(texts, vectors_of(texts))


def test_processes_at_once(tmp_path: Path) -> None:
    """Two writers with overlapping texts and a reader in between see only whole, right rows."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=append_many, args=(tmp_path, s)) for s in (0, 20)]
    for writer in writers:
        writer.start()
    texts = [f"t{i}" for i in range(61)]
    while any(writer.is_alive() for writer in writers):
        found, vectors = store_at(tmp_path).lookup(texts)
        there = [text for text, hit in zip(texts, found, strict=True) if hit]
        assert np.array_equal(vectors.reshape(len(there), 4), vectors_of(there))
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert store_at(tmp_path).lookup(texts)[0].all()
    assert verify_store(tmp_path) == []
    assert not list(tmp_path.rglob("*.tmp"))


def test_list_and_remove(tmp_path: Path) -> None:
    store_at(tmp_path).append(["a", "b"], vectors_of(["a", "b"]))
    store_at(tmp_path, pooling="cls").append(["a"], vectors_of(["a"]))
    entries = {entry.specification["pooling"]: entry for entry in list_store(tmp_path)}
    assert {pooling: entry.rows for pooling, entry in entries.items()} == {"mean": 2, "cls": 1}
    assert entries["mean"].key == encoder_key(SPECIFICATION)
    remove_encoder(tmp_path, entries["mean"].key)
    assert [entry.rows for entry in list_store(tmp_path)] == [1]
    with pytest.raises(ConfigError, match="holds no encoder 'nothing'"):
        remove_encoder(tmp_path, "nothing")
    with pytest.raises(ConfigError, match="holds no encoder"):
        remove_encoder(tmp_path, "..")


def test_list_while_another_process_renames_its_file(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.append(["a"], vectors_of(["a"]))
    # A name that is listed, with nothing behind it any more.
    (store.folder / ".0.tmp").symlink_to("gone")
    assert [entry.rows for entry in list_store(tmp_path)] == [1]


def test_verify_finds_damage(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.append(["a"], vectors_of(["a"]))
    (shard,) = (p for p in store.folder.glob("shard-*.npy") if ".keys." not in p.name)
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert verify_store(tmp_path) == [f"{shard}: content does not match its name"]
    shard.write_bytes(content[:-3])
    (fault,) = verify_store(tmp_path)
    assert fault.startswith(f"{shard}: cannot be read")


@pytest.mark.parametrize("kind", ["keys", ".npy"])
def test_the_remedy_for_a_damaged_shard_works(tmp_path: Path, kind: str) -> None:
    store = store_at(tmp_path)
    store.append(["a"], vectors_of(["a"]))
    files = store_files(store)
    files[kind].write_bytes(b"junk")
    message = r"shard-.*\.npy or shard-.*\.keys\.npy is damaged .*; delete both, and their rows"
    with pytest.raises(ConfigError, match=message):
        store.lookup(["a"])
    for name in ("keys", ".npy"):
        files[name].unlink()
    assert not store.lookup(["a"])[0].any()
    store.append(["a"], vectors_of(["a"]))
    assert store.lookup(["a"])[0].all()


@pytest.mark.parametrize("kind", ["keys", ".npy"])
def test_encoding_a_damaged_shard_again_mends_it(tmp_path: Path, kind: str) -> None:
    store = store_at(tmp_path)
    store.append(["a"], vectors_of(["a"]))
    store_files(store)[kind].write_bytes(b"junk")
    store.append(["a"], vectors_of(["a"]))
    assert verify_store(tmp_path) == []


def test_a_folder_without_its_description_is_told(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.append(["a"], vectors_of(["a"]))
    (store.folder / "encoder.json").unlink()
    (fault,) = verify_store(tmp_path)
    assert fault.startswith(f"{store.folder / 'encoder.json'}: cannot be read")
    (entry,) = list_store(tmp_path)
    assert (entry.name, entry.rows, entry.damaged) == ("unknown", 1, 1)
    remove_encoder(tmp_path, entry.key)
    assert not store.folder.exists()


def test_keys_that_are_not_those_of_the_vectors(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.append(["a", "b"], vectors_of(["a", "b"]))
    keys = store_files(store)["keys"]
    np.save(keys, np.load(keys)[:1])
    with pytest.raises(
        ConfigError, match=r"is damaged \(.* holds \(2, 4\) vectors for \(1,\) keys"
    ):
        store.lookup(["a"])


def store_files(store: EmbeddingStore) -> dict[str, Path]:
    files = {}
    for path in store.folder.iterdir():
        files["keys" if ".keys." in path.name else path.suffix] = path
    return files


@pytest.mark.parametrize("kind", ["keys", ".npy", ".json"])
def test_damage_of_any_kind_is_told(tmp_path: Path, kind: str) -> None:
    """Cut anywhere, or with any byte of the header flipped: never a traceback."""
    store = store_at(tmp_path)
    store.append(["a"], vectors_of(["a"]))
    file = store_files(store)[kind]
    whole = file.read_bytes()
    damaged = [whole[:cut] for cut in range(len(whole))]
    damaged += [
        whole[:i] + bytes([whole[i] ^ flip]) + whole[i + 1 :]
        for i in range(min(len(whole), 128))
        for flip in (1, 0x80)
    ]
    told = 0
    for content in damaged:
        file.write_bytes(content)
        faults, (entry,) = verify_store(tmp_path), list_store(tmp_path)
        assert all(str(store.folder) in fault for fault in faults)
        assert not entry.damaged or faults
        told += bool(faults)
        if entry.damaged and kind != ".json":
            with pytest.raises(ConfigError, match="is damaged"):
                store.lookup(["a"])
    # Spaces of the header, and what json holds beside its specification, may be anything.
    assert told > len(whole)
    file.write_bytes(b"")
    (entry,) = list_store(tmp_path)
    assert (entry.damaged, entry.rows) == (1, 1 if kind == ".json" else 0)
    remove_encoder(tmp_path, entry.key)
    assert list_store(tmp_path) == []


def test_bad_vectors(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with pytest.raises(ValueError, match="2 texts need as many finite vectors"):
        store.append(["a", "b"], vectors_of(["a"]))
    with pytest.raises(ValueError, match="finite"):
        store.append(["a"], np.array([[np.nan]]))


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"'embedding_dir': .* cannot be written"):
        store_at(tmp_path / "file").append(["a"], vectors_of(["a"]))


def test_a_full_disk_is_told_and_not_kept_full(tmp_path: Path) -> None:
    """A limit on the size of files fails writes as a full disk does."""
    store, vectors = store_at(tmp_path), np.ones((100, 64), dtype=np.float32)
    texts = [str(row) for row in range(100)]
    size, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(
            ConfigError, match=r"'embedding_dir': .* cannot be written .6400 requested"
        ):
            store.append(texts, vectors)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    assert [path.name for path in store.folder.iterdir()] == ["encoder.json"]
    store.append(texts, vectors)
    assert store.lookup(texts)[0].all()


def test_keys_are_distinct() -> None:
    assert len(set(text_keys(["a", "a ", "A", "", "ab"]).tolist())) == 5
