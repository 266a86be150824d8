"""The package as it is installed: nothing forgotten, and it runs from another folder."""

import configparser
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_every_package_is_listed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for file in (ROOT / "recbole_darec").rglob("__init__.py")
    }
    assert listed == found | {"recbole_darec.properties"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", out, ROOT],
        check=True,
        capture_output=True,
    )
    (file,) = out.glob("*.whl")
    return file


def test_the_wheel_carries_every_property(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for file in filter(Path.is_file, (ROOT / "properties").rglob("*")):
        inside = f"recbole_darec/properties/{file.relative_to(ROOT / 'properties')}"
        assert inside in names
    assert "recbole_darec/py.typed" in names


def test_the_wheel_runs_from_another_folder(wheel, settings, tmp_path):
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    code = (
        "import sys, recbole_darec\n"
        f"assert recbole_darec.__file__.startswith({str(target)!r}), recbole_darec.__file__\n"
        "from recbole_darec.cli import main\n"
        "sys.exit(main())\n"
    )
    keys = [f"--{key}={value}" for key, value in {**settings, "epochs": 1}.items()]
    done = subprocess.run(
        [sys.executable, "-c", code, "--dataset=small", *keys],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "run folder: " in done.stdout
