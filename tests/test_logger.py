"""Where log records go in a run and after it."""

import subprocess
import sys

import pytest

AFTER = """
import contextlib, logging, pathlib, sys
from recbole_darec import compat
compat.install()
from recbole_darec.logger import end_log, init_logger

with pathlib.Path("output.log").open("w") as log, contextlib.redirect_stderr(log):
    for file in ("first.log", "second.log"):
        init_logger(pathlib.Path(file), sys.argv[1])
        logging.getLogger().critical(f"in {file}")
    end_log()
logging.getLogger().warning("after the run")
logging.getLogger().info("by the way")
end_log()
"""


@pytest.mark.parametrize("level", ["INFO", "CRITICAL"])
def test_a_warning_after_a_run_reaches_the_terminal_of_then(level, tmp_path):
    command = [sys.executable, "-c", AFTER, level]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "after the run\n"
    assert done.stdout == ""
    for name, words in (("first", "in first.log"), ("second", "in second.log")):
        (line,) = (tmp_path / f"{name}.log").read_text().splitlines()
        assert line.endswith(f"CRITICAL  {words}")
    assert (tmp_path / "output.log").read_text().count("CRITICAL") == 2
