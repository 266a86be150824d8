"""``tune``: mistakes at once; on Ray: early stopping, kills, resumption, the winner, two nodes."""

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import psutil
import pytest
import ray
import yaml
from commanded import command, for_any_model, wait_until
from ray.air.result import Result
from ray.tune.schedulers import MedianStoppingRule

from recbole_darec import ray_cluster
from recbole_darec.experiment import tune_command, tuning
from recbole_darec.experiment.runner import Runner
from recbole_darec.experiment.search import Search
from recbole_darec.experiment.search_figures import coordinates
from recbole_darec.experiment.search_options import SearchOptions
from recbole_darec.experiment.trial import METRIC, Progress
from recbole_darec.keys import ConfigError
from recbole_darec.quick_start import run_recbole_darec

HERE = Path(__file__).parent
TEST_METRICS = ("recall@10", "test_result", "test result")


@pytest.fixture
def space(tmp_path):
    def write(text, name="hyper.test"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def given(keys, output, *arguments, model="Backbone"):
    keys = keys if model == "DaRec" else for_any_model(keys)
    return ["--model", model, "--dataset", "small", "--output", output, *arguments, *keys]


def tune(keys, output, *arguments, model="Backbone"):
    return command(tune_command, *given(keys, output, *arguments, model=model))


@pytest.mark.parametrize(
    ("model", "text", "arguments", "message"),
    [
        ("BPR", "", [], "the search space is empty"),
        ("BPR", "learning_rate choice []", [], "space of 'learning_rate' is empty"),
        ("DaRecc", "learning_rate choice [1]", [], "did you mean 'DaRec'"),
        (
            "BPR",
            "learning_rat choice [1]",
            [],
            "^search space, learning_rat = 1: key 'learning_rat'",
        ),
        ("BPR", "n_centers choice [1]", [], "^search space: key 'n_centers' is not read by BPR;"),
        (
            "Backbone",
            "backbone choice ['LightGCN', 'MF']",
            ["--ssl_tau=0.1"],
            "^key 'ssl_tau' is not read by Backbone on ",
        ),
        (
            "BPR",
            "learning_rate choice [0.1, -1]",
            [],
            "^search space, learning_rate = -1: key 'learni",
        ),
        ("BPR", "learning_rate choice [1]", ["--valid_metric=recall@7"], "is not computed"),
        ("BPR", "learning_rate choice [1]", ["--eval_step=0"], "a search needs validation"),
        *(
            ("BPR", f"{key} choice [1, 2]", [], f"'{key}' cannot be searched, as trials that diff")
            for key in ("valid_metric", "epochs", "seed", "eval_step", "user_inter_num_interval")
        ),
        (
            "BPR",
            "embedding_size uniform 8,32",
            [],
            "^search space, embedding_size = 8.0: key 'embedding_size' is 8.0",
        ),
        (
            "BPR",
            "learning_rate choice [1]",
            ["--num_samples", "0"],
            "--num_samples is 0; it must be >= 1",
        ),
        (
            "BPR",
            "learning_rate choice [1]",
            ["--retries", "-1"],
            "--retries is -1; it must be >= 0",
        ),
        ("BPR", "learning_rate choice [1]", ["--workers", "0"], "--workers is 0; it must be >= 1"),
        (
            "BPR",
            "learning_rate choice [1]",
            ["--scheduler", "pbt", "--searcher", "optuna"],
            "--scheduler pbt changes values itself; take --searcher random",
        ),
        ("BPR", "learning_rate choice [1]", ["--resume"], "holds no search to resume"),
        ("BPR", "learning_rate uniform 0.1,1", ["--searcher", "grid"], "a grid needs choices"),
        (
            "BPR",
            "learning_rate choice [1]",
            ["--ray_address", "127.0.0.1:1"],
            "no Ray cluster answers at '127.0.0.1:1'",
        ),
    ],
)
def test_mistakes_are_named_at_once(keys, tmp_path, space, model, text, arguments, message):
    file = space(text)
    with pytest.raises(ConfigError, match=message):
        tune(keys, tmp_path / "t", "--space", file, *arguments, model=model)
    assert not (tmp_path / "t").exists()


def test_a_mistaken_key_that_is_to_be_left_out_is_named(keys, tmp_path, space):
    file = space("learning_rat: ~\nn_layers: choice [1]\n", "space.yaml")
    with pytest.raises(ConfigError, match="^search space: key 'learning_rat' does not exist; did"):
        tune(keys, tmp_path / "t", "--space", file)


def test_a_search_without_a_validation_part_ends_before_a_trial(keys, tmp_path, space):
    split = "--eval_args={'split': {'RS': [0.9, 0, 0.1]}}"
    given = ["--space", space("learning_rate choice [0.1]"), split, "--workers", 1]
    with pytest.raises(ConfigError, match="'eval_args' leaves no validation part .* by which a se"):
        tune(keys, tmp_path / "t", *given, model="BPR")


def test_a_dry_run_refuses_what_the_search_refuses(keys, tmp_path, space):
    file = space("learning_rate uniform 0.1,1")
    with pytest.raises(ConfigError, match="a grid needs choices, not 'uniform'"):
        tune(keys, tmp_path / "t", "--space", file, "--searcher", "grid", "--dry_run", model="BPR")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "search.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a search already"):
        tune(keys, tmp_path / "t", "--dry_run", model="DaRec")


