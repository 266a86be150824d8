"""How many tokens a text has, where no tokenizer is at hand."""

from __future__ import annotations

import math

_BYTES_PER_TOKEN = 4


def estimated_tokens(text: str) -> int:
    """About one token for four bytes of UTF-8, the usual rule for English."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / _BYTES_PER_TOKEN)
