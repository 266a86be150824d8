"""Where models run, in this process or on a Ray cluster, and what runs the encoder there."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from recbole_darec.embedding.concurrent_map import concurrent_map
from recbole_darec.embedding.keys import KEYS
from recbole_darec.keys import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from recbole_darec.embedding.base import Encoder
    from recbole_darec.embedding.ray_engine import Pool

Chunk = list[str]
Engine = Callable[["Encoder", Iterable[Chunk]], Iterator[tuple[Chunk, "np.ndarray"]]]

_OPTIONS = {"engine": "text_engine", "ray_address": "ray_address", "workers": "ray_workers"}


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say where the models run; each stands for a key."""
    group = parser.add_argument_group("where the models run")
    group.add_argument("--engine", choices=("local", "ray"), help="key text_engine")
    group.add_argument("--ray_address", metavar="ADDRESS", help="default: Ray on this machine")
    group.add_argument(
        "--workers",
        metavar="N",
        help="key ray_workers: of Ray; default as many as the cluster has room for",
    )


def engine_keys(args: argparse.Namespace) -> list[str]:
    """The options as they are written for keys."""
    given = {key: getattr(args, option) for option, key in _OPTIONS.items()}
    return [f"--{key}={value}" for key, value in given.items() if value is not None]


def check_engine(config: Mapping[str, Any]) -> None:
    """Whether the keys fit together.

    Raises:
        ConfigError: if not.
    """
    for key in ("ray_address", "ray_workers"):
        if config[key] is not None and config["text_engine"] != "ray":
            raise ConfigError(f"key '{key}' is set, but 'text_engine' is 'local'; set it to 'ray'")


def in_this_process(
    encoder: Encoder, chunks: Iterable[Chunk]
) -> Iterator[tuple[Chunk, np.ndarray]]:
    """Chunks with their vectors, as they are ready."""
    return concurrent_map(encoder.encode, chunks, encoder.concurrency)


def encoding_engine(config: Mapping[str, Any]) -> Engine:
    """What encodes chunks of texts; Ray is started when the first is to be encoded."""
    check_engine(config)
    if config["text_engine"] == "local":
        return in_this_process

    def on_ray(encoder: Encoder, chunks: Iterable[Chunk]) -> Iterator[Any]:
        import torch

        from recbole_darec.embedding.encoders import create_encoder
        from recbole_darec.embedding.ray_engine import Work, ray_map

        make = partial(create_encoder, settings_of(config))
        threads = torch.get_num_threads()
        work = Work(
            make, _encode, encoder.concurrency, "specification", encoder.specification, threads
        )
        return ray_map(work, chunks, pool_of(config))

    return on_ray


def _encode(encoder: Encoder, chunk: list[str]) -> Any:
    return encoder.encode(chunk)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that decide what a model is, for a worker of Ray.

    The GPU that Ray gives a worker is the only one it sees, whatever its number is here.
    """
    settings = {key: config[key] for key in (*KEYS, "device")}
    own = {k: "cuda" for k in ("device", "text_device") if str(settings[k]).startswith("cuda")}
    return settings | own


def pool_of(config: Mapping[str, Any]) -> Pool:
    """The Ray workers that the configuration asks for."""
    from recbole_darec.embedding.ray_engine import Pool

    device = config["device"] if config["text_device"] == "auto" else config["text_device"]
    return Pool(config["ray_address"], config["ray_workers"], str(device).startswith("cuda"))
