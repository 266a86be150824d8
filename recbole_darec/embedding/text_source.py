"""Texts by external id, read piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Batch = list[tuple[str, str]]


class TextSource:
    """Texts of items or users that can be read as often as asked, a batch at a time.

    Memory holds one batch, however many texts there are.

    Args:
        read: makes an iterator over all batches of pairs (external id, text); its argument says
            whether to log what is doubtful about them, which happens the first time only.
        name: where the texts come from, for people to read.
    """

    def __init__(self, read: Callable[[bool], Iterator[Batch]], name: str) -> None:
        self._read = read
        self._reported = False
        self.name = name

    def __iter__(self) -> Iterator[Batch]:
        report, self._reported = not self._reported, True
        return self._read(report)

    def as_dict(self) -> dict[str, str]:
        """All texts at once, by external id; the first where there are two."""
        texts: dict[str, str] = {}
        for batch in self:
            for identity, text in batch:
                texts.setdefault(identity, text)
        return texts
