"""Checks of the side embeddings' configuration, before any data is loaded."""

from __future__ import annotations

import torch

from recbole_darec.config import Config
from recbole_darec.embedding.encoders import create_encoder
from recbole_darec.embedding.source import check_source, side_source
from recbole_darec.embedding.text import atomic_file
from recbole_darec.keys import ConfigError


def check_side_configuration(config: Config) -> None:
    """Find mistakes in the configuration of side embeddings before any data is loaded.

    Cheap: it reads headers of files and the encoder's fingerprint. What depends on the
    interactions is checked when the dataset is built. A model without alignment needs none of it.

    Raises:
        ConfigError: naming the key, the file and the remedy.
    """
    if not config.uses_text:
        return
    if side_source(config, "item") is None:
        raise ConfigError(
            f"dataset '{config['dataset']}' has no text and no embeddings of its items: set "
            f"'item_template' (over the fields of {atomic_file(config, 'item')}), 'item_text_file' "
            "or 'item_embedding_file'"
        )
    if side_source(config, "user") is None and config["user_without_text"] == "missing":
        raise ConfigError(
            "key 'user_without_text' is 'missing', but no user has text of its own: set it to "
            "'item_mean', or set 'user_template', 'user_text_file' or 'user_embedding_file'"
        )
    sources = [side_source(config, side) for side in ("item", "user")]
    for side, key in zip(("item", "user"), sources, strict=True):
        if key is not None:
            check_source(config, side, key)
    if any(key is not None and not key.endswith("embedding_file") for key in sources):
        _check_device(config)
        create_encoder(config)


def _check_device(config: Config) -> None:
    """See that an encoder on this machine finds its device; Ray's workers may have others."""
    name = config["text_device"]
    if name == "auto" or config["text_engine"] == "ray":
        return
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"key 'text_device' is '{name}', no device of PyTorch; expected auto, cpu, cuda, "
            "cuda:1, ..."
        ) from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(
            f"key 'text_device' is '{name}', but PyTorch sees {count} CUDA devices here; set it to "
            "auto or cpu"
        )
