"""Eight runs of ``compare`` with one worker process and with two, one thread each.

    python benchmarks/parallel_runs.py [--runs 8] [--rounds 3] [--key=value ...]

Prints the median wall time of both, the start of the processes included, and their ratio. Needs two
idle cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SCRIPT = Path(__file__).parents[1] / "run_recbole_darec.py"


def seconds(workers: int, runs: int, keys: list[str]) -> float:
    """Wall time of one command, in s.

    Raises:
        subprocess.CalledProcessError: if a run fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(SCRIPT), "compare", f"--seeds={runs}"]
        command += [f"--workers={workers}", "--threads=1", f"--output={Path(folder) / 'out'}"]
        started = time.perf_counter()
        subprocess.run(command + keys, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        return time.perf_counter() - started


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default="BPR")
    args, keys = parser.parse_known_args()
    keys = [f"--models={args.models}", *(keys or ["--epochs=60", "--stopping_step=1000"])]
    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(args.rounds):
        for workers, times in taken.items():
            times.append(seconds(workers, args.runs, keys))
    one, two = map(median, taken.values())
    print(f"{args.runs} runs: {one:.1f} s with 1 worker, {two:.1f} s with 2, ratio {two / one:.2f}")


if __name__ == "__main__":
    main()
