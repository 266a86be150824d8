"""``compare``: one command, its files, its statistics, its failures and its resumption."""

import errno
import json
import logging
import multiprocessing
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest
import ray
from commanded import command, for_any_model, wait_until
from scipy import stats

from recbole_darec.experiment import ablate_command, compare_command, pool, tune_command
from recbole_darec.experiment.execute import Task, execute, finished_folder
from recbole_darec.experiment.plan import load_plan, make_plan
from recbole_darec.experiment.results import measured, write_runs, write_tables
from recbole_darec.experiment.variant import Variant
from recbole_darec.keys import ConfigError
from recbole_darec.sole_user import sole_user


def compare(keys, output, *arguments, models="BPR,Pop", seeds=2):
    keys = keys if "DaRec" in models else for_any_model(keys)
    given = ["--models", models, "--dataset", "small", "--seeds", seeds, "--output", output]
    return command(compare_command, *given, *arguments, *keys)


@pytest.fixture
def slow_learner():
    """A model whose training fails: its loss is not finite."""
    return "Backbone:learning_rate=1e30:reg_weight=1.0"


def test_one_command_gives_runs_statistics_and_tables(keys, tmp_path, capsys):
    models = "DaRec,Backbone,LightGCN,EASE,Pop"
    given = ["--base", "Pop", "--cold", 10]
    assert compare(keys, tmp_path / "c", *given, models=models) == 0
    runs = pd.read_csv(tmp_path / "c" / "runs.csv")
    assert (runs["status"] == "finished").all()
    assert len(runs) == 10
    values = pd.read_csv(tmp_path / "c" / "per_user.csv", dtype={"user_id": str})
    summary = pd.read_csv(tmp_path / "c" / "summary.csv")
    whole = summary[summary["grouping"] == "all"].set_index(["model", "metric"])
    for _, row in runs.iterrows():
        of_run = values[(values["model"] == row["label"]) & (values["seed"] == row["seed"])]
        assert round(of_run["ndcg@10"].mean(), 4) == row["ndcg@10"]
    by_user = values.groupby(["model", "user_id"])["recall@10"].mean()
    difference = (by_user["EASE"] - by_user["Pop"]).round(12)
    found = whole.loc[("EASE", "recall@10")]
    for name, expected in (
        ("p_wilcoxon_users", stats.wilcoxon(difference, alternative="greater").pvalue),
        ("p_t_users", stats.ttest_1samp(difference, 0, alternative="greater").pvalue),
    ):
        assert found[name] == pytest.approx(expected, rel=1e-6)
    items = summary[(summary["grouping"] == "items") & (summary["metric"] == "recall@10")]
    sums = items.groupby("model")["mean"].sum()
    for model in sums.index:
        assert sums[model] == pytest.approx(whole.loc[(model, "recall@10"), "mean"])
    assert "| EASE" in capsys.readouterr().out
    tex = (tmp_path / "c" / "table.tex").read_text()
    assert tex.count(r"\toprule") == 4
    assert "* Wilcoxon over users, Holm-corrected p $<$ 0.05" in tex
    assert "t seeds & effect" in tex
    assert f"{found['p_wilcoxon_users_holm']:.3g} & {found['p_t_users_holm']:.3g}" in tex
    assert len(json.loads((tmp_path / "c" / "runs.json").read_text())) == 10


def test_one_failing_run_is_reported_and_the_rest_go_on(keys, tmp_path, capsys, slow_learner):
    status = compare(keys, tmp_path / "c", models=f"{slow_learner},Pop", seeds=1)
    assert status == 1
    runs = pd.read_csv(tmp_path / "c" / "runs.csv").set_index("label")
    assert runs.loc["Pop", "status"] == "finished"
    assert runs.loc[slow_learner, "status"] == "failed"
    assert "the training loss is" in runs.loc[slow_learner, "error"]
    assert "FAILED: the training loss is" in capsys.readouterr().out