def test_a_key_may_be_of_one_of_the_searched_backbones(keys, tmp_path, space, capsys):
    file = space("backbone choice ['MF', 'SGL']\nssl_tau choice [0.1, 0.2]\n")
    given = ["--space", file, "--drop_ratio=0.2", "--dry_run"]
    assert tune(keys, tmp_path / "t", *given) == 0
    assert "ssl_tau: choice [0.1, 0.2]" in capsys.readouterr().out


def test_dry_run(keys, tmp_path, capsys):
    assert tune(keys, tmp_path / "t", "--dry_run", model="DaRec") == 0
    shown = capsys.readouterr().out
    assert "20 trials by random search, scheduler asha, 3 validations of MRR@10 each" in shown
    assert "alignment_weight: choice [0.001, 0.01, 0.1, 1]" in shown
    # One of them is set by the fixture, and searched.
    assert "n_centers is searched; the value given for it is not used" in shown
    assert "embedding_size is searched" not in shown


def parsed(*arguments):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    tune_command.add_arguments(parser)
    args, args.keys = parser.parse_known_args([*map(str, arguments)])
    return args


def search_of(keys, *arguments, model="Backbone"):
    args = parsed(*given(keys, "x", *arguments, model=model))
    return Search.of(args, SearchOptions.of(args))


def test_a_search_is_kept_and_another_one_refused(keys, tmp_path):
    search = search_of(keys)
    search.save(tmp_path)
    assert Search.load(tmp_path).parameters == search.parameters
    search.require_same(Search.load(tmp_path), tmp_path)
    with pytest.raises(ConfigError, match="holds a search already: --resume goes on with it"):
        search.save(tmp_path)
    other = search_of([*keys, "--reg_weight=0.1"], "--num_samples", "3")
    with pytest.raises(ConfigError, match="another search: parameters, num_samples differ from"):
        other.require_same(search, tmp_path)
    (tmp_path / "search.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"search\.json is damaged"):
        Search.load(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "differ"),
    [
        (["--num_samples", 40, "--scheduler", "median"], "scheduler, num_samples"),
        (["--retries", 3], "retries"),
        (["--gpus_per_trial", 0.5], "gpus_per_trial"),
        (["--reg_weight=0.1"], "parameters"),
    ],
)
def test_options_that_a_resumed_search_cannot_take_are_refused(keys, tmp_path, arguments, differ):
    search_of(keys).save(tmp_path)
    own = given(keys, tmp_path) if "--reg_weight=0.1" in arguments else []
    with pytest.raises(ConfigError, match=f"another search: {differ} differ from what is given"):
        resumed(tmp_path, *arguments, *own)


def test_a_resumed_search_keeps_its_options_and_may_change_its_cluster(keys, tmp_path):
    search = search_of(keys, "--gpus_per_trial", 0.5, "--workers", 2, "--ray_address", "a:1")
    search.save(tmp_path)
    assert resumed(tmp_path) == search
    again = resumed(tmp_path, "--workers", 2, "--ray_address", "b:2")
    assert again.options == dataclasses.replace(search.options, ray_address="b:2")


