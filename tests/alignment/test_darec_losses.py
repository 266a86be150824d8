"""Each loss against plain loops in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_darec.alignment.global_structure import GlobalStructureLoss
from recbole_darec.alignment.local_structure import LocalStructureLoss
from recbole_darec.alignment.orthogonality import OrthogonalityLoss
from recbole_darec.alignment.uniformity import UniformityLoss


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def cosine(x, y):
    dot = sum(a * b for a, b in zip(x, y, strict=True))
    return dot / math.sqrt(sum(a * a for a in x)) / math.sqrt(sum(b * b for b in y))


def unit(x):
    norm = math.sqrt(sum(a * a for a in x))
    return [a / norm for a in x]


def test_orthogonality_equals_loops():
    specific, shared = random(7, 5), random(7, 5, seed=1)
    pairs = zip(specific.tolist(), shared.tolist(), strict=True)
    expected = sum(cosine(x, y) ** 2 for x, y in pairs) / 7
    assert OrthogonalityLoss()(specific, shared).item() == pytest.approx(expected, abs=1e-12)


def test_orthogonality_of_orthogonal_and_equal_parts_over_both_sides():
    loss = OrthogonalityLoss()
    rows = random(6, 3)
    equal = loss(rows, rows) + loss(rows, -3 * rows)
    assert equal.item() == pytest.approx(2, abs=1e-12)
    left, right = torch.cat([rows, 0 * rows], 1), torch.cat([0 * rows, rows], 1)
    assert (loss(left, right) + loss(right, left)).item() == 0


@pytest.mark.parametrize("t", [2.0, 0.5])
def test_uniformity_equals_loops(t):
    rows = random(6, 4)
    units = [unit(row) for row in rows.tolist()]
    potentials = [
        math.exp(-t * sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
        for i, x in enumerate(units)
        for j, y in enumerate(units)
        if i != j
    ]
    expected = math.log(sum(potentials) / 30)
    assert UniformityLoss(t)(rows).item() == pytest.approx(expected, abs=1e-12)


def test_uniformity_of_two_opposite_and_two_equal_rows():
    rows = torch.tensor([[2.0, 0.0], [-5.0, 0.0]])
    assert UniformityLoss()(rows).item() == pytest.approx(-8)
    assert UniformityLoss()(rows[[0, 0]]).item() == pytest.approx(0)


@pytest.mark.parametrize(("normalizer", "divisor"), [("pairs", 36), ("rows", 6)])
@pytest.mark.parametrize("width", [4, 9])
def test_global_structure_equals_loops(normalizer, divisor, width):
    ours, theirs = random(6, 4), random(6, width, seed=1)
    a, b = ours.tolist(), theirs.tolist()
    expected = sum(
        (cosine(a[i], a[j]) - cosine(b[i], b[j])) ** 2 for i in range(6) for j in range(6)
    )
    loss = GlobalStructureLoss(normalizer)(ours, theirs)
    assert loss.item() == pytest.approx(expected / divisor, abs=1e-12)


def test_global_structure_is_0_for_one_geometry_in_float32():
    rows = random(300, 8).float()
    rotation = torch.linalg.qr(random(8, 8)).Q.float()
    assert abs(GlobalStructureLoss()(rows, rows @ rotation * 3).item()) < 1e-6


def brute_force_local(ours, theirs, matched):
    k = len(ours)
    total = 0.0
    for i in range(k):
        for j in range(k):
            s = cosine(ours[i], theirs[matched[j]])
            total += (s - 1) ** 2 / k if i == j else s**2 / (k * k - k)
    return total


def test_local_structure_equals_loops_over_the_best_bijection():
    from itertools import permutations

    ours, theirs = random(5, 3), random(5, 3, seed=1)

    def cost(order):
        return sum(math.dist(ours[i].tolist(), theirs[j].tolist()) for i, j in enumerate(order))

    best = min(permutations(range(5)), key=cost)
    expected = brute_force_local(ours.tolist(), theirs.tolist(), best)
    assert LocalStructureLoss()(ours, theirs).item() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    order=st.permutations(range(6)),
    seed=st.integers(0, 1000),
    matching=st.sampled_from(["hungarian", "greedy"]),
)
def test_local_structure_does_not_depend_on_cluster_numbers(order, seed, matching):
    loss = LocalStructureLoss(matching)
    ours, theirs = random(6, 4, seed=seed), random(6, 4, seed=seed + 5000)
    expected = loss(ours, theirs)
    torch.testing.assert_close(loss(ours, theirs[order]), expected)
    torch.testing.assert_close(loss(ours[order], theirs), expected)


def test_local_structure_of_one_pair_is_its_pull_alone():
    ours, theirs = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert LocalStructureLoss()(ours, theirs).item() == pytest.approx(1)


LOSSES = [
    (OrthogonalityLoss(), [(5, 3), (5, 3)]),
    (UniformityLoss(), [(5, 3)]),
    (GlobalStructureLoss(), [(5, 3), (5, 4)]),
    (LocalStructureLoss("hungarian"), [(4, 3), (4, 3)]),
    (LocalStructureLoss("greedy"), [(4, 3), (4, 3)]),
]


@pytest.mark.parametrize(("loss", "shapes"), LOSSES)
def test_gradients(loss, shapes):
    inputs = [random(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize(("loss", "shapes"), LOSSES)
def test_without_rows_a_loss_is_0_and_has_a_gradient(loss, shapes):
    inputs = [random(0, shape[1]).requires_grad_() for shape in shapes]
    value = loss(*inputs)
    value.backward()
    assert value.item() == 0


def test_one_row_has_no_uniformity():
    row = random(1, 3).requires_grad_()
    UniformityLoss()(row).backward()
    assert row.grad.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniformityLoss(0), "t must be positive, got 0"),
        (lambda: UniformityLoss()(random(3)), r"rows must be \(n, d\), got shape \(3,\)"),
        (
            lambda: OrthogonalityLoss()(random(3, 2), random(4, 2)),
            r"specific and shared must have one shape, got \(3, 2\) and \(4, 2\)",
        ),
        (
            lambda: GlobalStructureLoss()(random(3, 2), random(4, 2)),
            "collaborative and semantic must have equally many rows, got 3 and 4",
        ),
        (
            lambda: GlobalStructureLoss("mean"),
            "normalizer 'mean' is not one of pairs, rows",
        ),
        (
            lambda: LocalStructureLoss()(random(3, 2), random(3, 4)),
            r"collaborative and semantic must have one shape, got \(3, 2\) and \(3, 4\)",
        ),
        (
            lambda: LocalStructureLoss("nearest"),
            "matching 'nearest' is not one of hungarian, greedy",
        ),
    ],
)
def test_wrong_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
