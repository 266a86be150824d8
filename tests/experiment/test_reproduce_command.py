"""Published numbers: the files, the verdict and the command."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from commanded import command

from recbole_darec.config import Config
from recbole_darec.experiment import reproduce_command
from recbole_darec.experiment.published import Published, known
from recbole_darec.keys import ConfigError

CONTENT = {
    "source": "a page",
    "config": {"model": "Backbone", "backbone": "MF", "dataset": "small", "epochs": 1},
    "seeds": [1, 2],
    "expected": {"recall@10": 0.1, "ndcg@10": 0.1},
    "judged": ["ndcg@10"],
    "tolerance": 0.05,
    "above_is_fine": False,
}
LONGER = {**CONTENT["config"], "epochs": 2}


@pytest.fixture
def published(tmp_path):
    def write(name="mine", **changes):
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**CONTENT, **changes}))
        return str(file)

    return write


@pytest.fixture
def reproduce(settings, tmp_path):
    """The command with settings of the small dataset; returns its exit status."""
    keys = [f"--{key}={settings[key]}" for key in ("data_path", "embedding_size", "state")]

    def go(*given, output="out"):
        return command(reproduce_command, *given, "--output", tmp_path / output, *keys)

    return go


@pytest.mark.parametrize(
    ("ours", "above", "expected"),
    [
        (0.1, False, True),
        (0.0951, False, True),
        (0.0949, False, False),
        (0.1049, False, True),
        (0.1051, False, False),
        (0.1051, True, True),
        (0.0949, True, False),
    ],
)
def test_verdict(published, ours, above, expected):
    result = Published.load(published(above_is_fine=above))
    assert result.reproduced({"recall@10": 0.0, "ndcg@10": ours}) is expected


@pytest.mark.parametrize(("ours", "expected"), [(0.05, True), (0.104, True), (0.106, False)])
def test_of_a_metric_that_is_better_small_less_is_better(published, ours, expected):
    values = {"expected": {"giniindex@10": 0.1}, "judged": ["giniindex@10"]}
    result = Published.load(published(above_is_fine=True, **values))
    assert result.reproduced({"giniindex@10": ours}) is expected


def test_metrics_may_be_written_as_in_the_configuration(published):
    result = Published.load(published(expected={"Recall@10": 0.1}, judged=["Recall@10"]))
    assert (result.expected, result.judged) == ({"recall@10": 0.1}, ["recall@10"])


@pytest.mark.parametrize("name", known())
def test_files_of_the_package_are_sound(name, tmp_path):
    result = Published.load(name)
    assert "(" in result.source or "github.com" in result.source
    (tmp_path / result.config["dataset"]).mkdir()
    config = Config(config_dict={**result.config, "data_path": str(tmp_path)})
    computed = {f"{m.lower()}@{k}" for m in config["metrics"] for k in config["topk"]}
    assert set(result.expected) <= computed
    assert all(0 < value < 1 for value in result.expected.values())
    assert len(set(result.seeds)) >= 3


def test_ours_stand_beside_theirs_and_the_status_says_whether_they_agree(
    run, published, reproduce, capsys
):
    each = [run("Backbone", backbone="MF", epochs=1, seed=seed)["test_result"] for seed in (1, 2)]
    mean = {key: (each[0][key] + each[1][key]) / 2 for key in ("recall@10", "ndcg@10")}
    assert reproduce(published(expected=mean)) == 0
    out = capsys.readouterr().out
    row = re.search(r"\| ndcg@10 \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| \+0.0% \| reproduced", out)
    assert row
    assert row[1] == row[2] == f"{mean['ndcg@10']:.4f}"
    deviation = abs(each[0]["ndcg@10"] - each[1]["ndcg@10"]) / 2**0.5
    assert float(row[3]) == pytest.approx(deviation, abs=1e-4)
    doubled = {key: 2 * value for key, value in mean.items()}
    assert reproduce(published(expected=doubled), output="doubled") == 1
    assert "-50.0% | NOT reproduced" in capsys.readouterr().out
    only = {**mean, "ndcg@10": each[1]["ndcg@10"]}
    assert reproduce(published(expected=only), "--seeds=2", output="only") == 0
    assert "ours (1 seed)" in capsys.readouterr().out


def test_runs_that_two_results_share_are_trained_once_and_judged_against_both(
    published, reproduce, capsys, tmp_path
):
    low = {"recall@10": 1e-6, "ndcg@10": 1e-6}
    files = (
        published("beaten", expected=low, above_is_fine=True),
        published("missed", expected={"ndcg@10": 1.0}, seeds=[2, 3]),
        published("other", expected=low, above_is_fine=True, config=LONGER, seeds=[1]),
    )
    assert reproduce(*files) == 1
    out = capsys.readouterr().out
    lines = re.findall(r"^(\w+), seed (\d): (.*)", out, re.M)
    assert [line[:2] for line in lines] == [
        ("beaten", "1"), ("beaten", "2"), ("missed", "2"), ("missed", "3"), ("other", "1")
    ]  # fmt: skip
    folders = [Path(folder) for _, _, folder in lines]
    assert folders[1] == folders[2]
    assert set(folders) == {f.parent for f in (tmp_path / "out").glob("runs/*/*/metrics.json")}
    assert len(set(folders)) == 4
    values = [json.loads((f / "metrics.json").read_text())["test_result"] for f in folders[2:4]]
    mean = sum(value["ndcg@10"] for value in values) / 2
    assert re.search(rf"\| ndcg@10 \| 1.0000 \| {mean:.4f} .* NOT reproduced", out)
    assert out.count("| reproduced") == 2


def test_data_without_a_test_part_reproduce_nothing(published, capsys, tmp_path):
    folder = tmp_path / "single" / "few"
    folder.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token", *(f"{u}\t{u % 20}" for u in range(40))]
    (folder / "few.inter").write_text("\n".join(lines) + "\n")
    config = {**CONTENT["config"], "dataset": "few", "topk": [5], "valid_metric": "MRR@5"}
    given = {"expected": {"recall@5": 0.1}, "judged": ["recall@5"], "seeds": [1]}
    file = published(config=config, **given)
    data = f"--data_path={folder.parent}"
    assert command(reproduce_command, file, "--output", tmp_path / "out", data) == 1
    said = "mine, seed 1: FAILED: the split leaves no test part, of which the numbers are"
    assert said in capsys.readouterr().out


def test_dry_run_and_list_train_nothing(published, reproduce, capsys, tmp_path):
    assert reproduce(published(), "--dry_run") == 0
    assert "seed 2  mine  (to run)\n2 runs; output: " in capsys.readouterr().out
    assert reproduce("--list") == 0
    assert "rlmrec-amazon-book-lightgcn: Ren et al." in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "given", "message"),
    [
        ({"judged": ["mrr@10"]}, (), "'judged' must name metrics of 'expected', got .'mrr@10'"),
        ({}, ("--seeds=1,2,1",), "--seeds is '1,2,1', which names a seed twice"),
        ({}, ("--seed=1",), "--seed would make every run the same; give the seeds by --seeds"),
        (
            {},
            ("--model=DaRec",),
            "--model=DaRec, but experiment 'mine' was published for model 'Backbone'; leave the",
        ),
        ({}, ("--backbone=SGL",), "--backbone=SGL, but .* was published for backbone 'MF'"),
        ({"expected": {"ndcg@10": 0}}, (), "'expected' must hold numbers above 0"),
        ({"expected": {"ndcg@10": "0.1 %"}}, (), "'expected' must hold numbers above 0"),
        ({"seeds": []}, (), "'seeds' must list at least one whole number"),
        ({"seeds": ["a"]}, (), "'seeds' must list at least one whole number"),
        ({"seeds": [1, 1]}, (), "'seeds' names a seed twice"),
        ({"config": {**CONTENT["config"], "seed": 5}}, (), "give 'seed' of 'config' in the list"),
        (
            {},
            ("--eval_args={'split':{'RS':[8,2,0]}}",),
            "'eval_args' leaves experiment 'mine' no test part",
        ),
        (
            {},
            ("--topk=[5]", "--valid_metric=MRR@5"),
            "expects ndcg@10, recall@10, which its run does not compute",
        ),
        ({"tolerance": -1}, (), "key 'tolerance' is -1"),
        ({"more": 1}, (), "must have exactly the keys source, config"),
        ({"config": {"modle": "BPR"}}, (), "key 'modle' does not exist"),
        ({}, ("--seeds=a",), "--seeds is 'a'; expected numbers"),
        ({}, ("absent",), "experiment 'absent' does not exist; known are: rlmrec-amazon"),
    ],
)
def test_mistakes_are_named_before_any_run(published, reproduce, changes, given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        reproduce(published(**changes), *given)
    assert not (tmp_path / "out").exists()


def test_nothing_to_reproduce(reproduce):
    with pytest.raises(ConfigError, match="say what to reproduce"):
        reproduce()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"source: a page\nconfig: {model: BPR\n", "experiment .* is not valid yaml: line 3: "),
        (b"source: a page\nconfig: \xe9\n", "experiment .* cannot be read: line 2 is not UTF-8"),
        (b"- source\n", "experiment .* must hold 'key: value' lines"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, content, message):
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Published.load(str(tmp_path / "bad.yaml"))


def test_judged_metrics_are_words(published):
    with pytest.raises(ConfigError, match=r"'judged' must name metrics .* got \[\['ndcg@10'\]\]"):
        Published.load(published(judged=[["ndcg@10"]]))


def test_a_failed_run_is_named_and_the_others_are_judged(published, reproduce, capsys, tmp_path):
    low = {"recall@10": 1e-6, "ndcg@10": 1e-6}
    diverging = {**CONTENT["config"], "learning_rate": 1e30, "reg_weight": 1.0}
    files = (
        published("diverges", config=diverging, seeds=[1]),
        published("fine", expected=low, above_is_fine=True),
    )
    assert reproduce(*files) == 1
    out = capsys.readouterr().out
    assert re.search(r"^diverges, seed 1: FAILED: .*the training loss is", out, re.M)
    assert out.count("| ndcg@10 |") == out.count("| reproduced |") == 1
    table = (tmp_path / "out" / "table.md").read_text()
    assert table in out
    assert "diverges, seed 1: FAILED" in table
    with pytest.raises(ConfigError, match="holds an experiment already: --resume goes on with it"):
        reproduce(*files)


def test_a_result_of_which_one_run_failed_is_not_reproduced(published, tmp_path):
    result = Published.load(published())
    ran = {"status": "finished", "seed": 1, "run_folder": "a", "test": result.expected}
    lost = {"status": "failed", "seed": 2, "error": "no memory"}
    text, reproduced = reproduce_command._report(result, [ran, lost], tmp_path)
    assert not reproduced
    assert "mine, seed 2: FAILED: no memory\n" in text
    assert "ours (1 seed)" in text
    assert reproduce_command._report(result, [ran], tmp_path)[1]


def test_resume_keeps_what_is_finished_and_runs_the_rest(published, reproduce, capsys, tmp_path):
    low = {"recall@10": 1e-6, "ndcg@10": 1e-6}
    file = published(expected=low, above_is_fine=True)
    assert reproduce(file) == 0
    whole = capsys.readouterr().out
    (kept,) = (tmp_path / "out").glob("runs/mine-1/*/metrics.json")
    before = kept.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "out" / "runs" / "mine-2")
    assert reproduce(file, "--resume") == 0
    again = capsys.readouterr().out
    assert "1 of 2 runs are finished already" in again
    assert re.findall(r"\| [a-z]+@10 .*", again) == re.findall(r"\| [a-z]+@10 .*", whole)
    assert kept.stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="is of another experiment: epochs of mine-1 is 1 there"):
        reproduce(file, "--resume", "--epochs=2")


def test_two_files_of_one_name_are_refused(published, reproduce, tmp_path):
    (tmp_path / "other").mkdir()
    other = Path(published(config=LONGER)).rename(tmp_path / "other" / "mine.yaml")
    with pytest.raises(ConfigError, match="runs stand twice in the experiment: mine-1, mine-2"):
        reproduce(published(), str(other))
    assert not (tmp_path / "out").exists()


def test_names_beside_all_or_list_are_refused(reproduce):
    for option in ("--all", "--list"):
        with pytest.raises(ConfigError, match=f"{option} is of all .*: leave out mine.yaml, other"):
            reproduce("mine.yaml", "other", option)


def test_numbers_of_another_dataset_are_not_compared_with(published, reproduce):
    with pytest.raises(ConfigError, match="--dataset=ml-100k, but experiment 'mine' was published"):
        reproduce(published(), "--dataset=ml-100k")
