from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_darec.alignment.matching import match_centers


@settings(max_examples=50, deadline=None)
@given(
    k=st.integers(1, 12),
    seed=st.integers(0, 1000),
    equal=st.booleans(),
    method=st.sampled_from(["hungarian", "greedy"]),
)
def test_a_matching_is_a_bijection_even_with_ties(k, seed, equal, method):
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = torch.randn(2, k, 3, generator=generator)
    if equal:
        theirs = torch.ones(k, 3)
    assert sorted(match_centers(ours, theirs, method).tolist()) == list(range(k))


def test_hungarian_has_the_least_total_distance():
    generator = torch.Generator().manual_seed(3)
    ours, theirs = torch.randn(2, 6, 3, generator=generator)
    distances = torch.cdist(ours, theirs)
    totals = [distances[range(6), order].sum().item() for order in permutations(range(6))]
    matched = match_centers(ours, theirs)
    assert distances[range(6), matched].sum().item() == pytest.approx(min(totals))


def test_greedy_and_hungarian_on_a_line_worked_by_hand():
    ours, theirs = torch.tensor([[0.0], [3.0]]), torch.tensor([[2.0], [9.0]])
    # Nearest pair: 3 with 2; what is left: 0 with 9. Sum 10, against 2 + 6 the other way round.
    assert match_centers(ours, theirs, "greedy").tolist() == [1, 0]
    assert match_centers(ours, theirs, "hungarian").tolist() == [0, 1]


def test_wrong_input():
    rows = torch.ones(2, 3)
    with pytest.raises(ValueError, match="matching 'best' is not one of hungarian, greedy"):
        match_centers(rows, rows, "best")
    with pytest.raises(ValueError, match=r"must have one shape, got \(2, 3\) and \(1, 3\)"):
        match_centers(rows, rows[:1])
