"""A run folder is all that is needed, and nothing in it runs code."""

import json
import pickle
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from openai_server import KEY, OpenAIServer

from recbole_darec.checksums import CHECKSUMS, SEALED, seal, verify
from recbole_darec.keys import ConfigError
from recbole_darec.load import load
from recbole_darec.recommend.recommender import Recommender


@pytest.mark.parametrize("model", ["DaRec", "Backbone", "BPR", "EASE"])
def test_a_loaded_run_has_the_test_result_of_the_run(finished, model):
    run = load(finished(model))
    from recbole_darec.trainer import make_trainer

    run.config["checkpoint_dir"] = str(run.folder.path)
    trainer = make_trainer(run.config, run.model, run.folder)
    result = trainer.evaluate(run.loaders[2], load_best_model=False)
    assert {k: float(v) for k, v in result.items()} == run.metrics["test_result"]


def test_repr_names_model_data_and_result(finished):
    run = load(finished())
    text = repr(run)
    assert "DaRec on LightGCN, small: 60 users, 90 items" in text
    assert f"ndcg@10 {run.metrics['test_result']['ndcg@10']:.4f}" in text


def test_the_untrained_model_is_the_model_of_zero_epochs(finished):
    run, zero = load(finished()), load(finished(epochs=0))
    before = run.untrained_model().state_dict()
    for name, value in zero.model.state_dict().items():
        assert torch.equal(before[name], value), name
    assert not torch.equal(
        before["backbone.embedding"], run.model.state_dict()["backbone.embedding"]
    )


@pytest.mark.parametrize("name", [*SEALED, CHECKSUMS])
def test_a_missing_file_is_named(copied, name):
    folder = copied("BPR")
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"lacks {name}"):
        load(folder)


def test_a_folder_without_checksums_can_be_vouched_for(copied):
    folder = copied("BPR")
    (folder / CHECKSUMS).unlink()
    with pytest.raises(ConfigError, match="call 'sha256sum ") as caught:
        load(folder)
    command = str(caught.value).split("'")[1]
    subprocess.run(command, shell=True, cwd=folder, check=True)  # noqa: S602
    assert load(folder).metrics["model"] == "BPR"


@pytest.mark.parametrize("name", SEALED)
def test_an_altered_file_is_named(copied, name):
    folder = copied("BPR")
    file = folder / name
    content = bytearray(file.read_bytes())
    content.insert(len(content) // 2, 1)
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{name} was altered: its SHA-256"):
        load(folder)


def test_checksums_are_those_of_sha256sum(finished):
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", CHECKSUMS], cwd=finished("BPR"), capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_no_folder_is_no_run_folder(tmp_path):
    with pytest.raises(ConfigError, match="is not a run folder: it does not exist"):
        verify(tmp_path / "nowhere")
    (tmp_path / "model.pth").touch()
    with pytest.raises(ConfigError, match=f"is a file; give the run folder, which is {tmp_path}"):
        verify(tmp_path / "model.pth")


def test_a_file_of_checksums_that_is_no_text_is_named(copied):
    folder = copied("BPR")
    (folder / CHECKSUMS).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=f"{CHECKSUMS} was altered: it is not text"):
        load(folder)


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("where", ["checkpoint", "dataset beside it", "dataset key", "loaders key"])
def test_a_strangers_folder_cannot_run_code(copied, tmp_path, monkeypatch, where):
    """Everywhere a pickle could lie that RecBole or PyTorch would read."""
    folder, mark = copied("BPR"), tmp_path / "exploded"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    bomb = tmp_path / "bomb.pth"
    bomb.write_bytes(pickle.dumps(Bomb(mark)))
    config["allow_pickle"] = True
    if where == "checkpoint":
        torch.save(Bomb(mark), folder / "model.pth")
    elif where == "dataset beside it":
        config["checkpoint_dir"] = str(folder)
        (folder / "small-Dataset.pth").write_bytes(bomb.read_bytes())
        (folder / "small-for-BPR-dataloader.pth").write_bytes(bomb.read_bytes())
    elif where == "dataset key":
        config["dataset_save_path"] = str(bomb)
    else:
        config["dataloaders_save_path"] = str(bomb)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    seal(folder)
    if where == "checkpoint":
        with pytest.raises(ConfigError, match=r"model.pth cannot be read"):
            load(folder)
    else:
        load(folder)
    assert not mark.exists()
    bomb_works = pickle.loads(bomb.read_bytes())
    bomb_works.close()
    assert mark.exists()


def test_ldiffrec_runs_no_code_from_a_strangers_dataset(copied, small_data, tmp_path):
    """With ``n_cate`` above 1 it loads item_emb.npy of the dataset, which may be a pickle."""
    folder, mark = copied("LDiffRec", epochs=1), tmp_path / "exploded"
    shutil.copytree(small_data, folder / "data")
    (folder / "data" / "small" / "item_emb.npy").write_bytes(pickle.dumps(Bomb(mark)))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config |= {"n_cate": 2, "data_path": str(folder / "data")}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    seal(folder)
    with pytest.raises(ConfigError, match=r"item_emb.npy must hold the vectors of the items"):
        load(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("NeuMF", {"use_pretrain": True, "mf_pretrain_path": "", "mlp_pretrain_path": ""}),
        ("NAIS", {"pretrain_path": ""}),
        ("ConvNCF", {"train_method": "after_pretrain", "pre_model_path": ""}),
        ("RaCT", {"train_stage": "finetune", "pre_model_path": ""}),
    ],
)
def test_models_read_no_checkpoint_but_the_runs(copied, tmp_path, model, keys):
    """RecBole's models call ``torch.load`` on paths of the configuration; weights come after."""
    folder, mark = copied(model, epochs=0, embedding_size=64), tmp_path / "exploded"
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps(Bomb(mark)))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config |= {key: value or str(tmp_path / "bomb.pth") for key, value in keys.items()}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    seal(folder)
    state = torch.load(folder / "model.pth", weights_only=True)["state_dict"]
    for name, value in load(folder).model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert not mark.exists()


