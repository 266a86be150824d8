"""Sorted pairs answer as Python sets do."""

from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_darec.data.user_items import UserItems

N_USERS, N_ITEMS = 6, 5
PAIRS = st.lists(st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1)), max_size=40)


def made(pairs):
    users, items = (torch.tensor([p[k] for p in pairs], dtype=torch.int64) for k in (0, 1))
    return UserItems.of(
        SimpleNamespace(
            inter_feat={"u": users, "i": items}, uid_field="u", iid_field="i", item_num=N_ITEMS
        )
    )


def as_set(pairs):
    places, items = pairs.rows(np.arange(N_USERS))
    return set(zip(places.tolist(), items.tolist(), strict=True))


@given(PAIRS)
def test_holds_each_pair_once(pairs):
    found = made(pairs)
    assert len(found) == len(set(pairs))
    assert as_set(found) == set(pairs)
    for user in range(N_USERS):
        assert found[user] == {item for u, item in pairs if u == user}
    assert found.users().tolist() == sorted({user for user, _ in pairs})
    counts = found.counts().tolist()
    assert counts == [len(found[user]) for user in range(len(counts))]


@given(PAIRS)
def test_contains_every_pair_of_the_set_and_no_other(pairs):
    users, items = (grid.ravel() for grid in np.mgrid[:N_USERS, :N_ITEMS])
    answers = made(pairs).contains(users, items)
    asked = list(zip(users.tolist(), items.tolist(), strict=True))
    assert {pair for pair, yes in zip(asked, answers, strict=True) if yes} == set(pairs)


@given(PAIRS, PAIRS)
def test_union_and_difference(first, second):
    assert as_set(made(first) | made(second)) == set(first) | set(second)
    assert as_set(made(first) - made(second)) == set(first) - set(second)


@given(PAIRS, st.lists(st.integers(0, N_USERS - 1), max_size=8))
def test_rows_come_by_place_then_item_and_users_may_repeat(pairs, users):
    places, items = made(pairs).rows(np.array(users, dtype=np.int64))
    expected = [
        (place, item)
        for place, user in enumerate(users)
        for item in sorted({i for u, i in pairs if u == user})
    ]
    assert list(zip(places.tolist(), items.tolist(), strict=True)) == expected