def test_resumed_tables_compare_with_the_same_base(keys, tmp_path):
    compare(keys, tmp_path / "c", "--base", "Pop", "--cold", 10, seeds=1)
    summary = (tmp_path / "c" / "summary.csv").read_text()
    assert command(compare_command, "--resume", "--output", tmp_path / "c") == 0
    assert (tmp_path / "c" / "summary.csv").read_text() == summary
    command(compare_command, "--resume", "--output", tmp_path / "c", "--base", "BPR", "--cold", 5)
    again = pd.read_csv(tmp_path / "c" / "summary.csv").set_index("model")
    assert again.loc["BPR", "improvement_percent"].isna().all()
    assert again.loc["Pop", "improvement_percent"].notna().any()


@pytest.mark.parametrize("content", ['{"base": ', "[]", '{"base": "Pop", "cold": null}'])
def test_damaged_tables_json_is_named(keys, tmp_path, content):
    compare(keys, tmp_path / "c", seeds=1, models="Pop")
    (tmp_path / "c" / "tables.json").write_text(content)
    with pytest.raises(ConfigError, match=r"tables\.json is damaged: .*; delete it, and give"):
        command(compare_command, "--resume", "--output", tmp_path / "c")


def test_a_failed_run_is_tried_again_and_finished_ones_are_kept(keys, tmp_path, slow_learner):
    compare(keys, tmp_path / "c", models=f"{slow_learner},Pop", seeds=1)
    runs = load_plan(tmp_path / "c")
    kept = finished_folder(Task(runs[1], tmp_path / "c").place)
    before = (kept / "metrics.json").stat().st_mtime_ns
    report = Task(runs[0], tmp_path / "c").place / "error.txt"
    report.write_text("not yet tried again")
    assert command(compare_command, "--resume", "--output", tmp_path / "c") == 1
    assert "the training loss is" in report.read_text()
    assert (kept / "metrics.json").stat().st_mtime_ns == before


def test_a_base_that_failed_leaves_the_tables_of_the_others(keys, tmp_path, capsys, slow_learner):
    given = ["--base", slow_learner]
    assert compare(keys, tmp_path / "c", *given, models=f"{slow_learner},Pop", seeds=1) == 1
    assert f"no run of the base '{slow_learner}' has finished" in capsys.readouterr().out
    assert set(pd.read_csv(tmp_path / "c" / "summary.csv")["model"]) == {"Pop"}
    assert (tmp_path / "c" / "per_user.csv").is_file()


def test_when_nothing_finishes_it_says_where_to_look(keys, tmp_path, slow_learner):
    with pytest.raises(ConfigError, match=r"no run has finished; .*runs\.csv says why"):
        compare(keys, tmp_path / "c", models=slow_learner, seeds=1)


def test_runs_without_a_test_part_are_told_apart_from_failed_ones(keys, tmp_path, capsys):
    folder = tmp_path / "data" / "small"
    folder.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token", *(f"{u}\t{u % 20}" for u in range(40))]
    (folder / "small.inter").write_text("\n".join(lines) + "\n")
    data = [f"--data_path={tmp_path / 'data'}", "--topk=[5]", "--valid_metric=MRR@5"]
    others = [key for key in keys if not key.startswith("--data_path")]
    with pytest.raises(ConfigError, match=r"no run has a test part, .*; change eval_args"):
        compare([*others, *data], tmp_path / "c", models="BPR", seeds=1)
    assert "BPR on small, seed 2020, has no test part" in capsys.readouterr().out


