"""Many runs: one after the other, in parallel processes, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from queue import SimpleQueue
from threading import Thread

from recbole_darec.experiment.execute import Outcome, Task, execute
from recbole_darec.experiment.files import write_text

_DIED = "its process ended without a word; if it was killed for memory, use fewer --workers"


def in_this_process(tasks: Sequence[Task], threads: int | None = None) -> Iterator[Outcome]:
    """Outcomes of the tasks, run one after the other; threads of PyTorch, None: as they are."""
    if threads:
        import torch

        torch.set_num_threads(threads)
    return map(execute, tasks)


def in_processes(tasks: Sequence[Task], workers: int, threads: int = 1) -> Iterator[Outcome]:
    """Outcomes of the tasks as they end, run in processes that each do one at a time.

    A process that dies costs its own task only; another takes its place.

    Args:
        tasks: what to run.
        workers: processes.
        threads: of PyTorch, in each of them.
    """
    idle: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()
    for _ in range(workers):
        idle.put(_process(threads))

    def attempt(task: Task) -> Outcome:
        process = idle.get()
        try:
            return process.submit(execute, task).result()
        except BrokenProcessPool:
            process = _process(threads)
            return _lost(task, _DIED)
        finally:
            idle.put(process)

    with ThreadPoolExecutor(workers) as pool:
        attempts = [pool.submit(attempt, task) for task in tasks]
        try:
            for done in as_completed(attempts):
                yield done.result()
        finally:
            for waiting in attempts:
                waiting.cancel()
    for _ in range(workers):
        idle.get().shutdown()


def _process(threads: int) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, initializer=_prepare, initargs=(threads,))


def _prepare(threads: int) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    import torch

    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    """A run must not go on unseen when the command is killed: it may be resumed by another."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def on_ray(
    tasks: Sequence[Task], address: str, cpus: float = 1, gpus: float = 0
) -> Iterator[Outcome]:
    """Outcomes of the tasks as they end, run on a Ray cluster that shares the output folder.

    Args:
        tasks: what to run.
        address: of the cluster; see ``ray_cluster.connect``.
        cpus: that a run occupies.
        gpus: that a run occupies; a fraction shares one.

    Raises:
        ConfigError: if no cluster answers.
    """
    from recbole_darec import ray_cluster

    ray = ray_cluster.connect(address)
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(execute)
    waiting = {remote.remote(task): task for task in tasks}
    while waiting:
        (done,), _ = ray.wait(list(waiting))
        task = waiting.pop(done)
        try:
            yield ray.get(done)
        except ray.exceptions.RayError as error:
            yield _lost(task, f"{_DIED} ({type(error).__name__})")


def _lost(task: Task, error: str) -> Outcome:
    """The outcome of a run that could not say itself how it ended."""
    write_text(task.place / "error.txt", error + "\n")
    return Outcome(task.run, error=error)
