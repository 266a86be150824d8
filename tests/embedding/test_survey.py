"""What a source holds and the store lacks, against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_darec.embedding import encode
from recbole_darec.embedding.encode import Chunks, survey
from recbole_darec.embedding.store import EmbeddingStore, text_keys
from recbole_darec.embedding.text_source import TextSource

PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(PAIRS, max_size=3),
    stored=st.sets(st.sampled_from("uvwxyz")),
    wanted=st.none() | st.permutations("abc"),
    part=st.integers(1, 4),
    size=st.integers(1, 4),
)
def test_survey_and_chunks(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[str, str]]],
    stored: set[str],
    wanted: list[str] | None,
    part: int,
    size: int,
) -> None:
    store = EmbeddingStore(tmp_path_factory.mktemp("s"), "e", {"a": 1})
    store.append(sorted(stored), np.ones((len(stored), 2), dtype=np.float32))
    source = TextSource(lambda _: iter(batches), "pairs")
    rows = None if wanted is None else {identity: row for row, identity in enumerate(wanted)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "_PART", part)
        found = survey(source, store, rows)
    pairs = [pair for batch in batches for pair in batch]
    assert found.keys.tolist() == text_keys([text for _, text in pairs]).tolist()
    expected_rows, expected_new, seen, texts = [], [], set(), []
    for position, (identity, text) in enumerate(pairs):
        row = position if rows is None else rows.get(identity, -1)
        row = -1 if row in expected_rows else row
        expected_rows.append(row)
        fresh = row >= 0 and text not in seen
        expected_new.append(fresh and text not in stored)
        seen |= {text} if row >= 0 else set()
        texts += [text] if expected_new[-1] else []
    assert found.rows.tolist() == expected_rows
    assert found.new.tolist() == expected_new
    assert found.n_different == len(seen)
    assert found.width == (2 if stored else None)
    assert found.examples == [identity for identity, _ in pairs[:3]]
    got = list(Chunks(source, found.new, size))
    assert [text for chunk in got for text in chunk] == texts
    assert all(len(chunk) == size for chunk in got[:-1])
