"""Encoders and generators on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from logging import getLogger
from typing import Any, TypeVar

from recbole_darec.keys import ConfigError

Item = TypeVar("Item")
_RESTARTS = 5


class RayEngine:
    """Calls a method of some object in several workers of a cluster.

    Each worker makes the object itself, once. A worker that dies is replaced and its call repeated
    with the same argument, so that nothing is lost and, for an encoder, the bytes stay the same.
    Workers compute with as many threads as this process would: another number may change the last
    bits of a vector.

    Args:
        make: makes the object in a worker; must be picklable.
        like: such an object of this process; a worker whose own has other ``identity`` is an error.
        identity: name of the attribute that says what an object computes.
        address: of a running cluster; None: one on this machine, for as long as this process lives.
        workers: how many; None: as many as the cluster has room for.
        on_gpu: whether each worker needs a GPU.

    Raises:
        ConfigError: if no cluster answers, or it has too little room.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        like: Any,
        identity: str,
        address: str | None = None,
        workers: int | None = None,
        on_gpu: bool = False,
    ) -> None:
        import torch

        from recbole_darec.experiment import ray_cluster

        self._ray = ray_cluster.connect(address)
        threads = torch.get_num_threads()
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cpus = min(threads, max(int(node.get("CPU", 0)) for node in nodes))
        room = _room(nodes, cpus, on_gpu)
        if room < (workers or 1):
            raise ConfigError(
                f"--workers is {workers or 1}, but the Ray cluster has room for {room}, each with "
                f"{cpus} CPUs{' and a GPU' if on_gpu else ''}; lower --workers, or OMP_NUM_THREADS"
            )
        worker = self._ray.remote(
            num_cpus=cpus,
            num_gpus=1 if on_gpu else 0,
            max_restarts=_RESTARTS,
            max_task_retries=_RESTARTS,
        )(EmbeddingWorker)
        count = workers or room
        getLogger().info(f"Ray: {count} workers of {threads} threads")
        expected = identity, getattr(like, identity)
        self._workers = [worker.remote(make, threads, *expected) for _ in range(count)]

    def map(
        self,
        method: str,
        items: Iterable[Item],
        argument: Callable[[Item], Any] = lambda item: item,
    ) -> Iterator[tuple[Item, Any]]:
        """Items with their results, as they are ready; at most one call a worker at a time.

        Args:
            method: of the object in the workers.
            items: drawn only when their turn comes.
            argument: what the method is called with for an item.

        Raises:
            ConfigError: what a call raised, or if workers die again and again.
        """
        ray, waiting = self._ray, iter(items)
        idle = list(self._workers)
        running: dict[Any, tuple[Item, Any]] = {}
        failed: Exception | None = None
        while True:
            if failed is None:
                for item in islice(waiting, len(idle)):
                    worker = idle.pop()
                    running[worker.call.remote(method, argument(item))] = item, worker
            if not running:
                break
            (done,), _ = ray.wait(list(running))
            item, worker = running.pop(done)
            idle.append(worker)
            try:
                result = ray.get(done)
            except ray.exceptions.RayError as error:
                failed = failed or _reason(error)
                continue
            yield item, result
        if failed is not None:
            raise failed

    def close(self) -> None:
        """Let the workers go."""
        for worker in self._workers:
            self._ray.kill(worker)


class EmbeddingWorker:
    """What runs in a worker."""

    def __init__(self, make: Callable[[], Any], threads: int, identity: str, expected: Any) -> None:
        import torch

        torch.set_num_threads(threads)
        self._made = make()
        if getattr(self._made, identity) != expected:
            raise ConfigError(
                f"a Ray worker has another model under the name '{self._made.name}': "
                f"{getattr(self._made, identity)} instead of {expected}; install the same files on "
                "all nodes"
            )

    def call(self, method: str, argument: Any) -> Any:
        """Result of a method of the object."""
        return getattr(self._made, method)(argument)


def _room(nodes: list[dict[str, float]], cpus: int, on_gpu: bool) -> int:
    """How many workers fit."""
    return sum(
        int(min(node.get("CPU", 0) // cpus, node.get("GPU", 0) if on_gpu else float("inf")))
        for node in nodes
    )


def _reason(error: Exception) -> Exception:
    cause = getattr(error, "cause", None)
    if isinstance(cause, ConfigError):
        return cause
    text = str(error).strip().splitlines()
    return ConfigError(
        f"a Ray worker failed ({type(error).__name__}): {text[-1] if text else 'no reason given'}. "
        "What is done already is kept; run again, with fewer --workers if memory is short"
    )
