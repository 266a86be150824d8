import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_darec.alignment.infonce import InfoNCELoss, ReconstructionLoss


def rows(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("scale", [1.0, 0.001])
def test_infonce_equals_the_published_sum_over_plain_loops(scale):
    anchors, candidates = rows(5, 4, scale=scale), rows(9, 4, seed=1)
    positives, total = candidates[[3, 3, 0, 8, 5]], 0.0

    def unit(row):
        return row / math.sqrt(1e-8 + sum(x * x for x in row.tolist()))

    for anchor, positive in zip(anchors, positives, strict=True):
        hit = (unit(anchor) @ unit(positive)).item() / 0.2
        all_hits = [math.exp((unit(anchor) @ unit(c)).item() / 0.2) for c in candidates]
        total += -hit + math.log(sum(all_hits))
    loss = InfoNCELoss(0.2)(anchors, positives, candidates)
    assert loss.item() == pytest.approx(total / 5, abs=1e-10)


@settings(deadline=None, max_examples=30)
@given(
    times=st.lists(st.integers(1, 5), min_size=4, max_size=4),
    candidate_times=st.lists(st.integers(1, 300), min_size=6, max_size=6),
)
def test_counts_stand_for_repeated_rows(times, candidate_times):
    loss, picked = InfoNCELoss(0.2), torch.tensor([5, 0, 3, 3])
    once, repeated = [], []
    for made, counted in ((once, True), (repeated, False)):
        anchors, candidates = rows(4, 3).requires_grad_(), rows(6, 3, seed=1).requires_grad_()
        counts, candidate_counts = torch.tensor(times), torch.tensor(candidate_times)
        if counted:
            value = loss(anchors, candidates[picked], candidates, counts, candidate_counts)
        else:
            value = loss(
                anchors.repeat_interleave(counts, 0),
                candidates[picked].repeat_interleave(counts, 0),
                candidates.repeat_interleave(candidate_counts, 0),
            )
        made.extend([value, *torch.autograd.grad(value, [anchors, candidates])])
    for ours, theirs in zip(once, repeated, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_reconstruction_equals_the_published_formula_over_plain_loops(temperature):
    made, targets, total = rows(6, 5), rows(6, 5, seed=1), 0.0
    for i in range(6):
        hits = [
            math.exp(torch.cosine_similarity(made[i], targets[j], dim=0).item() / temperature)
            for j in range(6)
        ]
        total += -math.log(hits[i] / (sum(hits) + 1e-8) + 1e-8)
    loss = ReconstructionLoss(temperature)(made, targets)
    assert loss.item() == pytest.approx(total / 6, rel=1e-6, abs=1e-6)


def test_gradients():
    assert torch.autograd.gradcheck(
        InfoNCELoss(0.2), [rows(*s, seed=s[0]).requires_grad_() for s in ((3, 4), (3, 4), (5, 4))]
    )
    assert torch.autograd.gradcheck(
        ReconstructionLoss(0.2), [rows(3, 4, seed=i).requires_grad_() for i in range(2)]
    )


def test_reconstruction_keeps_single_precision_under_autocast():
    """The gradients of many negatives lie below the smallest number of half precision."""
    made, targets = rows(3000, 8).float().requires_grad_(), rows(3000, 8, seed=1).float()
    (expected,) = torch.autograd.grad(0.1 * ReconstructionLoss(0.2)(made, targets), made)
    with torch.autocast("cpu", torch.float16):
        loss = 0.1 * ReconstructionLoss(0.2)(made, targets)
    (gradient,) = torch.autograd.grad(loss, made)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=0)


def test_no_rows_give_0_with_a_gradient():
    empty = rows(0, 4).requires_grad_()
    for loss in (InfoNCELoss(0.2)(empty, empty, rows(3, 4)), ReconstructionLoss(1)(empty, empty)):
        loss.backward()
        assert loss.item() == 0


def test_wrong_input():
    for kind in (InfoNCELoss, ReconstructionLoss):
        with pytest.raises(ValueError, match="temperature must be positive, got 0"):
            kind(0)
    with pytest.raises(
        ValueError, match=r"anchors and positives must have one shape, got \(3, 4\)"
    ):
        InfoNCELoss(1)(rows(3, 4), rows(2, 4), rows(2, 4))
    with pytest.raises(ValueError, match=r"5 candidates but counts of shape \(2,\)"):
        InfoNCELoss(1)(rows(3, 4), rows(3, 4), rows(5, 4), None, torch.ones(2))
    with pytest.raises(ValueError, match=r"3 anchors but weights of shape \(2,\)"):
        InfoNCELoss(1)(rows(3, 4), rows(3, 4), rows(5, 4), torch.ones(2))
    with pytest.raises(ValueError, match="reconstructed and targets must have one shape"):
        ReconstructionLoss(1)(rows(3, 4), rows(2, 4))
