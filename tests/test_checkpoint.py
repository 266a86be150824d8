"""Checkpoints hold values only, are written whole, and refuse what they are not."""

import os
import pickle
import resource
from collections import OrderedDict

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recbole_darec import checkpoint
from recbole_darec.checkpoint import CheckpointError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.pth"


def test_a_full_disk_is_told_and_the_checkpoint_before_stays(file):
    """A limit on the size of files fails writes as a full disk does."""
    checkpoint.save(file, {"weights": torch.zeros(3)})
    size, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"model\.pth cannot be written .*disk full\?"):
            checkpoint.save(file, {"weights": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    assert list(file.parent.iterdir()) == [file]
    assert torch.equal(checkpoint.load(file)["weights"], torch.zeros(3))


def test_tensors_arrays_and_sparse_matrices_come_back(file):
    matrix = sp.random(7, 5, density=0.4, format="lil", random_state=0)
    state = {
        "weights": OrderedDict(a=torch.arange(3.0)),
        "array": np.arange(6, dtype=np.int32).reshape(2, 3),
        "scalar": np.float32(0.5),
        "double": np.float64(0.25),
        "nested": {"list": [1, (2.0, None)], "sparse": matrix},
    }
    checkpoint.save(file, state)
    back = checkpoint.load(file)
    assert torch.equal(back["weights"]["a"], torch.arange(3.0))
    assert back["array"].dtype == np.int32
    np.testing.assert_array_equal(back["array"], state["array"])
    assert back["scalar"] == 0.5
    assert type(back["double"]) is float
    assert back["nested"]["list"] == [1, (2.0, None)]
    assert back["nested"]["sparse"].format == "lil"
    assert (back["nested"]["sparse"] != matrix).nnz == 0


def test_the_file_is_readable_by_torch_alone_without_running_code(file):
    checkpoint.save(file, {"a": np.ones(2)})
    assert torch.load(file, weights_only=True)["format"] == checkpoint.FORMAT


def test_a_failed_save_leaves_the_old_file_and_no_rubbish(file):
    checkpoint.save(file, {"a": 1})
    with pytest.raises(TypeError, match=r"state\.a is a object"):
        checkpoint.save(file, {"a": object()})
    assert checkpoint.load(file)["a"] == 1
    assert os.listdir(file.parent) == ["model.pth"]


def test_missing(file):
    with pytest.raises(CheckpointError, match="does not exist"):
        checkpoint.load(file)


def test_truncated(file):
    checkpoint.save(file, {"a": torch.rand(1000)})
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(CheckpointError, match="cannot be read: it is truncated"):
        checkpoint.load(file)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"])
def test_unreadable(file, content):
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(file)


def test_foreign(file):
    torch.save({"state_dict": {}}, file)
    with pytest.raises(CheckpointError, match="not one of this package"):
        checkpoint.load(file)


class _Trap:
    def __reduce__(self):
        return (os.mkdir, (os.environ["TRAP"],))


def test_a_malicious_file_runs_nothing(file, tmp_path, monkeypatch):
    trap = tmp_path / "sprung"
    monkeypatch.setenv("TRAP", str(trap))
    torch.save({"format": checkpoint.FORMAT, "x": _Trap()}, file)
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(file)
    file.write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(file)
    assert not trap.exists()
