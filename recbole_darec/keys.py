"""Declaration and validation of configuration keys."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


class ConfigError(ValueError):
    """A user's configuration is wrong; the message says which key and what to do."""


@dataclass(frozen=True)
class Key:
    """Type and range of one configuration key.

    Attributes:
        kind: ``bool``, ``int``, ``float``, ``str``, ``list`` or ``dict``. An ``int`` is accepted
            where a ``float`` is asked for.
        low: smallest admissible number (inclusive unless ``open_low``), or None.
        high: largest admissible number (inclusive unless ``open_high``), or None.
        choices: admissible values, or None; given as a function where the set is not known
            before the registry has been read.
        optional: whether an empty value (yaml ``~``) is admissible.
    """

    kind: type
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    choices: tuple[Any, ...] | Callable[[], tuple[Any, ...]] | None = None
    optional: bool = False

    def check(self, name: str, value: Any) -> Any:
        """Return ``value`` in its declared type.

        Raises:
            ConfigError: if the value has another type or lies out of the declared range.
        """
        if value is None:
            if self.optional:
                return None
            raise ConfigError(f"key '{name}' is empty; expected {self.describe()}")
        value = self._typed(name, value)
        choices = self.choices() if callable(self.choices) else self.choices
        if choices is not None and value not in choices:
            raise ConfigError(f"key '{name}' is {value!r}; expected {self.describe()}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self._check_range(name, value)
        return value

    def describe(self) -> str:
        """The admissible values in words, e.g. ``a float in (0, 1]``."""
        choices = self.choices() if callable(self.choices) else self.choices
        if choices is not None:
            return "one of " + ", ".join(map(str, choices))
        text = f"{'an' if self.kind is int else 'a'} {self.kind.__name__}"
        if self.low is not None or self.high is not None:
            left = "(" if self.open_low or self.low is None else "["
            right = ")" if self.open_high or self.high is None else "]"
            low = "-inf" if self.low is None else f"{self.low:g}"
            high = "inf" if self.high is None else f"{self.high:g}"
            text += f" in {left}{low}, {high}{right}"
        return text + (" or empty (~)" if self.optional else "")

    def _typed(self, name: str, value: Any) -> Any:
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if self.kind is list and isinstance(value, tuple):
            return list(value)
        wrong_bool = isinstance(value, bool) and self.kind is not bool
        if wrong_bool or not isinstance(value, self.kind):
            raise ConfigError(
                f"key '{name}' is {value!r} ({type(value).__name__}); expected {self.describe()}"
            )
        return value

    def _check_range(self, name: str, value: float) -> None:
        too_low = self.low is not None and (
            value < self.low or (self.open_low and value == self.low)
        )
        too_high = self.high is not None and (
            value > self.high or (self.open_high and value == self.high)
        )
        if math.isnan(value) or too_low or too_high:
            raise ConfigError(f"key '{name}' is {value!r}; expected {self.describe()}")


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'X'?`` for the known name that is most like another, or nothing."""
    candidates = {str(k).lower(): str(k) for k in known}
    match = difflib.get_close_matches(name.lower(), candidates, n=1, cutoff=0.5)
    return f"; did you mean '{candidates[match[0]]}'?" if match else ""
