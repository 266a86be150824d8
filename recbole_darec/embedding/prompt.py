"""What a language model is asked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_darec.keys import ConfigError
from recbole_darec.paths import properties_dir

_LINE = re.compile(r"^---[ \t]*$", re.MULTILINE)
_PLACE = re.compile(r"\{(\w+)\}")
_PLACES = {"item": "text", "user": "history"}


@dataclass(frozen=True)
class Prompt:
    """One question.

    Attributes:
        system: what the model is to do; may be empty.
        user: the item's or user's data.
    """

    system: str
    user: str

    def digest(self, settings: Mapping[str, Any]) -> str:
        """Tells apart all that decides the answer: this prompt and the model's settings."""
        content = json.dumps([self.system, self.user, settings], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


class PromptTemplate:
    """A text file: what the model is to do, a line ``---``, and the data.

    The data's place is ``{text}`` for items and ``{history}`` for users; other braces are literal
    unless they look like a place. Without the line ``---``, all of the file is the data's message.

    Args:
        side: ``item`` or ``user``.
        path: the file; default ``properties/prompt/<side>.txt``.

    Raises:
        ConfigError: if the file cannot be read or lacks the place.
    """

    def __init__(self, side: str, path: Path | None = None) -> None:
        path = path or properties_dir() / "prompt" / f"{side}.txt"
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--prompt: {path} cannot be read: {error}") from error
        parts = _LINE.split(content, maxsplit=1)
        self._system = parts[0].strip() if len(parts) == 2 else ""
        self._user = parts[-1].strip()
        self._place = _PLACES[side]
        places = set(_PLACE.findall(self._user))
        if places != {self._place} or _PLACE.search(self._system):
            raise ConfigError(
                f"--prompt: {path} must hold {{{self._place}}}, below the line '---' if there is "
                f"one, and no other place in braces"
            )

    def fill(self, data: str) -> Prompt:
        """The prompt for one item or user."""
        return Prompt(self._system, self._user.replace(f"{{{self._place}}}", data))
