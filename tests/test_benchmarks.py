"""The benchmarks run, on tiny data, and what they print of it agrees."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def bench(name, *arguments):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A split of 40 users, each with 14 of 50 items."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "few").mkdir()
    rng = np.random.default_rng(0)
    chosen = [(user, item) for user in range(40) for item in rng.choice(50, 14, replace=False)]
    for part, first, last in (("train", 0, 10), ("valid", 10, 12), ("test", 12, 14)):
        rows = [f"{u}\t{i}" for at, (u, i) in enumerate(chosen) if first <= at % 14 < last]
        lines = ["user_id:token\titem_id:token", *rows]
        (folder / "few" / f"few.{part}.inter").write_text("\n".join(lines) + "\n")
    return folder


def cells(row):
    """Seconds and ratio of each cell of a row."""
    return [tuple(map(float, found)) for found in re.findall(r"([\d.e-]+) s \(([\d.]+)\)", row)]


@pytest.mark.parametrize("backbone", ["LightGCN", "SGL"])
def test_epoch_speed_prints_ratios_of_its_seconds_and_the_same_metrics(data, backbone):
    keys = ["--dim", 8, "--batch", 64, "--width", 6, "--epochs", 3, "--threads", 1]
    place = ["--data_path", data, "--dataset", "few", "--backbones", backbone]
    done = bench("epoch_speed", *place, *keys)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if re.match(r"\| .*[\d.] s \(", line)]
    names = [row.split("|")[1].strip() for row in rows]
    assert names == [f"RecBole's {backbone}", f"Backbone({backbone})", f"DaRec({backbone})"]
    base = cells(rows[0])
    for row in rows:
        assert len(cells(row)) == 4
        for (seconds, ratio), (theirs, _) in zip(cells(row), base, strict=True):
            assert ratio == pytest.approx(theirs / seconds, rel=0.02, abs=0.06)
    assert f"{backbone}: same metrics of the same representations: recall@5 0." in done.stdout
    (times,) = re.findall(rf"DaRec\({backbone}\) takes ([\d.]+) times the epoch", done.stdout)
    expected = cells(rows[2])[0][0] / cells(rows[1])[0][0]
    assert float(times) == pytest.approx(expected, rel=0.02)


def test_scaling_prints_a_row_a_size_and_draws_them(tmp_path):
    keys = ["--dim", 8, "--batch", 64, "--width", 6, "--steps", 1, "--figure", tmp_path / "s.png"]
    done = bench("scaling", "--sizes", "1e4", "2e4", *keys)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"\| ([12]e\+04) \|.* ([\d.]+) ms \| (\d+) ns \|", done.stdout)
    assert [size for size, _, _ in rows] == ["1e+04", "2e+04"]
    for size, milliseconds, nanoseconds in rows:
        each = 1e6 * float(milliseconds) / float(size)
        assert float(nanoseconds) == pytest.approx(each, abs=6, rel=0.05)
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backbones", "GCCF"], "argument --backbones: invalid choice: 'GCCF'"),
        (
            ["--rlmrec", "/nowhere"],
            "error: --rlmrec: there is no /nowhere/encoder/models/general_cf",
        ),
        (
            ["--rlmrec", "/x", "--backbones", "SGL"],
            "error: --rlmrec: its LightGCN is measured besid",
        ),
        (
            ["--device", "cuda", "--clock", "cpu"],
            "error: --clock cpu does not see the work of a GPU",
        ),
    ],
)
def test_epoch_speed_refuses_what_it_cannot_measure(data, arguments, message):
    done = bench("epoch_speed", "--data_path", data, *arguments)
    assert done.returncode == 2
    assert done.stderr.count(message) == 1
    assert done.stdout == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("name", "needed"), [("epoch_speed", ["--data_path", "x"]), ("propagation", [])]
)
def test_a_gpu_that_is_not_there_is_told(name, needed):
    done = bench(name, *needed, "--device", "cuda")
    assert done.returncode == 2
    assert "error: --device cuda: PyTorch sees no GPU here" in done.stderr


def test_items_are_held_out_of_whole_interactions_alone(data, tmp_path):
    done = bench("cold_start", data, "few", tmp_path / "cold")
    assert done.returncode == 2
    assert f"there is no {data / 'few' / 'few.inter'}: items are held out of whole" in done.stderr
