"""Memory that is freed and asked for again."""

import subprocess
import sys

import pytest

from recbole_darec import freed_memory

# Each table is larger than what glibc keeps by itself.
CODE = """
import resource, sys
import torch
from recbole_darec.freed_memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

told = keep_freed_memory() if sys.argv[1] == "keep" else True
fresh = []
for _ in range(20):
    before = faults()
    table = torch.zeros(16 * 2**20)
    del table
    fresh.append(faults() - before)
# Until small blocks have found their places, one of them may stand in the way.
print(told, min(fresh))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is the C library of Linux alone")
def test_freed_tables_are_reused_without_new_pages():
    found = {}
    for mode in ("keep", "leave"):
        done = subprocess.run(
            [sys.executable, "-c", CODE, mode], check=True, capture_output=True, text=True
        )
        told, faults = done.stdout.split()
        if told == "False":
            pytest.skip("the C library is not glibc")
        found[mode] = int(faults)
    # 64 MiB are 16,384 pages of 4 KiB, or 32 of 2 MiB.
    assert found["leave"] >= 32
    assert found["keep"] < found["leave"] / 4


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(freed_memory.sys, "platform", "darwin")
    assert not freed_memory.keep_freed_memory()


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(freed_memory.sys, "platform", "linux")
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda name: object())
    assert not freed_memory.keep_freed_memory()
