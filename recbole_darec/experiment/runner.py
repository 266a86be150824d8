"""Runs what is planned and not yet finished, and says how it goes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recbole_darec.experiment import pool
from recbole_darec.experiment.execute import Outcome, Task, finished_folder
from recbole_darec.experiment.plan import PlannedRun
from recbole_darec.keys import ConfigError


@dataclass(frozen=True)
class Runner:
    """How runs are carried out.

    Attributes:
        workers: parallel processes; 1 runs in this one.
        threads: of PyTorch in each process; None: 1 where there are several, else its default.
        ray_address: send the runs to this cluster instead.
        gpus: that a run occupies on a cluster; a fraction shares one.
        saved: whether to keep checkpoints.
    """

    workers: int = 1
    threads: int | None = None
    ray_address: str | None = None
    gpus: float = 0.0
    saved: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace) -> Runner:
        """From the options of ``add_runner_arguments``.

        Raises:
            ConfigError: if a number is out of range.
        """
        if (
            args.workers < 1
            or (args.threads is not None and args.threads < 1)
            or args.gpus_per_run < 0
            or getattr(args, "cold", 0) < 0
        ):
            raise ConfigError(
                "--workers and --threads must be >= 1, --gpus_per_run and --cold >= 0"
            )
        return cls(args.workers, args.threads, args.ray_address, args.gpus_per_run, args.saved)

    def connect(self) -> None:
        """Join the cluster, if the runs go to one.

        Raises:
            ConfigError: if none answers.
        """
        if self.ray_address:
            from recbole_darec import ray_cluster

            ray_cluster.connect(self.ray_address)
            ray_cluster.check_room(self.ray_address, self.threads or 1, self.gpus)

    def run(self, runs: Sequence[PlannedRun], output: Path) -> list[Outcome]:
        """Carry out the runs; one that fails is reported and the others go on.

        Returns:
            Outcomes of the runs that had not finished before.

        Raises:
            ConfigError: if no cluster answers.
        """
        from tqdm import tqdm  # type: ignore[import-untyped]

        tasks = [Task(run, output, self.saved) for run in runs]
        waiting = [task for task in tasks if finished_folder(task.place) is None]
        if len(waiting) < len(tasks):
            print(f"{len(tasks) - len(waiting)} of {len(tasks)} runs are finished already")
        outcomes = []
        bar = tqdm(total=len(waiting), unit="run", disable=not sys.stderr.isatty())
        for outcome in self._outcomes(waiting):
            outcomes.append(outcome)
            bar.update()
            bar.write(f"[{len(outcomes)}/{len(waiting)}] {_describe(outcome)}", file=sys.stdout)
            sys.stdout.flush()
        bar.close()
        return outcomes

    def _outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        if self.ray_address:
            return pool.on_ray(tasks, self.ray_address, self.threads or 1, self.gpus)
        if self.workers > 1:
            return pool.in_processes(tasks, self.workers, self.threads or 1)
        return pool.in_this_process(tasks, self.threads)


def add_runner_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every command that carries out many runs."""
    parser.add_argument("--output", metavar="DIR", help="folder of the experiment; default new")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the experiment that lies in --output"
    )
    parser.add_argument("--workers", type=int, default=1, help="parallel processes (default 1)")
    parser.add_argument(
        "--threads", type=int, help="of PyTorch in each; default 1 where there are several"
    )
    parser.add_argument("--ray_address", help="host:port of a Ray cluster that takes the runs")
    parser.add_argument(
        "--gpus_per_run", type=float, default=0.0, help="on the cluster; 0.5 shares one"
    )
    parser.add_argument("--saved", action="store_true", help="keep the checkpoints")
    parser.add_argument("--dry_run", action="store_true", help="show the runs and stop")


def add_comparison_arguments(parser: argparse.ArgumentParser) -> None:
    """Those, and what the runs share and their tables say."""
    parser.add_argument("--config_files", nargs="+", default=[], metavar="FILE")
    add_runner_arguments(parser)
    parser.add_argument(
        "--cold", type=int, default=5, help="training interactions up to which an item is cold"
    )


def show_plan(runs: Sequence[PlannedRun], output: Path) -> None:
    """Print the runs and which of them are finished."""
    for run in runs:
        state = "finished" if finished_folder(Task(run, output).place) else "to run"
        print(f"{run.dataset}  seed {run.seed}  {run.label}  ({state})")
    print(f"{len(runs)} runs; output: {output}")


def _describe(outcome: Outcome) -> str:
    run = outcome.run
    end = f"FAILED: {outcome.error}" if outcome.error else f"done in {outcome.seconds:.0f} s"
    return f"{run.label} on {run.dataset}, seed {run.seed}: {end}"
