"""Where encoders and generators run: in this process or on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from recbole_darec.keys import ConfigError

if TYPE_CHECKING:
    from recbole_darec.embedding import encode, profiles
    from recbole_darec.embedding.base import Encoder
    from recbole_darec.embedding.generator import Generator
    from recbole_darec.embedding.ray_engine import RayEngine


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say where the models run."""
    group = parser.add_argument_group("where the models run")
    group.add_argument("--engine", choices=("local", "ray"), default="local")
    group.add_argument("--ray_address", metavar="ADDRESS", help="default: Ray on this machine")
    group.add_argument(
        "--workers", type=int, metavar="N", help="of Ray; default as many as the cluster has room"
    )


def check_engine(args: argparse.Namespace) -> None:
    """Whether the options fit together.

    Raises:
        ConfigError: if not.
    """
    for name in ("ray_address", "workers"):
        if getattr(args, name) is not None and args.engine != "ray":
            raise ConfigError(f"--{name} needs --engine=ray")
    if args.workers is not None and args.workers < 1:
        raise ConfigError(f"--workers is {args.workers}; expected at least 1")


def encoding_engine(args: argparse.Namespace, config: Mapping[str, Any]) -> encode.Engine:
    """What encodes chunks of texts; Ray is started when the first is to be encoded."""
    from recbole_darec.embedding.encode import create_encoder, in_this_process

    if args.engine == "local":
        return in_this_process

    def on_ray(encoder: Encoder, chunks: Iterable[list[str]]) -> Iterator[Any]:
        make = partial(create_encoder, dict(config))
        with closing(_ray(args, config, make, encoder, "specification")) as engine:
            yield from engine.map("encode", chunks)

    return on_ray


def profile_engine(args: argparse.Namespace, config: Mapping[str, Any]) -> profiles.Engine:
    """What answers batches of prompts; Ray is started when the first is to be answered."""
    from recbole_darec.embedding.profile_command import make_generator
    from recbole_darec.embedding.profiles import in_this_process, prompts_of

    if args.engine == "local":
        return in_this_process

    def on_ray(generator: Generator, batches: Iterable[profiles.Requests]) -> Iterator[Any]:
        make = partial(make_generator, args, dict(config))
        with closing(_ray(args, config, make, generator, "settings")) as engine:
            yield from engine.map("generate", batches, prompts_of)

    return on_ray


def _ray(
    args: argparse.Namespace,
    config: Mapping[str, Any],
    make: Callable[[], Any],
    like: Any,
    identity: str,
) -> RayEngine:
    from recbole_darec.embedding.ray_engine import RayEngine

    device = config["device"] if config["text_device"] == "auto" else config["text_device"]
    on_gpu = str(device).startswith("cuda")
    return RayEngine(make, like, identity, args.ray_address, args.workers, on_gpu)
