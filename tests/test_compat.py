import functools
import importlib.util
import json
import os
import subprocess
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recbole_darec import compat
from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset
from recbole_darec.keys import ConfigError

PROBES = Path(__file__).with_name("compat_probes.py")
ROOT = Path(compat.__file__).parents[1]
INTER = "user_id:token\titem_id:token\n1\t2\n"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder of files and the address under which a loopback server gives them."""
    folder = tmp_path_factory.mktemp("served")
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put_zip(folder: Path, name: str, files: dict[str, str]) -> None:
    with zipfile.ZipFile(folder / name, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)


@pytest.fixture(scope="module")
def observed(served, tmp_path_factory):
    """Every probe's observation, by RecBole unmended and mended, each in a fresh process."""
    put_zip(served[0], "served.zip", {"served.inter": INTER})
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONWARNINGS": "default",
    }
    running = {}
    for state in ("unmended", "mended"):
        data, work = (tmp_path_factory.mktemp(f"{state}-{part}") for part in ("data", "work"))
        command = [sys.executable, str(PROBES), state, str(data), f"{served[1]}/served.zip"]
        running[state] = subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    results = {}
    for state, process in running.items():
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        results[state] = json.loads(out.splitlines()[-1])
    return results


only_1_2_0 = pytest.mark.skipif(
    compat._recbole_version() != "1.2.0", reason="a fault of RecBole 1.2.0 alone"
)


def test_numpy_aliases(observed):
    assert "was removed" in observed["unmended"]["numpy"]
    kinds = {"bool": "b", "int": "i", "float": "f", "complex": "c"}
    kinds |= {"object": "O", "str": "U", "long": "i", "unicode": "U"}
    assert observed["mended"]["numpy"] == kinds


def test_graphs_are_built_without_private_scipy(observed):
    assert "has no attribute '_update'" in observed["unmended"]["dok_matrix"]
    assert observed["mended"]["dok_matrix"] < 1e-6


def test_dgcf_trains_on_few_users(observed):
    assert "Sample larger than population" in observed["unmended"]["dgcf"]
    assert observed["mended"]["dgcf"] is True


@only_1_2_0
def test_ngcf_drops_nothing_in_evaluation(observed):
    assert observed["unmended"]["ngcf"] == {"training": False, "evaluation": False}
    assert observed["mended"]["ngcf"] == {"training": False, "evaluation": True}


@only_1_2_0
@pytest.mark.parametrize("model", ["DiffRec", "LDiffRec"])
def test_diffrec_predicts_one_score_a_pair(observed, model):
    assert observed["unmended"]["diffrec_predict"][model] == [[5, 5], False]
    assert observed["mended"]["diffrec_predict"][model] == [[5], True]


@only_1_2_0
@pytest.mark.parametrize("model", ["DiffRec", "LDiffRec"])
def test_diffrec_trains_without_noise(observed, model):
    assert "has no attribute 'betas'" in observed["unmended"]["diffrec_noise"]
    assert observed["mended"]["diffrec_noise"][model] == [True, False]


def test_ldiffrec_reads_no_pickled_item_vectors(observed):
    """Unmended, the object came out of the pickle and was no fit for a tensor."""
    everything = list(range(1, 91))
    assert observed["unmended"]["ldiffrec_items"] == ["TypeError", everything]
    assert observed["mended"]["ldiffrec_items"] == ["ConfigError", everything]


@only_1_2_0
def test_simplex_obeys_dropout_prob(observed):
    assert observed["unmended"]["simplex"] == [0.1, 0.1]
    assert observed["mended"]["simplex"] == [0.1, 0.7]


@only_1_2_0
@pytest.mark.parametrize("model", ["ADMMSLIM", "Random", "SLIMElastic"])
def test_predictions_are_on_the_models_device(observed, model):
    assert observed["unmended"]["device"][model] == "cpu"
    assert observed["mended"]["device"][model] == "meta"


