"""Models on another device than the CPU: the same numbers, no tensor left behind.

There is no GPU in continuous integration; ``simulated_device.cpp`` is strict about where tensors
lie, as one is, though it says nothing of a GPU's kernels or speed.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from device_runs import RUNS

HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="the device is compiled by g++"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    reason = "PyTorch's tools for devices and extensions"
    pytest.importorskip("setuptools", reason=reason)
    backends = pytest.importorskip("torch.utils.backend_registration", reason=reason)
    if not hasattr(backends, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this PyTorch has no devices written in Python")
    from torch.utils.cpp_extension import include_paths, library_paths

    library = tmp_path_factory.mktemp("device") / "simulated_device.so"
    options = ["-shared", "-fPIC", "-std=c++20", "-w", "-o", str(library)]
    headers = [f"-I{path}" for path in include_paths()]
    libraries = [*(f"-L{path}" for path in library_paths()), "-lc10", "-ltorch_cpu"]
    source = str(HERE / "simulated_device.cpp")
    subprocess.run(["g++", *options, *headers, source, *libraries], check=True)
    return str(library)


@pytest.fixture(scope="module")
def came_to(library, tmp_path_factory):
    """What all runs came to on either device; in processes of their own, which it changes."""
    found = {}
    for device in ("cpu", "simulated"):
        folder = tmp_path_factory.mktemp(device)
        command = [sys.executable, str(HERE / "device_runs.py"), device, str(folder), library]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[device] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("run", RUNS)
def test_a_run_comes_to_the_same_on_another_device(came_to, run):
    here, there = came_to["cpu"][run], came_to["simulated"][run]
    assert "error" not in here, here["error"]
    assert "error" not in there, there["error"]
    assert [here["device"], there["device"]] == ["cpu", "simulated"]
    assert there["numbers"] == pytest.approx(here["numbers"], rel=1e-4, abs=1e-5)


MIX = """
import torch
from device_runs import take
take({library!r})
x = torch.ones(2, device="simulated")
assert (x + torch.tensor(1.0)).tolist() == [2, 2] and x[torch.tensor([0])].tolist() == [1]
graph = torch.sparse_csr_tensor([0, 1, 1], [0], [1.0], (2, 2))
assert (graph.to("simulated") @ x[:, None]).tolist() == [[1], [0]]
for mistake in (
    lambda: torch.stack([x, torch.ones(2)]),
    lambda: torch.ones(2)[x.long()],
    lambda: x.index_select(0, torch.tensor(1)),
    lambda: torch.mm(graph, x[:, None]),
    lambda: torch.rand(2, device="simulated", generator=torch.Generator()),
):
    try:
        mistake()
    except RuntimeError as error:
        print(str(error).splitlines()[0])
    else:
        print("taken")
"""
BOTH = "tensors of the device and of the CPU"
REFUSALS = [BOTH, "indices should be either on cpu", BOTH, BOTH, "a generator of the CPU"]


def test_the_device_refuses_tensors_and_generators_of_the_cpu(library):
    command = [sys.executable, "-W", "ignore", "-c", MIX.format(library=library)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE)
    lines = done.stdout.splitlines()
    assert [words in line for words, line in zip(REFUSALS, lines, strict=True)] == [True] * 5, lines
