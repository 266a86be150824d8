"""States handed from run to run: the same numbers with the same values, new values obeyed."""

import pytest

from recbole_darec import checkpoint
from recbole_darec.checkpoint import CheckpointError
from recbole_darec.experiment.exchange import keep_state, take_over
from recbole_darec.experiment.execute import run_or_resume
from recbole_darec.run_folder import RunFolder


@pytest.fixture
def parameters(settings):
    return {**settings, "model": "DaRec", "dataset": "small", "epochs": 4, "learning_rate": 0.01}


@pytest.fixture
def first(parameters, tmp_path):
    """A run of four epochs that left its state after the second."""

    def after_validation(epoch, score):
        if epoch == 1:
            keep_state(tmp_path / "first")

    return run_or_resume(tmp_path / "first", parameters, callback_fn=after_validation)


def optimizers(file):
    for state in checkpoint.load(file)["optimizers"].values():
        yield from state["param_groups"]


def test_the_same_values_give_the_same_run(parameters, first, tmp_path):
    take_over(tmp_path / "second", parameters, tmp_path / "first" / "state")
    second = run_or_resume(tmp_path / "second", parameters)
    assert second["run_folder"].startswith(str(tmp_path / "second"))
    mine, theirs = (RunFolder.open(r["run_folder"]).read_metrics() for r in (second, first))
    for key in ("train_losses", "best_valid_score", "best_epoch", "test_result"):
        assert mine[key] == theirs[key]


def test_new_values_replace_those_of_the_state(parameters, first, tmp_path):
    place = tmp_path / "second"
    run_or_resume(place, {**parameters, "epochs": 1})
    state = tmp_path / "first" / "state"
    take_over(place, {**parameters, "learning_rate": 0.5, "weight_decay": 0.1}, state)
    (folder,) = (RunFolder(file.parent) for file in place.glob("*/config.yaml"))
    assert "learning_rate: 0.5" in folder.config.read_text()
    assert all((g["lr"], g["weight_decay"]) == (0.5, 0.1) for g in optimizers(folder.last))
    assert all(group["lr"] == 0.01 for group in optimizers(place / "state" / "last.pth"))
    result = RunFolder.open(run_or_resume(place, {})["run_folder"]).read_metrics()
    losses = RunFolder.open(first["run_folder"]).read_metrics()["train_losses"]
    assert result["train_losses"][:2] == losses[:2]
    assert result["train_losses"][3] != losses[3]


def test_a_damaged_state_leaves_the_run_as_it_is(parameters, first, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "last.pth").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"last\.pth cannot be read"):
        take_over(tmp_path / "first", parameters, tmp_path / "bad")
    assert RunFolder.open(first["run_folder"]).read_metrics()["test_result"] is not None
