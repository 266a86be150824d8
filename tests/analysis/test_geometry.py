"""Effective rank, uniformity and collapse on blocks whose shape is known."""

import math

import numpy as np
import pytest

from recbole_darec.analysis.geometry import effective_rank, geometry, pair_distance


def test_effective_rank_of_known_spectra():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(200, 5)))[0]
    basis -= basis.mean(axis=0)
    basis = np.linalg.qr(basis)[0]
    assert effective_rank(basis) == pytest.approx(5)
    assert effective_rank(basis * [1, 1, 0, 0, 0]) == pytest.approx(2)
    shares = np.array([0.5, 0.25, 0.25, 0, 0])
    expected = math.exp(0.5 * math.log(2) + 0.5 * math.log(4))
    assert effective_rank(basis * shares) == pytest.approx(expected)


def test_effective_rank_ignores_rotation_and_shift_and_knows_a_point():
    x = np.random.default_rng(1).normal(size=(50, 4)) * [4, 2, 1, 0.1]
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0]
    assert effective_rank(3 * x @ rotation + 7) == pytest.approx(effective_rank(x))
    assert effective_rank(np.full((9, 3), 0.1)) == effective_rank(np.zeros((9, 3))) == 0


def test_measures_in_plain_loops():
    rows = np.random.default_rng(3).normal(size=(12, 3))
    unit = [row / math.sqrt(sum(v * v for v in row)) for row in rows]
    cosines, potentials = [], []
    for i in range(12):
        for j in range(12):
            if i != j:
                cosines.append(float(unit[i] @ unit[j]))
                potentials.append(math.exp(-2 * float(((unit[i] - unit[j]) ** 2).sum())))
    found = geometry(rows)
    assert found.mean_cosine == pytest.approx(sum(cosines) / len(cosines))
    assert found.uniformity == pytest.approx(math.log(sum(potentials) / len(potentials)))
    other = np.random.default_rng(4).normal(size=(12, 3))
    distance = sum(
        float(((u - o / np.linalg.norm(o)) ** 2).sum()) for u, o in zip(unit, other, strict=True)
    )
    assert pair_distance(rows, other) == pytest.approx(distance / 12)


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (lambda g: g.normal(size=(400, 32)), "no collapse: about 31"),
        (lambda g: g.normal(size=(400, 32)) * 0.01 + 1, "collapsed to a cone: rows point the same"),
        (
            lambda g: g.normal(size=(400, 1)) @ g.normal(size=(1, 32)),
            "collapsed to a few dimensions",
        ),
        (lambda g: np.ones((400, 32)), "collapsed to a point: all rows are equal"),
        (lambda g: np.zeros((400, 32)), "collapsed to a point: all rows are equal"),
    ],
)
def test_collapse_is_said_in_words(make, verdict):
    assert geometry(make(np.random.default_rng(0))).verdict.startswith(verdict)


def test_bad_input():
    with pytest.raises(ValueError, match="at least two rows"):
        geometry(np.ones((1, 3)))
    with pytest.raises(ValueError, match="widths differ: 3 and 2"):
        pair_distance(np.ones((4, 3)), np.ones((4, 2)))
