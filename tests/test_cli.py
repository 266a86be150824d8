"""The script, as a user types it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_darec import __version__, cli
from recbole_darec.cli import _COMMANDS, main
from recbole_darec.registry import FAMILIES, parts

ROOT = Path(__file__).parent.parent


def script(*arguments, cwd):
    return subprocess.run(
        [sys.executable, ROOT / "run_recbole_darec.py", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def test_the_last_line_is_the_run_folder(settings, tmp_path):
    keys = [f"--{key}={value}" for key, value in {**settings, "epochs": 1}.items()]
    done = script("--model=DaRec", "--dataset=small", *keys, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    label, _, folder = done.stdout.strip().splitlines()[-1].partition(": ")
    assert label == "run folder"
    assert (Path(folder) / "metrics.json").is_file()


def test_recboles_spelling_of_arguments(settings, tmp_path):
    file = tmp_path / "my own.yaml"
    file.write_text("".join(f"{key}: '{value}'\n" for key, value in settings.items()
                            if isinstance(value, str)))  # fmt: skip
    done = script("--model", "Pop", "-d", "small", "--config_files", str(file), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test result: {'recall@10'" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=DaRek"], "error: model 'DaRek' does not exist; did you mean 'DaRec'?"),
        (
            ["--config_files", os.devnull, "--item_template=two {words}", "--model=BPR"],
            "error: key 'item_template' is not read by BPR",
        ),
        (
            ["compare", "--models=BPR", "--config_files", os.devnull, "--no_key=a b"],
            "key 'no_key' does not exist",
        ),
        (["--model=BPR", "stray"], "error: argument 'stray' is not of the form --key=value"),
        (["--model=BPR", "--model=Pop"], "error: --model is given twice, as 'BPR' and 'Pop'"),
        (["-d", "a", "--dataset=b"], "error: --dataset is given twice, as 'a' and 'b'"),
        (
            ["--config_files", "a.yaml", "--config_files", "b.yaml"],
            "error: --config_files is given twice, as ['a.yaml'] and ['b.yaml']",
        ),
        (["tune", "--model=KAR", "--model=BPR"], "error: --model is given twice"),
        (["analyse", "saved/x"], "error: 'analyse' is no command; did you mean 'analyze'?; there"),
        (["train"], "there are embed, compare, ablate, tune, reproduce, analyze, recommend, exp"),
        (["model=BPR"], "error: 'model=BPR' has no dashes; write --model=BPR"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, arguments, message):
    done = script(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_help_has_examples(tmp_path):
    done = script("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "run_recbole_darec.py --model=DaRec --dataset=ml-100k" in done.stdout
    for family in FAMILIES:
        assert all(name in done.stdout for name in parts(family))


def test_the_version(tmp_path):
    done = script("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"recbole-darec {__version__}\n")


@pytest.mark.parametrize(
    ("started", "shown"),
    [
        ("/usr/bin/recbole-darec", "recbole-darec"),
        ("./run_recbole_darec.py", "run_recbole_darec.py"),
        ("/usr/bin/pytest", "run_recbole_darec.py"),
    ],
)
def test_help_names_the_program_that_was_started(monkeypatch, capsys, started, shown):
    monkeypatch.setattr(sys, "argv", [started])
    for arguments in (["--help"], ["compare", "--help"]):
        with pytest.raises(SystemExit):
            main(arguments)
        said = capsys.readouterr().out
        assert said.startswith(f"usage: {shown} ")
        assert f"\n  {shown} " in said
        other = {"recbole-darec", "run_recbole_darec.py"} - {shown}
        assert not other & set(said.split())


def run_alone(code):
    """Run code in a process that has imported nothing."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_neither_ray_nor_an_encoder(tmp_path):
    code = (
        "import sys, recbole_darec, recbole_darec.cli, recbole_darec.quick_start\n"
        "heavy = {'ray', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run_alone(code)


@pytest.mark.parametrize("command", list(_COMMANDS))
def test_each_command_has_help_with_an_example(tmp_path, command):
    done = script(command, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"run_recbole_darec.py {command}" in done.stdout.split("xample")[1]


def test_help_loads_no_pytorch():
    """It would take seconds."""
    code = (
        "import contextlib, sys\n"
        "from recbole_darec.cli import _COMMANDS, main\n"
        "for command in [[], *([name] for name in _COMMANDS)]:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main([*command, '--help'])\n"
        "    assert not {'torch', 'recbole'} & set(sys.modules), command\n"
    )
    run_alone(code)


def test_a_command_without_configuration_refuses_keys(tmp_path):
    done = script("export", "folder", "--output=x", "--epochs=3", cwd=tmp_path)
    assert done.returncode == 2
    assert "unrecognized arguments: --epochs=3" in done.stderr


def test_a_reader_that_leaves_ends_the_command_without_a_traceback(tmp_path):
    command = [sys.executable, ROOT / "run_recbole_darec.py", "reproduce", "--list"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        running.stdout.close()
        said = running.stderr.read()
    assert (running.returncode, said) == (1, "")


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_chosen", interrupted)
    assert main([]) == 130
    assert capsys.readouterr().err.startswith("interrupted; where an epoch had ended, --resume")


@pytest.mark.parametrize("shell", ["{} 2>&-", "{} >&-"])
def test_it_runs_with_a_closed_stream(settings, tmp_path, shell):
    keys = [f"--{key}={value}" for key, value in {**settings, "epochs": 1}.items()]
    command = shlex.join([sys.executable, str(ROOT / "run_recbole_darec.py")])
    done = subprocess.run(
        ["/bin/sh", "-c", shell.format(f"{command} --dataset=small {shlex.join(keys)}")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(Path(settings["checkpoint_dir"]).glob("DaRec-small-*/metrics.json"))) == 1


def test_a_terminal_without_a_letter_shows_its_number(tmp_path):
    code = "import sys; from recbole_darec import cli; cli._chosen = lambda given: print('é') or 0"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(cli.main([]))"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stdout) == (0, "\\xe9\n"), done.stderr
