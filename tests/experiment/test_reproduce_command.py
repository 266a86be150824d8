"""Published numbers: the files, the verdict and the command."""

import argparse
import json
import re
from pathlib import Path

import pytest
import yaml

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
def reproduce(settings):
    """The command with settings of the small dataset; returns its exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    reproduce_command.add_arguments(parser)
    kept = ("data_path", "checkpoint_dir", "embedding_size", "state")
    keys = [f"--{key}={settings[key]}" for key in kept]

    def go(*given):
        args, args.keys = parser.parse_known_args([*given, *keys])
        return reproduce_command.main(args)

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
    assert reproduce(published(expected=doubled)) == 1
    assert "-50.0% | NOT reproduced" in capsys.readouterr().out
    only = {**mean, "ndcg@10": each[1]["ndcg@10"]}
    assert reproduce(published(expected=only), "--seeds=2") == 0
    assert "ours (1 seeds)" in capsys.readouterr().out


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
    assert set(folders) == set((tmp_path / "saved").iterdir())
    assert len(set(folders)) == 4
    values = [json.loads((f / "metrics.json").read_text())["test_result"] for f in folders[2:4]]
    mean = sum(value["ndcg@10"] for value in values) / 2
    assert re.search(rf"\| ndcg@10 \| 1.0000 \| {mean:.4f} .* NOT reproduced", out)
    assert out.count("| reproduced") == 2


def test_dry_run_and_list_train_nothing(published, reproduce, capsys, tmp_path):
    assert reproduce(published(), "--dry_run") == 0
    assert "seeds [1, 2]" in capsys.readouterr().out
    assert reproduce("--list") == 0
    assert "rlmrec-amazon-book-lightgcn: Ren et al." in capsys.readouterr().out
    assert not (tmp_path / "saved").exists()


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
    assert not (tmp_path / "saved").exists()


def test_nothing_to_reproduce(reproduce):
    with pytest.raises(ConfigError, match="say what to reproduce"):
        reproduce()