@pytest.fixture
def sending(run, tmp_path, monkeypatch):
    """A run whose configuration names an endpoint, a secret and texts that the store lacks."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SOME_SECRET", KEY)
    keys = {"text_encoder": "openai:x", "api_key_env": "SOME_SECRET", "epochs": 1}
    with OpenAIServer() as server:
        first = run(api_base=server.base, embedding_dir=str(tmp_path / "first"), **keys)
        folder = Path(first["run_folder"])
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config |= {"embedding_dir": str(tmp_path / "second"), "api_allowed": True}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        seal(folder)
        server.asked.clear()
        yield folder, server


@pytest.mark.parametrize("given", [[], ["api_base"], ["api_key_env"]])
def test_a_folder_cannot_send_texts_or_secrets(sending, given):
    folder, server = sending
    restated = {"api_base": server.base, "api_key_env": "SOME_SECRET"}
    with pytest.raises(ConfigError, match="would have to be sent to .*give both api_base and"):
        load(folder, **{name: restated[name] for name in given})
    assert server.asked == []


def test_an_endpoint_that_the_caller_names_is_asked_and_the_store_serves_afterwards(sending):
    folder, server = sending
    first = load(folder, api_base=server.base, api_key_env="SOME_SECRET")
    asked = len(server.asked)
    assert asked > 0
    assert set(server.authorizations) == {f"Bearer {KEY}"}
    again = load(folder)
    assert len(server.asked) == asked
    tables = [run.dataset.side_embeddings("item_id").table for run in (first, again)]
    assert torch.equal(*tables)
    with pytest.raises(ConfigError, match="would have to be sent to"):
        Recommender(again).add_items({"new": "A film that the store does not know"})
    assert len(server.asked) == asked


def test_a_folder_cannot_name_a_cluster(copied):
    folder = copied("BPR")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config |= {"text_engine": "ray", "ray_address": "127.0.0.1:1", "ray_workers": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    seal(folder)
    assert load(folder).config["text_engine"] == "local"


def test_yaml_tags_are_not_executed(copied, tmp_path):
    folder, mark = copied("BPR"), tmp_path / "exploded"
    with (folder / "config.yaml").open("a") as file:
        file.write(f"seed: !!python/object/apply:pathlib.Path.touch [{mark}]\n")
    seal(folder)
    with pytest.raises(ConfigError, match=r"config.yaml is not valid yaml"):
        load(folder)
    assert not mark.exists()


def test_other_data_than_the_runs_are_refused(finished, small_data, tmp_path):
    (tmp_path / "small").mkdir()
    for file in (small_data / "small").iterdir():
        lines = file.read_text().splitlines()
        if file.suffix == ".inter":
            lines = lines[:-1]
        (tmp_path / "small" / file.name).write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigError, match="are not those that .* was trained on"):
        load(finished("BPR"), data_path=str(tmp_path))


def test_data_may_have_moved(copied, small_data, tmp_path):
    folder = copied("BPR")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["data_path"] = str(tmp_path / "gone")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    seal(folder)
    with pytest.raises(ConfigError, match="dataset 'small' does not exist"):
        load(folder)
    assert load(folder, data_path=str(small_data)).metrics["model"] == "BPR"


def test_a_loaded_run_keeps_its_configuration(finished):
    with pytest.raises(ConfigError, match="epochs, seed cannot be changed"):
        load(finished("BPR"), seed=1, epochs=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not valid json"), ("{}", "is not the results"), ("[]", "is not the results")],
)
def test_results_that_are_none_are_named(copied, content, message):
    folder = copied("BPR")
    (folder / "metrics.json").write_text(content)
    seal(folder)
    with pytest.raises(ConfigError, match=f"metrics.json {message}"):
        load(folder)


def test_a_checkpoint_of_another_model_is_named(copied, finished):
    folder = copied("BPR")
    (folder / "model.pth").write_bytes(Path(finished("DaRec"), "model.pth").read_bytes())
    seal(folder)
    with pytest.raises(ConfigError, match="is of model DaRec, this run is of BPR"):
        load(folder)


def test_a_checkpoint_of_other_sizes_is_named(copied, finished):
    folder = copied("BPR")
    other = Path(finished("BPR", embedding_size=8), "model.pth")
    (folder / "model.pth").write_bytes(other.read_bytes())
    seal(folder)
    with pytest.raises(
        ConfigError, match=r"model\.pth does not fit: it was made with another data"
    ):
        load(folder)


def test_embeddings_that_changed_are_reported(copied, caplog):
    folder = copied()
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["embedding_fingerprints"]["item"] = "0" * 64
    (folder / "metrics.json").write_text(json.dumps(metrics))
    seal(folder)
    load(folder)
    assert "the items' side embeddings are not bit-equal" in caplog.text