def test_tensorboard_lies_beside_the_log(observed):
    assert observed["unmended"]["tensorboard"] == [
        ["log_tensorboard"],
        ["log_tensorboard"],
        ["run.log"],
    ]
    assert observed["mended"]["tensorboard"] == [[], [], ["run.log", "tensorboard"]]


def test_deprecations_of_recbole_are_silent(observed):
    assert observed["unmended"]["warnings"] == ["dataset.py", "lightgcn.py", "spectralcf.py"]
    assert observed["mended"]["warnings"] == []


def test_download_needs_no_process_group(observed):
    assert "process group has not been initialized" in observed["unmended"]["download"]
    assert observed["mended"]["download"] == ["served.inter"]


@pytest.mark.parametrize("state", ["unmended", "mended"])
def test_imports_stay_light_and_torch_load_stays_torchs(observed, state):
    assert observed[state]["light"] == []
    assert observed[state]["imports"] == [[], "torch.serialization"]


def test_install_mends_once():
    from recbole.model.general_recommender.ngcf import NGCF

    compat.install()
    mended = NGCF.forward
    compat.install()
    assert NGCF.forward is mended


def test_general_recommenders_are_those_that_recbole_has():
    compat.install()
    import recbole.model.general_recommender as package
    from recbole.model.abstract_recommender import GeneralRecommender

    classes = {
        name: value.__module__
        for name, value in vars(package).items()
        if isinstance(value, type) and issubclass(value, GeneralRecommender)
    }
    assert compat.general_recommenders() == classes


def test_known_datasets_have_addresses():
    known = compat.known_datasets()
    assert {"ml-1m", "amazon-books"} <= set(known)
    assert all(address.startswith("http") for address in known.values())


def test_download_renames_the_files_and_leaves_nothing_else(served, tmp_path):
    put_zip(served[0], "other.zip", {"other.inter": INTER, "other.item": "item_id:token\n2\n"})
    folder = tmp_path / "data" / "mine"
    compat.download_dataset("mine", folder, f"{served[1]}/other.zip")
    assert names_in(folder) == ["mine.inter", "mine.item"]
    assert (folder / "mine.inter").read_text() == INTER
    assert names_in(folder.parent) == ["mine"]


def unused_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), QuietHandler) as server:
        return int(server.server_address[1])


def test_download_without_network_says_which_files_belong_where(tmp_path):
    folder = tmp_path / "data" / "ml-1m"
    with pytest.raises(ConfigError) as caught:
        compat.download_dataset("ml-1m", folder, f"http://127.0.0.1:{unused_port()}/ml-1m.zip")
    message = str(caught.value)
    assert "download from http://127.0.0.1" in message
    assert "Connection refused" in message
    assert f"{folder}{os.sep}ml-1m.inter" in message
    assert "ml-1m.item" in message
    assert not folder.parent.exists()


@pytest.mark.parametrize(
    ("archive", "cause"),
    [
        (b"this is no zip file", "not a zip file"),
        (b"", "not a zip file"),
        ({"elsewhere.inter": INTER}, "the archive holds no mine.inter"),
    ],
)
def test_broken_archive_leaves_no_trace(served, tmp_path, archive, cause):
    if isinstance(archive, dict):
        put_zip(served[0], "broken.zip", archive)
    else:
        (served[0] / "broken.zip").write_bytes(archive)
    folder = tmp_path / "data" / "mine"
    with pytest.raises(ConfigError, match=cause):
        compat.download_dataset("mine", folder, f"{served[1]}/broken.zip")
    assert names_in(folder.parent) == []


