"""Preference centres of two sides whose clusters are known."""

import numpy as np
import pytest

from recbole_darec.analysis.preference import preference_centers
from recbole_darec.analysis.representations import Representations

BLOBS, MEMBERS = 5, 20


def blobs(seed):
    """The same rows in the same well-parted blobs on both sides, each side with its own noise."""
    generator = np.random.default_rng(seed)
    means = np.repeat(10 * np.eye(BLOBS), MEMBERS, axis=0)
    sides = {side: means + generator.normal(size=means.shape) for side in "CL"}
    rows = {f"{s} {part}": sides[s] for s in sides for part in ("raw", "shared", "specific")}
    users = {name: part[::2] for name, part in rows.items()}
    items = {name: part[1::2] for name, part in rows.items()}
    return Representations(users, items, np.arange(50), np.arange(50))


@pytest.mark.parametrize("matching", ["hungarian", "greedy"])
@pytest.mark.parametrize("seed", range(5))
def test_sides_with_the_same_clusters_agree_on_every_row(seed, matching):
    """K-means numbers the clusters of each side as it likes, so that few are matched in order."""
    found = preference_centers(blobs(seed), BLOBS, matching, seed)
    assert found.agreement == 1
    assert found.sizes.tolist() == [[MEMBERS] * BLOBS] * 2
    assert np.diag(found.similarity()).min() > 0.99
    assert found.agreement_by_chance == pytest.approx(1 / BLOBS)
