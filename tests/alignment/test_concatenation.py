"""Representations side by side: scores add up, in the share that was asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from recbole_darec.alignment.concatenation import (
    Factors,
    Known,
    completed,
    concatenated,
    sharing,
    spread,
)
from recbole_darec.backbone.output import CollaborativeOutput


def output(n_users, n_items, width, seed):
    rng = np.random.default_rng(seed)
    sides = (rng.normal(rng.normal(), 2, (n, width)) for n in (n_users, n_items))
    return CollaborativeOutput(*(torch.from_numpy(side) for side in sides), {"kept": seed})


def some(n, seed):
    """At least the first and the last two of n."""
    mask = torch.from_numpy(np.random.default_rng(seed).random(n) < 0.5)
    mask[[0, -1, -2]] = True
    return mask


def deviation(scores):
    return np.mean([np.std(row) for row in scores.numpy()])


def length(rows):
    return np.sqrt(np.mean([np.sum(row**2) for row in rows.numpy()]))


@settings(deadline=None)
@given(st.integers(2, 9), st.integers(3, 9), st.integers(1, 4), st.floats(0, 3), st.integers(0, 99))
def test_scores_add_up_with_a_share_of_the_spread(n_users, n_items, width, share, seed):
    first, second = output(n_users, n_items, 3, seed), output(n_users, n_items, width, seed + 1)
    known = Known(some(n_users, seed), some(n_items, seed + 1))
    both = concatenated(first, second, sharing(first, second, known, share))
    assert both.extras == {"kept": seed}
    ours, theirs = (side.users @ side.items.T for side in (first, second))
    added = both.users @ both.items.T - ours
    of_known = [scores[known.users][:, known.items] for scores in (added, ours, theirs)]
    assert deviation(of_known[0]) == pytest.approx(
        share * deviation(of_known[1]), rel=1e-6, abs=1e-9
    )
    factor = share * deviation(of_known[1]) / deviation(of_known[2])
    torch.testing.assert_close(added, theirs * factor, rtol=1e-6, atol=1e-9)
    lengths = [length(both.items[known.items][:, part]) for part in (slice(3), slice(3, None))]
    assert lengths[1] == pytest.approx(share * lengths[0], rel=1e-9, abs=1e-12)


def test_spread_is_that_of_the_scores():
    made = output(40, 30, 6, 5)
    expected = deviation(made.users @ made.items.T)
    assert spread(made.users, made.items).item() == pytest.approx(expected, rel=1e-12)
    assert spread(made.users[:0], made.items) == spread(made.users, made.items[:0]) == 0


@pytest.mark.parametrize("nobody", [False, True])
def test_what_has_no_spread_adds_nothing(nobody):
    first, second = output(4, 5, 3, 0), output(4, 5, 2, 1)
    known = Known(torch.ones(4, dtype=torch.bool), torch.ones(5, dtype=torch.bool))
    if nobody:
        known.users[:] = known.items[:] = False
    else:
        second.users[:] = 0
    both = concatenated(first, second, sharing(first, second, known, 0.5))
    assert both.users.isfinite().all()
    assert both.items.isfinite().all()
    torch.testing.assert_close(both.users @ both.items.T, first.users @ first.items.T)


@settings(deadline=None)
@given(st.integers(3, 30), st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_unknown_rows_are_those_of_a_ridge_regression(n, width, d, seed):
    rng = np.random.default_rng(seed)
    features, rows = rng.normal(2, 3, (n, width)), rng.normal(1, 1, (n, d))
    known = some(n, seed).numpy()
    x = features[known]
    weight = np.mean([np.sum((row - x.mean(0)) ** 2) for row in x])
    expected = Ridge(alpha=weight).fit(x, rows[known]).predict(features).reshape(n, d)
    expected[known] = rows[known]
    found = completed(*map(torch.from_numpy, (rows, known, features)))
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_without_a_lack_or_without_an_example_rows_stay_as_they_are():
    made = output(6, 6, 3, 0)
    rows, features = made.users, made.items
    for known in (torch.ones(6, dtype=torch.bool), torch.zeros(6, dtype=torch.bool)):
        assert completed(rows, known, features) is rows
    one = torch.arange(6) == 2
    torch.testing.assert_close(completed(rows, one, features), rows[2].expand(6, 3))


def test_bad_input_is_named():
    made, known = output(3, 4, 2, 0), Known(some(3, 0), some(4, 0))
    with pytest.raises(ValueError, match="share must be at least 0, got -1"):
        sharing(made, made, known, -1)
    factors = Factors(torch.ones(()), torch.ones(()))
    with pytest.raises(ValueError, match="3 users and 4 items cannot stand beside 3 and 5"):
        concatenated(made, output(3, 5, 2, 0), factors)
