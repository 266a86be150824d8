"""Representations side by side: scores add up, in the share that was asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_darec.alignment.concatenation import concatenated, spread
from recbole_darec.backbone.output import CollaborativeOutput


def output(n_users, n_items, width, seed):
    rng = np.random.default_rng(seed)
    sides = (rng.normal(rng.normal(), 2, (n, width)) for n in (n_users, n_items))
    return CollaborativeOutput(*(torch.from_numpy(side) for side in sides), {"kept": seed})


def deviation(scores):
    return np.mean([np.std(row) for row in scores.numpy()[1:, 1:]])


@settings(deadline=None)
@given(st.integers(2, 9), st.integers(3, 9), st.integers(1, 4), st.floats(0, 3), st.integers(0, 99))
def test_scores_add_up_with_a_share_of_the_spread(n_users, n_items, width, share, seed):
    first, second = output(n_users, n_items, 3, seed), output(n_users, n_items, width, seed + 1)
    both = concatenated(first, second, share)
    assert both.extras == {"kept": seed}
    ours, theirs = (side.users @ side.items.T for side in (first, second))
    added = both.users @ both.items.T - ours
    assert deviation(added) == pytest.approx(share * deviation(ours), rel=1e-6, abs=1e-9)
    factor = share * deviation(ours) / deviation(theirs)
    torch.testing.assert_close(added, theirs * factor, rtol=1e-6, atol=1e-9)


def test_spread_is_that_of_the_scores():
    made = output(40, 30, 6, 5)
    expected = deviation(made.users @ made.items.T)
    assert spread(made.users, made.items).item() == pytest.approx(expected, rel=1e-12)


def test_what_has_no_spread_adds_nothing():
    first, second = output(4, 5, 3, 0), output(4, 5, 2, 1)
    second.users[:] = 0
    both = concatenated(first, second, 0.5)
    assert both.users.isfinite().all()
    torch.testing.assert_close(both.users @ both.items.T, first.users @ first.items.T)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="share must be at least 0, got -1"):
        concatenated(output(3, 4, 2, 0), output(3, 4, 2, 0), -1)
    with pytest.raises(ValueError, match="3 users and 4 items cannot stand beside 3 and 5"):
        concatenated(output(3, 4, 2, 0), output(3, 5, 2, 0), 0.5)