def test_the_tables_of_all_datasets_are_printed(keys, tmp_path, capsys, small_data):
    shutil.copytree(small_data / "small", tmp_path / "data" / "small")
    for file in shutil.copytree(small_data / "small", tmp_path / "data" / "other").iterdir():
        file.rename(file.with_name(f"other{file.suffix}"))
    own = [key for key in for_any_model(keys) if not key.startswith("--data_path")]
    given = ["--models", "Pop", "--dataset", "small,other", "--seeds", "1", *own]
    output = ["--output", tmp_path / "c", f"--data_path={tmp_path / 'data'}"]
    assert command(compare_command, *given, *output) == 0
    said = capsys.readouterr().out
    assert re.findall(r"^## (\w+)$", said, re.M) == ["small", "other"]
    assert len(re.findall(r"^\| Pop ", said, re.M)) == 2
    assert "###" not in said


def test_resume_has_to_say_what(keys):
    with pytest.raises(ConfigError, match="--resume needs --output: the folder of what is to be"):
        command(compare_command, "--resume")


def test_dry_run_runs_nothing(keys, tmp_path, capsys):
    assert compare(keys, tmp_path / "c", "--dry_run") == 0
    assert "4 runs" in capsys.readouterr().out
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "EASE"], "--base 'EASE' is none of the models: BPR, Pop"),
        (["--workers", "0"], "--workers and --threads must be >= 1"),
        (["--resume"], "holds no experiment to resume"),
        (["--no_such_key=1"], "key 'no_such_key' does not exist"),
        (["--ray_address", "127.0.0.1:1"], "no Ray cluster answers at '127.0.0.1:1'"),
        (["--ray_address", "nowhere"], "expected host:port or auto"),
    ],
)
def test_mistakes_are_named(keys, tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        compare(keys, tmp_path / "c", *arguments)
    assert not (tmp_path / "c").exists()


def test_the_cluster_of_the_environment_is_asked_whether_it_is_there(keys, tmp_path, monkeypatch):
    """Ray would wait minutes for it."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at '127\.0\.0\.1:1'"):
        compare(keys, tmp_path / "c", "--ray_address=auto")


def test_models_are_needed(tmp_path):
    with pytest.raises(ConfigError, match="--models is missing"):
        command(compare_command, "--output", tmp_path)
    given = ["--seeds", "5", "--dataset", "small", "--epochs=3"]
    with pytest.raises(ConfigError, match="leave --dataset --seeds --epochs=3 out, or give the"):
        command(compare_command, "--output", tmp_path, "--resume", *given)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_an_address_where_something_else_answers(keys, tmp_path, answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        Thread(target=serve, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"{address}' .something else answers there"):
            compare(keys, tmp_path / "c", "--ray_address", address)
    assert not (tmp_path / "c").exists()


def test_the_dataset_may_stand_in_a_config_file(keys, tmp_path, capsys):
    """As it may for a run; ``--dataset`` beats it."""
    files = [tmp_path / name for name in ("a.yaml", "b.yaml", "c.yaml")]
    contents = "dataset: other", "dataset: small", "learning_rate: 0.01"
    for file, content in zip(files, contents, strict=True):
        file.write_text(content)
    shared = ["--config_files", " ".join(map(str, files)), "--dry_run"]
    given = [*for_any_model(keys), *shared]
    command(compare_command, "--models", "BPR", *given)
    assert "small  seed 2020  BPR" in capsys.readouterr().out
    command(ablate_command, "losses", *keys, *shared)
    assert "small  seed" in capsys.readouterr().out
    command(compare_command, "--models", "BPR", "--dataset", "ml-100k", *given)
    assert "small  seed" not in capsys.readouterr().out
    files[1].write_text("dataset:\n")
    with pytest.raises(ConfigError, match="key 'dataset' is empty: give a name"):
        command(compare_command, "--models", "BPR", *given)


def test_other_filters_are_refused_before_a_run(keys, tmp_path):
    message = "key 'user_inter_num_interval' is '\\[0,inf\\)' for BPR and '\\[75,inf\\)' for Pop:"
    with pytest.raises(ConfigError, match=message):
        compare(keys, tmp_path / "c", models="BPR,Pop:user_inter_num_interval=[75,inf)", seeds=1)
    assert not (tmp_path / "c").exists()


def test_a_model_has_no_seed_of_its_own(keys, tmp_path):
    with pytest.raises(ConfigError, match="BPR:seed=1 on small: key 'seed' cannot be a model's"):
        compare(keys, tmp_path / "c", models="BPR:seed=1,Pop")


def test_a_long_description_of_a_model_makes_no_long_name_of_a_folder(keys, tmp_path):
    models = [f"DaRec:text_prefix={'ü' * 200}{end}" for end in "ab"]
    common = [f"--{k}={v}" for k, v in (key[2:].split("=", 1) for key in map(str, keys))]
    variants = [Variant(label, "DaRec") for label in models]
    names = [run.name for run in make_plan(variants, ["small"], "2", command_line=common)]
    assert len(set(names)) == 4
    assert all(len(name.encode()) <= 150 for name in names)


def test_means_over_other_seeds_are_told(keys, tmp_path, capsys):
    output = tmp_path / "c"
    compare(keys, output, models="BPR,Pop")
    runs = json.loads((output / "runs.json").read_text())
    runs[0]["status"] = "failed"
    write_tables(output, measured(output, runs), "BPR", 5)
    said = "WARNING: on small Pop finished seeds that others did not"
    assert said in capsys.readouterr().out


def test_different_data_are_not_compared(keys, tmp_path, small_data):
    other = tmp_path / "other" / "small"
    shutil.copytree(small_data / "small", other)
    lines = (other / "small.inter").read_text().splitlines()
    (other / "small.inter").write_text("\n".join(lines[:-1]) + "\n")
    other = f"Pop:data_path={other.parent}"
    with pytest.raises(ConfigError, match="BPR and Pop:.* saw different data of 'small'"):
        compare(keys, tmp_path / "c", models=f"BPR,{other}", seeds=1)
    assert (pd.read_csv(tmp_path / "c" / "runs.csv")["status"] == "finished").all()


@pytest.mark.parametrize("module", [compare_command, ablate_command, tune_command])
def test_one_command_at_a_time_in_a_folder(keys, tmp_path, module):
    output = tmp_path / "c"
    output.mkdir()
    own = {
        compare_command: ["--models", "DaRec"],
        ablate_command: ["losses"],
        tune_command: ["--model", "DaRec"],
    }
    given = [*own[module], "--dataset", "small", "--output", output, *keys]
    with (
        sole_user(output),
        pytest.raises(ConfigError, match=r"another process is at work in .*c; wait for it"),
    ):
        command(module, *given)
    assert [file.name for file in output.iterdir() if file.name != ".lock"] == (
        ["plan.json"] if module is not tune_command else []
    )
    with sole_user(output):
        pass
    ray.shutdown()  # which tune has started


def test_storage_without_locks_is_left_to_the_user(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with sole_user(tmp_path), sole_user(tmp_path):
        pass


def test_a_killed_comparison_goes_on_where_it_was(keys, tmp_path):
    """SIGKILL of the command in its second run: the first is kept, the second taken up."""
    script = tmp_path / "victim.py"
    script.write_text(
        "import os, signal, sys\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from commanded import command\n"
        "from recbole_darec.experiment import compare_command\n"
        "from recbole_darec.trainer import RunTrainer\n"
        "save = RunTrainer._save_last\n"
        "def save_and_die(self, epoch, train_data):\n"
        "    save(self, epoch, train_data)\n"
        "    if self.config['model'] == 'Backbone' and epoch == 1:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "RunTrainer._save_last = save_and_die\n"
        "command(compare_command, *sys.argv[1:])\n"
    )
    keys = for_any_model(keys)
    given = ["--models", "BPR,Backbone", "--dataset", "small", "--output", tmp_path / "c", *keys]
    killed = subprocess.run([sys.executable, script, *map(str, given)], check=False)
    assert killed.returncode == -signal.SIGKILL
    first, second = (Task(run, tmp_path / "c").place for run in load_plan(tmp_path / "c"))
    kept = finished_folder(first)
    assert kept
    before = (kept / "metrics.json").stat().st_mtime_ns
    (begun,) = (file.parent for file in second.glob("*/last.pth"))
    assert command(compare_command, *given, "--resume") == 0
    assert (kept / "metrics.json").stat().st_mtime_ns == before
    assert finished_folder(second) == begun
    whole = command(compare_command, *given[: -len(keys) - 1], tmp_path / "w", *keys)
    assert whole == 0
    resumed, unbroken = (
        pd.read_csv(tmp_path / name / "runs.csv").drop(columns=["run_folder", "train_seconds"])
        for name in ("c", "w")
    )
    pd.testing.assert_frame_equal(resumed, unbroken)


@pytest.mark.parametrize(("options", "files"), [([], []), (["--saved"], ["model.pth"])])
def test_checkpoints_are_kept_on_request(keys, tmp_path, options, files):
    assert compare(keys, tmp_path / "c", *options, models="BPR", seeds=1) == 0
    assert [file.name for file in tmp_path.glob("c/runs/*/*/*.pth")] == files


def test_a_folder_that_cannot_be_locked(tmp_path):
    (tmp_path / ".lock").mkdir()
    with (
        pytest.raises(ConfigError, match="cannot be written .*; choose another --output"),
        sole_user(tmp_path),
    ):
        pass


def tasks_of(settings, output, variants, seeds="1"):
    keys = [f"--{k}={v}" for k, v in settings.items() if k != "checkpoint_dir"]
    runs = make_plan(variants, ["small"], seeds, command_line=for_any_model(keys))
    return [Task(run, output) for run in runs]


def test_parallel_runs_give_the_numbers_of_serial_ones(settings, tmp_path):
    variants = [Variant("BPR", "BPR"), Variant("MF", "Backbone", {"backbone": "MF"})]
    serial = [execute(task) for task in tasks_of(settings, tmp_path / "s", variants, "2")]
    tasks = tasks_of(settings, tmp_path / "p", variants, "2")
    parallel = list(pool.in_processes(tasks, workers=2))
    assert [outcome.error for outcome in [*serial, *parallel]] == [None] * 8
    for run in (task.run for task in tasks):
        results = []
        for name in ("s", "p"):
            folder = finished_folder(Task(run, tmp_path / name).place)
            results.append(json.loads((folder / "metrics.json").read_text())["test_result"])
        assert results[0] == results[1]


def test_a_process_that_is_killed_costs_only_its_run(settings, tmp_path):
    endless = Variant("endless", "BPR", {"epochs": 10**6, "stopping_step": 10**6})
    tasks = tasks_of(settings, tmp_path, [endless, Variant("Pop", "Pop"), Variant("BPR", "BPR")])

    def kill_when_it_trains():
        try:
            wait_until(lambda: list(tmp_path.glob("runs/*endless*/*/last.pth")))
        finally:
            (process,) = multiprocessing.active_children()
            process.kill()

    with ThreadPoolExecutor() as threads:
        killer = threads.submit(kill_when_it_trains)
        found = {o.run.label: o.error for o in pool.in_processes(tasks, workers=1)}
    killer.result()
    assert found["endless"].startswith("its process ended without a word")
    assert found["Pop"] is None
    assert found["BPR"] is None
    entries = {e["label"]: e for e in write_runs(tmp_path, [task.run for task in tasks])}
    assert entries["endless"]["status"] == "failed"
    assert entries["endless"]["error"].startswith("its process ended without a word")


def test_a_run_leaves_no_handler_that_writes_to_its_log(keys, tmp_path, slow_learner):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    compare(keys, tmp_path / "c", models=f"{slow_learner},Pop", seeds=1)
    assert (root.handlers, root.level) == before
