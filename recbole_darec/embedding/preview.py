"""What will be encoded, before it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from recbole_darec.embedding.base import Encoder
from recbole_darec.embedding.text_source import TextSource


@dataclass
class TokenTotals:
    """Tokens of many texts.

    Attributes:
        texts: how many texts.
        tokens: in all of them, before any cut.
        longest: tokens of the longest text.
        cut_texts: texts that are longer than the limit.
        cut_tokens: tokens beyond the limit, which the encoder does not see.
    """

    texts: int = 0
    tokens: int = 0
    longest: int = 0
    cut_texts: int = 0
    cut_tokens: int = 0

    def add(self, counts: Sequence[int], limit: int | None) -> None:
        """Count more texts, with their tokens and the encoder's limit."""
        beyond = [count - limit for count in counts if limit is not None and count > limit]
        self.texts += len(counts)
        self.tokens += sum(counts)
        self.longest = max(self.longest, *counts, 0)
        self.cut_texts += len(beyond)
        self.cut_tokens += sum(beyond)


def token_lines(encoder: Encoder, chunks: Iterable[list[str]]) -> Iterator[str]:
    """Totals over all texts, in words."""
    totals, limit = TokenTotals(), encoder.token_counts([])[1]
    for chunk in chunks:
        totals.add(encoder.token_counts(chunk)[0], limit)
    about = "" if encoder.counts_exactly else "about "
    yield (
        f"{totals.texts} texts, {about}{totals.tokens} tokens, the longest {totals.longest}; "
        + ("no limit is known" if limit is None else f"limit {limit}")
    )
    if totals.cut_texts:
        yield (
            f"{totals.cut_texts} texts are cut at the limit: {totals.cut_tokens} tokens "
            f"({totals.cut_tokens / totals.tokens:.1%} of all) are not seen; raise "
            "'text_max_length' if the model allows it, or shorten the texts"
        )


def preview_lines(encoder: Encoder, source: TextSource, count: int) -> Iterator[str]:
    """The first texts of a source with their ids and tokens."""
    shown = [pair for _, pair in zip(range(count), _pairs(source), strict=False)]
    counts, limit = encoder.token_counts([text for _, text in shown])
    for (identity, text), tokens in zip(shown, counts, strict=True):
        cut = f", {tokens - limit} cut off" if limit is not None and tokens > limit else ""
        yield f"  {identity} ({tokens} tokens{cut}): {text}"


def _pairs(source: TextSource) -> Iterator[tuple[str, str]]:
    for batch in source:
        yield from batch
