"""Encoders and generators on a Ray cluster, through Ray Data.

Items are read in a task on this node, one a block, as fast as the workers take them: no more
than a part of Ray's object store is read ahead.
"""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from recbole_darec.keys import ConfigError

Item = TypeVar("Item")
_RESTARTS = 5
_COLUMN = "pickled"
Block = dict[str, np.ndarray]


@dataclass(frozen=True)
class Work:
    """What a worker makes once, and does to each item; picklable.

    Attributes:
        make: makes the object that does the work, an encoder or a generator.
        call: the work: of the object and an item.
        concurrency: how many calls may run at the same time in a worker.
        identity: name of the object's attribute that says what it computes.
        expected: its value on this machine; a worker's own must be equal.
        threads: of PyTorch. A worker has as many as this process: another number may change the
            last bits of a vector.
    """

    make: Callable[[], Any]
    call: Callable[[Any, Any], Any]
    concurrency: int
    identity: str
    expected: Any
    threads: int


@dataclass(frozen=True)
class Pool:
    """Where workers run.

    Attributes:
        address: of a running cluster; None: one on this machine, for as long as this process lives.
        workers: how many; None: as many as the cluster has room for.
        on_gpu: whether each worker needs a GPU.
    """

    address: str | None
    workers: int | None
    on_gpu: bool


def ray_map(work: Work, items: Iterable[Item], pool: Pool) -> Iterator[tuple[Item, Any]]:
    """Items with their results, as they are ready.

    A worker that dies is replaced and its items are done again, so that none is lost.

    Args:
        work: what is done to each.
        items: picklable, and the same each time they are read.
        pool: where.

    Raises:
        ConfigError: what a call raised; if no cluster answers or it has too little room; if
            workers die again and again.
    """
    from recbole_darec import ray_cluster

    ray_cluster.connect(pool.address)
    import ray
    import ray.data

    count, cpus = _room(ray, work.threads, pool)
    logging.getLogger().info(f"Ray: {count} workers of {work.threads} threads")
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = ray.data.from_items([0]).map_batches(
            _read,
            fn_args=(items,),
            num_cpus=0,
            resources={f"node:{ray.util.get_node_ip_address()}": 0.001},
        )
        done = done.map_batches(
            EmbeddingWorker,
            fn_constructor_args=(work,),
            batch_size=work.concurrency,
            compute=ray.data.ActorPoolStrategy(size=count),
            num_cpus=cpus,
            num_gpus=1 if pool.on_gpu else 0,
            max_restarts=_RESTARTS,
            max_task_retries=_RESTARTS,
        )
    # Blocks are cut after every row: else Ray Data collects many megabytes for one worker.
    done.context.target_max_block_size = 1
    done.context.enable_progress_bars = False
    try:
        for block in done.iter_batches(batch_size=1, prefetch_batches=0, batch_format="numpy"):
            item, result = _unpacked(block)[0]
            if isinstance(result, ConfigError):
                raise result
            yield item, result
    except ray.exceptions.RayError as error:
        raise _failure(error) from error


class EmbeddingWorker:
    """What runs in a worker."""

    def __init__(self, work: Work) -> None:
        self._work, self._made = work, None

    def __call__(self, block: Block) -> Iterator[Block]:
        """Items with their results, in their order; where one fails, the reason in its place.

        What Ray repeats after a worker's death must come in the same order again.
        """
        items = _unpacked(block)
        try:
            call = partial(self._work.call, self._object())
            with ThreadPoolExecutor(self._work.concurrency) as threads:
                for item, result in zip(items, threads.map(call, items), strict=True):
                    yield _packed((item, result))
        except Exception as error:
            # As a result: Ray Data would bury the reason under its own advice.
            yield _packed((None, error if isinstance(error, ConfigError) else _failure(error)))

    def _object(self) -> Any:
        if self._made is None:
            import torch

            torch.set_num_threads(self._work.threads)
            made = self._work.make()
            found = getattr(made, self._work.identity)
            if found != self._work.expected:
                raise ConfigError(
                    f"a Ray worker has another model under the name '{made.name}': {found} "
                    f"instead of {self._work.expected}; install the same files on all nodes"
                )
            self._made = made
        return self._made


def _read(_: Block, items: Iterable[Any]) -> Iterator[Block]:
    for item in items:
        yield _packed(item)


def _packed(value: Any) -> Block:
    column = np.empty(1, dtype=object)
    column[0] = pickle.dumps(value)
    return {_COLUMN: column}


def _unpacked(block: Block) -> list[Any]:
    # Ray itself carries pickles between the processes of a cluster.
    return [pickle.loads(value) for value in block[_COLUMN]]  # noqa: S301


def _room(ray: Any, threads: int, pool: Pool) -> tuple[int, int]:
    """How many workers there will be, and with how many CPUs each.

    Raises:
        ConfigError: if the cluster has too little room.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = min(threads, max(int(node.get("CPU", 0)) for node in nodes))
    room = sum(
        int(min(node.get("CPU", 0) // cpus, node.get("GPU", 0) if pool.on_gpu else float("inf")))
        for node in nodes
    )
    if room < (pool.workers or 1):
        raise ConfigError(
            f"key 'ray_workers' is {pool.workers or 1}, but the Ray cluster has room for {room}, "
            f"each with {cpus} CPUs{' and a GPU' if pool.on_gpu else ''}; lower it, or "
            "OMP_NUM_THREADS"
        )
    return pool.workers or room, cpus


def _failure(error: Exception) -> ConfigError:
    text = str(error).strip().partition("\n")[0]
    return ConfigError(
        f"a Ray worker failed ({type(error).__name__}: {text}). What is done already is kept; run "
        "again, with fewer 'ray_workers' if memory is short"
    )