def resumed(output, *arguments):
    return tune_command._search(parsed("--output", output, "--resume", *arguments), output)


def test_a_population_needs_weights_of_one_size(keys, tmp_path, space):
    file = space("learning_rate loguniform -8,-4\nembedding_size choice [8, 16]\n")
    search = search_of([*without(keys, "embedding_size")], "--space", file, "--scheduler", "pbt")
    with pytest.raises(ConfigError, match="embedding_size = 16 changes their sizes; leave 'embed"):
        tuning._load_data(search, tmp_path)


def test_storage_that_cannot_be_written_is_said_before_ray_starts(keys, tmp_path, space):
    (tmp_path / "file").write_text("")
    options = ["--space", space("learning_rate choice [1]"), "--ray_address", "127.0.0.1:1"]
    with pytest.raises(ConfigError, match="cannot be written: .*file is no folder .*set --output"):
        tune(keys, tmp_path / "file" / "x", *options)


def test_a_folder_of_another_experiment_is_refused(tmp_path):
    (tmp_path / "plan.json").write_text("[]")
    with pytest.raises(ConfigError, match="holds runs of compare or ablate; choose another"):
        Search.check_output(tmp_path)


def test_a_trial_gets_absolute_paths_and_whole_numbers(keys, space, monkeypatch, small_data):
    monkeypatch.chdir(small_data.parent)
    relative = [k for k in keys if not k.startswith("--data_path")]
    file = space("embedding_size quniform 8,32,8\n")
    search = search_of([*relative, f"--data_path={small_data.name}"], "--space", file)
    parameters = search.parameters_of({"embedding_size": 16.0})
    assert parameters["data_path"] == str(small_data)
    assert parameters["embedding_size"] == 16
    assert isinstance(parameters["embedding_size"], int)
    assert "checkpoint_dir" not in parameters


def test_the_best_score_counts_an_earlier_start(run, tmp_path):
    from recbole_darec import checkpoint

    progress = Progress(tmp_path, bigger=True)
    progress.add(1, 0.3)
    progress.add(2, 0.2)
    assert (progress.best, progress.validation) == (0.3, 2)
    smaller = Progress(tmp_path, bigger=False)
    smaller.add(1, 0.3)
    smaller.add(2, 0.2)
    assert smaller.best == 0.2
    (tmp_path / "r").mkdir()
    state = {"progress": {"best_valid_score": 0.9, "eval_seconds": [1.0, 1.0]}}
    checkpoint.save(tmp_path / "r" / "last.pth", state)
    progress = Progress(tmp_path, bigger=True)
    progress.add(3, 0.5)
    assert (progress.best, progress.validation) == (0.9, 3)


def test_a_loaded_dataset_gives_the_numbers_of_one_that_is_read(settings, keys, tmp_path):
    """As a trial gets it: through a pickle, made under another configuration, without a store."""
    import pickle

    from recbole_darec.run_folder import RunFolder

    others = [*without(keys, "n_centers", "epochs"), "--n_centers=2", "--epochs=9"]
    loaded = tuning._load_data(search_of(others, model="DaRec"), tmp_path)
    loaded = pickle.loads(pickle.dumps(loaded))
    read = run_recbole_darec("DaRec", "small", config_dict=settings)
    empty = tmp_path / "empty"
    given = {**settings, "embedding_dir": str(empty)}
    shared = run_recbole_darec("DaRec", "small", config_dict=given, loaded=loaded)
    assert not empty.exists()
    first, second = (RunFolder.open(r["run_folder"]).read_metrics() for r in (read, shared))
    for key in ("dataset_fingerprint", "embedding_fingerprints", "train_losses", "test_result"):
        assert first[key] == second[key]


def script(tmp_path, module):
    """The command in a process of its own, which the test can kill."""
    file = tmp_path / f"{module}.py"
    file.write_text(
        "import sys\n"
        f"sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]\n"
        "from commanded import command\n"
        f"from recbole_darec.experiment import {module}\n"
        "if __name__ == '__main__':\n"
        f"    sys.exit(command({module}, *sys.argv[1:]))\n"
    )
    return file


def start(tmp_path, arguments, module="tune_command"):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    return subprocess.Popen(
        [sys.executable, script(tmp_path, module), *map(str, arguments)], env=environment
    )


