"""Where the language model that writes profiles runs: in this process or on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from recbole_darec.embedding.engines import check_engine, pool_of, settings_of
from recbole_darec.embedding.generator import Generator
from recbole_darec.embedding.generators import make_generator
from recbole_darec.embedding.profiles import Engine, Requests, in_this_process


def profile_engine(args: argparse.Namespace, config: Mapping[str, Any]) -> Engine:
    """What answers batches of prompts; Ray is started when the first is to be answered."""
    check_engine(config)
    if config["text_engine"] == "local":
        return in_this_process

    def on_ray(generator: Generator, batches: Iterable[Requests]) -> Iterator[Any]:
        import torch

        from recbole_darec.embedding.ray_engine import Work, ray_map

        make = partial(make_generator, args, {**settings_of(config), "seed": config["seed"]})
        threads = torch.get_num_threads()
        work = Work(make, _generate, generator.concurrency, "settings", generator.settings, threads)
        return ray_map(work, batches, pool_of(config))

    return on_ray


def _generate(generator: Generator, batch: Requests) -> Any:
    return generator.generate([request.prompt for request in batch])
