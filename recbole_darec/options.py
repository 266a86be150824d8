"""The options of a command apart from the keys of the configuration."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def parse_options(
    parser: argparse.ArgumentParser, given: Sequence[str]
) -> tuple[argparse.Namespace, list[str]]:
    """The parser's own options, and all keys: argparse takes ``--key=two words`` for a file."""
    options = parser._option_string_actions
    spaced = [word for word in given if word.startswith("--") and "=" in word and " " in word]
    keys = [word for word in spaced if word.partition("=")[0] not in options]
    args, rest = parser.parse_known_args([word for word in given if word not in keys])
    return args, rest + keys
