"""Where encoders and generators run: in this process or on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from recbole_darec.embedding.keys import KEYS
from recbole_darec.keys import ConfigError

if TYPE_CHECKING:
    from recbole_darec.embedding import encode, profiles
    from recbole_darec.embedding.base import Encoder
    from recbole_darec.embedding.generator import Generator
    from recbole_darec.embedding.ray_engine import Pool

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


def encoding_engine(config: Mapping[str, Any]) -> encode.Engine:
    """What encodes chunks of texts; Ray is started when the first is to be encoded."""
    from recbole_darec.embedding.encode import create_encoder, in_this_process

    check_engine(config)
    if config["text_engine"] == "local":
        return in_this_process

    def on_ray(encoder: Encoder, chunks: Iterable[list[str]]) -> Iterator[Any]:
        import torch

        from recbole_darec.embedding.ray_engine import Work, ray_map

        make = partial(create_encoder, _settings(config))
        threads = torch.get_num_threads()
        work = Work(
            make, _encode, encoder.concurrency, "specification", encoder.specification, threads
        )
        return ray_map(work, chunks, _pool(config))

    return on_ray


def _encode(encoder: Encoder, chunk: list[str]) -> Any:
    return encoder.encode(chunk)


def profile_engine(args: argparse.Namespace, config: Mapping[str, Any]) -> profiles.Engine:
    """What answers batches of prompts; Ray is started when the first is to be answered."""
    from recbole_darec.embedding.profile_command import make_generator
    from recbole_darec.embedding.profiles import in_this_process

    check_engine(config)
    if config["text_engine"] == "local":
        return in_this_process

    def on_ray(generator: Generator, batches: Iterable[profiles.Requests]) -> Iterator[Any]:
        import torch

        from recbole_darec.embedding.ray_engine import Work, ray_map

        make = partial(make_generator, args, {**_settings(config), "seed": config["seed"]})
        threads = torch.get_num_threads()
        work = Work(make, _generate, generator.concurrency, "settings", generator.settings, threads)
        return ray_map(work, batches, _pool(config))

    return on_ray


def _generate(generator: Generator, batch: profiles.Requests) -> Any:
    return generator.generate([request.prompt for request in batch])


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in (*KEYS, "device")}


def _pool(config: Mapping[str, Any]) -> Pool:
    from recbole_darec.embedding.ray_engine import Pool

    device = config["device"] if config["text_device"] == "auto" else config["text_device"]
    return Pool(config["ray_address"], config["ray_workers"], str(device).startswith("cuda"))
