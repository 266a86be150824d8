import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_darec.data.assemble import item_means, settle_missing

pair = st.tuples(st.integers(1, 4), st.integers(1, 5))


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(pair, max_size=20), known=st.lists(st.booleans(), min_size=5, max_size=5))
def test_item_means_against_plain_loops(pairs: list[tuple[int, int]], known: list[bool]) -> None:
    table = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    present = np.array([False, *known])
    users, items = (np.array([p[k] for p in pairs], dtype=np.int64) for k in (0, 1))
    means, has = item_means(users, items, 5, table, present)
    for user in range(5):
        rows = [table[i].astype(float) for u, i in pairs if u == user and present[i]]
        assert has[user] == bool(rows)
        assert np.allclose(means[user], sum(rows) / len(rows) if rows else np.zeros(3), atol=1e-6)


def test_without_any_vector_there_is_no_mean_to_give(caplog: pytest.LogCaptureFixture) -> None:
    tokens = ["[PAD]", "a", "b"]
    present = np.zeros(3, dtype=bool)
    side = settle_missing(np.zeros((3, 2), dtype=np.float32), present, "mean", tokens, "users")
    assert not side.present.any()
    assert "2 of 2 users have no text and no embedding, e.g. ids a, b: they are left" in caplog.text