def trials_of(output):
    return pd.read_csv(output / "trials.csv", dtype={"trial": str})


def without(keys, *names):
    return [key for key in keys if key[2:].partition("=")[0] not in names]


@pytest.fixture(scope="module")
def ray_here():
    """Ray on two processors of this machine, for commands that run in this process."""
    yield ray_cluster.connect(cpus=2)
    ray.shutdown()


@pytest.mark.usefixtures("ray_here")
def test_room_that_this_machine_has_not_is_refused_before_a_trial(keys, tmp_path, space):
    """Ray would wait for it for ever."""
    file = space("learning_rate choice [0.01, 0.02]\n")
    had = int(ray.cluster_resources()["CPU"])
    asked = rf"a run takes {{}} CPUs and {{}} GPUs, but no node .* as many \(here: {had} and 0\)"
    for option, value, sizes in (("cpus", had + 1, (had + 1, 0)), ("gpus", 0.5, (1, 0.5))):
        with pytest.raises(ConfigError, match=asked.format(*sizes)):
            tune(keys, tmp_path / "t", "--space", file, f"--{option}_per_trial={value}")
    assert not (tmp_path / "t").exists()


@pytest.mark.usefixtures("ray_here")
def test_room_that_a_cluster_has_not_yet_is_told_of(caplog):
    for needed in ((ray.cluster_resources()["CPU"], 0), (0.5, 0)):
        ray_cluster.check_room("host:6379", *needed)
    assert not caplog.messages
    address = ray.get_runtime_context().gcs_address
    Runner(ray_address=address, gpus=1).connect()
    (told,) = caplog.messages
    assert f"has as many at '{address}': the runs wait until one joins" in told


@pytest.mark.usefixtures("ray_here")
def test_asha_stops_trials_and_the_winner_is_tested_alone(keys, tmp_path, space):
    file = space("learning_rate loguniform -11,-2\n")
    options = ["--space", file, "--num_samples", 9, "--workers", 2, "--grace_period", 1]
    keys = [*without(keys, "epochs"), "--epochs=9"]
    output = tmp_path / "t"
    assert tune(keys, output, *options, model="DaRec") == 0
    trials = trials_of(output)
    assert len(trials) == 9
    early = trials[trials["validations"] < 9]
    assert len(early) >= 3
    assert (early["status"] == "stopped").all()
    finished = trials[trials["status"] == "finished"]
    best = finished.loc[finished["best_valid_score"].idxmax()]
    plain = run_recbole_darec(
        config_file_list=[str(output / "best.yaml")],
        config_dict={"checkpoint_dir": str(tmp_path / "plain")},
    )
    assert plain["best_valid_score"] == best["best_valid_score"]
    for name in ("importance.csv", "importance.png", "parallel_coordinates.png"):
        assert (output / name).is_file()
    results = [*output.glob("run_trial*/*.json"), *output.glob("run_trial*/*.csv")]
    runs = [*output.glob("runs/*/*/metrics.json"), *output.glob("runs/*/*/run.log")]
    assert len(results) >= 18
    for file in (*results, output / "trials.csv"):
        assert not any(name in file.read_text() for name in TEST_METRICS), file
    for file in runs:
        if file.suffix == ".json":
            assert json.loads(file.read_text())["test_result"] is None
    (tested,) = output.glob("winner/*/*/metrics.json")
    assert tested.parents[1].name == best["trial"]
    assert json.loads(tested.read_text())["test_result"] == plain["test_result"]
    assert "OMP_NUM_THREADS=1 gives the same" in (output / "best.yaml").read_text()
    assert_another_winner_is_tested_anew(output, trials, best["trial"])


