"""The package of docs/extending.md, installed as a user would, and run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("setuptools", reason="pip builds the example with the installed setuptools")

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "extension"
PARTS = ("one_hop.py", "distance.py", "text_mf.py")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder with the installed example."""
    source = tmp_path_factory.mktemp("source")
    for file in EXAMPLE.rglob("*"):
        if file.suffix in (".py", ".yaml", ".toml"):
            copied = source / file.relative_to(EXAMPLE)
            copied.parent.mkdir(exist_ok=True)
            copied.write_bytes(file.read_bytes())
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", target, source], check=True)
    return target


@pytest.fixture
def python(installed, tmp_path):
    """``python(code, text) -> output`` in a process that finds the example as installed."""

    def python(code, text=""):
        path = [str(ROOT), str(installed), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=text,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return python


@pytest.fixture
def outside(python, settings):
    """Test results of several runs, each a model and its keys."""

    def outside(*runs):
        code = (
            "import json, sys\n"
            "from recbole_darec.quick_start import run_recbole_darec\n"
            "for model, keys in json.load(sys.stdin):\n"
            "    result = run_recbole_darec(model, 'small', config_dict=keys, saved=False)\n"
            "    print('RESULT', json.dumps(result['test_result']))\n"
        )
        printed = python(code, json.dumps([(m, {**settings, **keys}) for m, keys in runs]))
        return [json.loads(line) for line in re.findall(r"^RESULT (.*)", printed, re.M)]

    return outside


def test_both_parts_run_together_and_with_ours(outside):
    bare, plain, idle, both, on_ours = outside(
        ("Backbone", {"backbone": "OneHop"}),
        ("Backbone", {"backbone": "OneHop", "hop_weight": 0.0}),
        ("Distance", {"backbone": "OneHop", "distance_weight": 0.0}),
        ("Distance", {"backbone": "OneHop", "alignment_weight": 1.0}),
        ("DaRec", {"backbone": "OneHop", "alignment_warmup": 0}),
    )
    assert bare == idle
    assert len({json.dumps(result) for result in (bare, plain, both, on_ours)}) == 4
    assert all(0 < result["ndcg@10"] < 1 for result in (bare, both, on_ours))


def test_the_model_without_a_backbone_reads_the_text_and_leaves_recboles_models_alone(outside):
    ours, again, other_text, recboles = outside(
        ("TextMF", {}),
        ("TextMF", {}),
        ("TextMF", {"item_template": "{class}"}),
        ("BPR", {}),
    )
    assert ours == again
    assert ours != other_text
    assert all(0 < result["ndcg@10"] < 1 for result in (ours, other_text, recboles))


def test_the_model_without_a_backbone_is_searched_over_what_it_declares(python, settings):
    keys = [f"--{key}={settings[key]}" for key in ("data_path", "item_template")]
    tune = ["tune", "--model", "TextMF", "--dataset", "small", "--dry_run", *keys]
    printed = python(f"from recbole_darec.cli import main\nassert main({tune}) == 0")
    assert "  embedding_size: choice [32,64,128]\n  learning_rate: loguniform -8,-4\n" in printed


def test_its_keys_are_checked_as_ours(python, tmp_path):
    code = (
        "from recbole_darec.config import Config\n"
        "for keys in ({'backbone': 'OneHop', 'hop_weight': -1}, {'hop_wieght': 1},\n"
        "             {'backbone': 'OneHopp'}):\n"
        "    try:\n"
        "        Config('Distance', config_dict=keys)\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    said = python(code).splitlines()
    expected = ("key 'hop_weight' is -1", "did you mean 'hop_weight'", "did you mean 'OneHop'")
    for line, message in zip(said, expected, strict=True):
        assert message in line


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_less_than_40_lines(name):
    assert len((EXAMPLE / "darec_extension" / name).read_text().splitlines()) < 40


def test_the_documentation_shows_the_very_files():
    shown = re.findall(
        r"```(?:python|yaml|toml)\n(.*?)```", (ROOT / "docs/extending.md").read_text(), re.S
    )
    files = [EXAMPLE / "pyproject.toml", *sorted((EXAMPLE / "darec_extension").iterdir())]
    content = {file.read_text() for file in files if file.is_file() and file.name != "__init__.py"}
    assert set(shown) == content
