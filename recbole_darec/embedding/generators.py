"""The language model that the options of ``embed profile`` ask for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from recbole_darec.embedding.api_encoder import PREFIX
from recbole_darec.embedding.generator import Generator


def make_generator(args: argparse.Namespace, config: Mapping[str, Any]) -> Generator:
    """The model that the options ask for.

    Raises:
        ConfigError: if it cannot be found.
    """
    common = (args.profile_model, args.max_tokens, args.temperature, args.accept_cut)
    if args.profile_model.startswith(PREFIX):
        from recbole_darec.embedding.chat import ChatGenerator

        return ChatGenerator(config, *common, args.request_options)
    from recbole_darec.embedding.causal import CausalGenerator

    return CausalGenerator(config, *common, args.batch)
