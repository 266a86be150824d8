"""The encoder that a configuration asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recbole_darec.embedding.api_encoder import PREFIX, ApiEncoder
from recbole_darec.embedding.base import Encoder
from recbole_darec.embedding.huggingface import TextEncoder


def create_encoder(config: Mapping[str, Any]) -> Encoder:
    """The encoder that the configuration asks for.

    Raises:
        ConfigError: if it cannot be found.
    """
    if config["text_encoder"].startswith(PREFIX):
        return ApiEncoder(config)
    return TextEncoder(config)