def test_a_download_that_the_user_declines(tmp_path, monkeypatch):
    """RecBole asks before it fetches more than a gigabyte."""

    class Huge(QuietHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(3 * 2**30))
            self.end_headers()

    monkeypatch.setattr("builtins.input", lambda *_: "n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Huge) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/huge.zip"
        with pytest.raises(ConfigError, match=r"huge\.zip failed \(declined\)"):
            compat.download_dataset("mine", tmp_path / "mine", address)
        server.shutdown()
    assert names_in(tmp_path) == []


def test_missing_archive_is_named(served, tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.zip failed \(HTTP Error 404"):
        compat.download_dataset("mine", tmp_path / "mine", f"{served[1]}/absent.zip")


def test_unknown_dataset_cannot_be_downloaded(tmp_path):
    with pytest.raises(ConfigError, match="RecBole knows no address") as caught:
        compat.require_dataset({"dataset": "mine", "data_path": str(tmp_path / "mine")})
    assert f"{tmp_path / 'mine' / 'mine.inter'}" in str(caught.value)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("parts", "missing"),
    [(None, r"mine\.inter not found"), (["train", "test"], r"mine\.test\.inter not found")],
)
def test_folder_without_its_interactions_is_refused(tmp_path, parts, missing):
    (tmp_path / "mine.train.inter").write_text(INTER)
    config = {"dataset": "mine", "data_path": str(tmp_path), "benchmark_filename": parts}
    with pytest.raises(ConfigError, match=missing):
        compat.require_dataset(config)


def test_complete_dataset_is_accepted(tmp_path):
    (tmp_path / "mine.inter").write_text(INTER)
    config = {"dataset": "mine", "data_path": str(tmp_path), "benchmark_filename": None}
    compat.require_dataset(config)


@pytest.mark.parametrize(
    ("keys", "module", "message"),
    [
        ({"model": "NCL"}, "faiss", "model 'NCL' needs the package 'faiss-cpu'"),
        (
            {"model": "NNCF", "neigh_info_method": "louvain"},
            "community",
            "neigh_info_method 'louvain' needs the package 'python-louvain'",
        ),
        ({"model": "BPR", "log_wandb": True}, "wandb", "log_wandb needs the package 'wandb'"),
    ],
)
def test_package_that_is_not_installed_is_named(keys, module, message):
    if importlib.util.find_spec(module) is not None:
        pytest.skip(f"{module} is installed")
    config = {"neigh_info_method": "random", "log_wandb": False, **keys}
    with pytest.raises(ConfigError, match=message):
        compat.check_packages(config)


@pytest.mark.parametrize("model", ["BPR", "NNCF"])
def test_models_without_further_packages_pass(model):
    compat.check_packages({"model": model, "neigh_info_method": "random", "log_wandb": False})


def test_metrics_of_all_items_are_computed(run):
    """RecBole 1.2.1 alone fails on them."""
    names = ["ItemCoverage", "AveragePopularity", "GiniIndex", "ShannonEntropy", "TailPercentage"]
    result = run("Pop", epochs=1, metrics=["NDCG", *names], valid_metric="NDCG@10", topk=[10])
    assert set(result["test_result"]) == {f"{name.lower()}@10" for name in ["NDCG", *names]}
    assert result["test_result"]["itemcoverage@10"] > 0.1


def timed(ratios, order="TO"):
    keys = {"eval_args": {"split": {"TS": ratios}, "order": order}, "load_col": None}
    return Config("BPR", "ml-100k", config_dict=keys)


@only_1_2_0
def test_the_split_by_a_time_is_of_1_2_1():
    with pytest.raises(ConfigError, match="the split TS is of RecBole 1.2.1; install that, or use"):
        timed([0.8, 0.1, 0.1])


@pytest.mark.skipif(compat._recbole_version() == "1.2.0", reason="RecBole 1.2.0 has no such split")
def test_the_split_by_a_time_parts_before_from_after():
    with pytest.raises(ConfigError, match="TS with order 'RO' would train on interactions after"):
        timed([0.8, 0.1, 0.1], "RO")
    config = timed([0.8, 0.1, 0.1])
    parts = create_dataset(config).build()
    times = [part.inter_feat["timestamp"] for part in parts]
    assert max(times[0].max(), times[1].max()) < times[2].min()
    assert 0 < len(times[2]) / sum(map(len, times)) < 0.11