def assert_another_winner_is_tested_anew(output, trials, winner):
    """A resumed search in which a trial that had failed comes out best has another winner."""
    kept = {file: file.stat().st_mtime_ns for file in output.glob("winner/*/*/metrics.json")}
    finished = trials[trials["status"] == "finished"].set_index("trial")
    other = next(trial for trial in finished.index if trial != winner)
    for trial in (other, winner):
        tuning.write_best(output, trial, SearchOptions())
        result = tuning.train_winner(output, trial, SearchOptions())
        assert result["best_valid_score"] == finished.loc[trial, "best_valid_score"]
        config = yaml.safe_load((Path(result["run_folder"]) / "config.yaml").read_text())
        assert config["model"] == "DaRec"
        assert config["learning_rate"] == pytest.approx(finished.loc[trial, "learning_rate"])
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in kept.items())


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_population_exchanges_states_and_its_winner_is_restored(keys, tmp_path, space):
    file = space("learning_rate loguniform -11,-2\nreg_weight choice [1e-5, 1e-4]\n")
    options = ["--space", file, "--num_samples", 4, "--workers", 2, "--grace_period", 2]
    keys = [*without(keys, "epochs", "reg_weight"), "--epochs=9"]
    output = tmp_path / "t"
    assert tune(keys, output, *options, "--scheduler", "pbt") == 0
    trials = trials_of(output).set_index("trial")
    assert list(trials["status"]) == ["finished"] * 4
    assert list(trials["validations"]) == [9] * 4
    assert (output / "pbt_global.txt").is_file()
    (tested,) = output.glob("winner/*/*/metrics.json")
    winner = tested.parents[1].name
    assert trials["best_valid_score"].idxmax() == winner
    (own,) = output.glob(f"runs/{winner}/*/metrics.json")
    mine, theirs = (json.loads(file.read_text()) for file in (tested, own))
    assert mine["best_valid_score"] == trials.loc[winner, "best_valid_score"]
    assert mine["train_losses"] == theirs["train_losses"]
    assert mine["test_result"] is not None
    assert theirs["test_result"] is None


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_kill_and_resume_repeats_no_finished_trial(keys, tmp_path, space):
    """SIGKILL of the command; when resumed, of one trial's process; and one trial that raises."""
    file = space("learning_rate choice [0.001, 0.003, 0.01, 1e30]\n")
    options = ["--space", file, "--searcher", "grid", "--workers", 2]
    options += ["--scheduler", "median", "--grace_period", 100]
    keys = [*without(keys, "epochs", "reg_weight"), "--epochs=40", "--stopping_step=100"]
    keys.append("--reg_weight=1.0")
    output = tmp_path / "t"
    cluster = ["--ray_address", ray.get_runtime_context().gcs_address]
    process = start(tmp_path, given(keys, output, *options, *cluster))
    wait_until(lambda: process.poll() is not None or finished(output))
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {file: file.stat().st_mtime_ns for file in finished(output)}
    assert len(done) < 3
    with ThreadPoolExecutor() as threads:
        killer = threads.submit(wait_until, kill_a_trial)
        assert command(tune_command, "--output", output, "--resume", "--workers", 2) == 1
    killer.result()
    trials = trials_of(output)
    assert sorted(trials["status"]) == ["failed", *["finished"] * 3]
    (failed,) = trials[trials["status"] == "failed"].to_dict("records")
    assert failed["learning_rate"] == 1e30
    assert "the training loss is" in failed["error"]
    assert len(finished(output)) == 3
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in done.items())


def finished(output):
    return list(output.glob("runs/*/*/metrics.json"))


