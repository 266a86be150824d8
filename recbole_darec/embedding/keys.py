"""Configuration keys of the embedding room; defaults stand in properties/embedding.yaml."""

from __future__ import annotations

import re

from recbole_darec.keys import ConfigError, Key

_OPTIONAL_TEXT = Key(str, optional=True)

KEYS: dict[str, Key] = {
    "item_template": _OPTIONAL_TEXT,
    "user_template": _OPTIONAL_TEXT,
    "item_text_file": _OPTIONAL_TEXT,
    "user_text_file": _OPTIONAL_TEXT,
    "item_text_id_column": _OPTIONAL_TEXT,
    "user_text_id_column": _OPTIONAL_TEXT,
    "item_text_column": _OPTIONAL_TEXT,
    "user_text_column": _OPTIONAL_TEXT,
    "item_embedding_file": _OPTIONAL_TEXT,
    "user_embedding_file": _OPTIONAL_TEXT,
    "user_history_template": _OPTIONAL_TEXT,
    "user_history_item": _OPTIONAL_TEXT,
    "user_history_items": Key(int, low=1),
    "user_history_order": Key(str, choices=("recent", "random")),
    "user_history_separator": Key(str),
    "user_without_text": Key(str, choices=("item_mean", "missing")),
    "missing_text": Key(str, choices=("error", "mask", "mean")),
    "embedding_placebo": Key(str, choices=("none", "shuffle", "gaussian")),
    "embedding_placebo_users": Key(str, choices=("rows", "item_mean")),
    "embedding_dir": Key(str),
    "text_encoder": Key(str),
    "text_encoder_revision": _OPTIONAL_TEXT,
    "text_pooling": Key(str, choices=("auto", "mean", "cls", "last", "max")),
    "text_normalize": Key(str, choices=("auto", "unit", "none")),
    "text_max_length": Key(int, low=1, optional=True),
    "text_prefix": _OPTIONAL_TEXT,
    "text_dtype": Key(str, choices=("float32", "bfloat16", "float16")),
    "text_device": Key(str),
    "text_batch_tokens": Key(int, low=1),
    "text_engine": Key(str, choices=("local", "ray")),
    "ray_address": _OPTIONAL_TEXT,
    "ray_workers": Key(int, low=1, optional=True),
    "api_base": Key(str),
    "api_key_env": _OPTIONAL_TEXT,
    "api_allowed": Key(bool),
    "api_dimensions": Key(int, low=1, optional=True),
    "api_batch_texts": Key(int, low=1),
    "api_concurrency": Key(int, low=1),
    "api_timeout": Key(float, low=0, open_low=True),
    "api_retries": Key(int, low=0),
    "api_backoff": Key(float, low=0, open_low=True),
}


def check_key_variable(name: str | None) -> None:
    """Refuse an ``api_key_env`` that can be no variable's name: it may be the key itself.

    Raises:
        ConfigError: without what was given, which must not be shown then.
    """
    if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigError(
            "key 'api_key_env' is not the name of an environment variable (what was given is not "
            "shown, lest it be the endpoint's key): put the key into a variable, and name that"
        )
