"""The contract of a language model that writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from recbole_darec.embedding.prompt import Prompt


@dataclass(frozen=True)
class Answer:
    """What a model wrote, or why that is of no use.

    Attributes:
        text: the answer; empty where there is a problem.
        problem: what is wrong, in words; empty where all is well.
    """

    text: str = ""
    problem: str = ""


class Generator(Protocol):
    """Answers prompts.

    Attributes:
        name: for people to read.
        settings: all that decides an answer besides the prompt; values fit for json.
        batch: how many prompts are best answered at once.
        concurrency: how many calls of ``generate`` may run at the same time.
        counts_exactly: whether ``token_counts`` counts or estimates.
    """

    name: str
    settings: Mapping[str, Any]
    batch: int
    concurrency: int
    counts_exactly: bool

    def generate(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """Answers in the order of the prompts."""

    def token_counts(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt."""


def judged(text: str, cut: bool, max_tokens: int, accept_cut: bool) -> Answer:
    """An answer, unless it is empty or ended by the limit of tokens."""
    text = text.strip()
    if not text:
        return Answer(problem="the answer is empty")
    if cut and not accept_cut:
        return Answer(
            problem=f"the answer is cut at {max_tokens} tokens; raise --max_tokens, or set "
            "--accept_cut"
        )
    return Answer(text)