def kill_a_trial():
    """Kill one process of this process's Ray that runs a trial; whether there was one."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "ray::ImplicitFunc" in " ".join(child.cmdline()):
                child.kill()
                return True
    return False


@pytest.mark.slow
def test_trials_run_on_both_nodes_of_a_cluster(keys, tmp_path, space):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        file = space("learning_rate choice [0.001, 0.003, 0.01, 0.03]\n")
        options = ["--space", file, "--searcher", "grid", "--scheduler", "none"]
        options += ["--ray_address", cluster.address]
        # Longer than a process needs to start, or one node does it all.
        keys = [*without(keys, "epochs"), "--epochs=500", "--stopping_step=1000"]
        output = tmp_path / "t"
        assert start(tmp_path, given(keys, output, *options, model="BPR")).wait() == 0
        nodes = trials_of(output)["node_id"].value_counts()
        assert len(nodes) == 2
        assert nodes.sum() == 4
        compared = tmp_path / "c"
        runs = ["--models", "BPR,Pop", "--dataset", "small", "--seeds", 2, "--output", compared]
        runs += ["--ray_address", cluster.address, *for_any_model(keys)]
        assert start(tmp_path, runs, "compare_command").wait() == 0
        assert (pd.read_csv(compared / "runs.csv")["status"] == "finished").all()
    finally:
        cluster.shutdown()


def test_optuna_searches_the_space(keys, space):
    """Where the extra is installed; else its absence is named."""
    search = search_of(keys, "--space", space("learning_rate loguniform -8,-2\n"))
    options = dataclasses.replace(search.options, searcher="optuna", workers=2)
    if importlib.util.find_spec("optuna") is None:
        with pytest.raises(ConfigError, match=r"needs the package 'optuna': pip"):
            tuning.searcher(options)
        return
    searcher = tuning.searcher(options)
    assert searcher.set_search_properties("m", "max", search.ray_space())
    suggested = [searcher.suggest(name)["learning_rate"] for name in ("a", "b")]
    assert all(math.exp(-8) <= value <= math.exp(-2) for value in suggested)
    assert searcher.suggest("c") is None


def test_schedulers_count_validations(keys):
    search = search_of([k for k in keys if "epochs" not in k], "--epochs=12", "--eval_step=2")
    assert search.n_validations == 6
    assert [search.validation(epoch) for epoch in (1, 3, 11)] == [1, 2, 6]
    asha = tuning.scheduler(search)
    assert (asha._max_t, asha._time_attr) == (7, "validation")
    median = scheduler_of(search, "median")
    assert isinstance(median, MedianStoppingRule)
    assert (median._grace_period, median._time_attr) == (5, "validation")
    assert scheduler_of(search, "none") is None
    pbt = scheduler_of(search, "pbt")
    assert (pbt._perturbation_interval, pbt._time_attr) == (5, "validation")
    assert set(pbt._hyperparam_mutations) == set(search.space)


def test_options_of_searcher_scheduler_and_trials(keys, tmp_path):
    given = ["--reduction_factor", 4, "--search_seed", 7, "--cpus_per_trial", 2]
    search = search_of(keys, *given)
    search.save(tmp_path)
    options = Search.load(tmp_path).options
    assert (options.reduction_factor, options.search_seed, options.cpus_per_trial) == (4, 7, 2)
    assert tuning.scheduler(search)._reduction_factor == 4
    drawn = [
        tuning.searcher(dataclasses.replace(options, search_seed=seed))._random_state.random()
        for seed in (7, 7, 0)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    (tmp_path / "runs" / "a" / "run").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "run" / "config.yaml").write_text("checkpoint_dir: x\nresume: ~\n")
    best = tuning.write_best(tmp_path, "a", options).read_text()
    assert best.startswith("# Found with 2 threads; OMP_NUM_THREADS=2 gives the same digits.")


def scheduler_of(search, name):
    options = dataclasses.replace(search.options, scheduler=name)
    return tuning.scheduler(dataclasses.replace(search, options=options))


def test_the_table_of_trials_keeps_empty_choices(keys, space, tmp_path):
    """Rows as Ray gives them: one that found 64, one that found nothing, one that failed."""
    search = search_of(
        keys, "--space", space("projection_hidden choice [None, 64]\n"), model="DaRec"
    )
    ended = {METRIC: 0.3, "finished": True}
    results = [
        Result({**ended, "trial_id": "a", "config": {}}, None, None, "a"),
        Result({"trial_id": "b"}, None, RuntimeError("first line\nlast line"), "b"),
        Result({**ended, METRIC: 0.4, "trial_id": "c"}, None, None, "c"),
    ]
    for result, value in zip(results, (64, 64, None), strict=True):
        result.metrics["config"] = {"projection_hidden": value}
    trials = tuning.trial_table(results, search)
    assert list(trials["projection_hidden"]) == [64, 64, None]
    assert list(trials["status"]) == ["finished", "failed", "finished"]
    assert trials["error"][1] == "last line"
    assert tuning.winner_of(trials, search) == "c"
    with pytest.raises(ConfigError, match="no trial finished: last line$"):
        tuning.winner_of(trials[trials["status"] == "failed"], search)
    tune_command.draw(tmp_path, trials, search)
    assert (tmp_path / "parallel_coordinates.png").read_bytes().startswith(b"\x89PNG")
    found = coordinates(trials, search.dimensions)["projection_hidden"]
    assert list(found) == [1, 1, 0]
