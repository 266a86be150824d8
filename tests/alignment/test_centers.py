import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from recbole_darec.alignment.centers import PreferenceCenters, assign, cluster_means


def blobs(k=4, members=30, dim=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    means = 20 * torch.eye(dim)[:k]
    return (means.repeat_interleave(members, 0)) + torch.randn(
        k * members, dim, generator=generator
    )


def test_lloyd_steps_equal_scikit_learn_from_the_same_start():
    rows = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    for iterations in (1, 2, 5):
        centers = rows[:6].unsqueeze(0)
        for _ in range(iterations):
            labels = assign(rows.unsqueeze(0), centers)
            centers = cluster_means(rows.unsqueeze(0), labels, 6)
        theirs = KMeans(6, init=rows[:6].numpy(), n_init=1, max_iter=iterations, tol=0)
        with np.errstate(all="ignore"):
            theirs.fit(rows.numpy())
        np.testing.assert_allclose(centers[0].numpy(), theirs.cluster_centers_, atol=1e-5)


def test_a_step_of_several_iterations_equals_scikit_learn_on_both_sides():
    rows = torch.randn(2, 200, 3, generator=torch.Generator().manual_seed(1))
    module = PreferenceCenters(6, 3, torch.Generator(), iterations=5)
    module.centers.copy_(rows[:, :6])
    module.calls.fill_(1)
    module(rows)
    for found, side in zip(module.centers.numpy(), rows.numpy(), strict=True):
        with np.errstate(all="ignore"):
            theirs = KMeans(6, init=side[:6], n_init=1, max_iter=5, tol=0).fit(side)
        np.testing.assert_allclose(found, theirs.cluster_centers_, atol=1e-5)


def test_warm_start_finds_the_clusters_of_both_sides():
    ours, theirs = blobs(), blobs(seed=1).flip(0)
    module = PreferenceCenters(4, 5, torch.Generator().manual_seed(2))
    module.centers.copy_(torch.stack([ours[::30], theirs[::30]]))
    module.calls.fill_(1)
    for _ in range(3):
        labels = module(torch.stack([ours, theirs]))
    for side, rows in enumerate((ours, theirs)):
        expected = KMeans(4, n_init=5, random_state=0).fit_predict(rows.numpy())
        assert adjusted_rand_score(expected, labels[side].numpy()) == 1


def test_refits_only_every_so_many_calls_and_starts_from_the_last_centers():
    rows = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(1))
    module = PreferenceCenters(5, 3, torch.Generator().manual_seed(2), every=3)
    stored = []
    for _ in range(4):
        module(rows)
        stored.append(module.centers.clone())
    assert torch.equal(stored[0], stored[1])
    assert torch.equal(stored[0], stored[2])
    expected = cluster_means(rows, assign(rows, stored[2]), 5)
    torch.testing.assert_close(stored[3], expected)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 12), k=st.integers(1, 12), distinct=st.booleans())
def test_no_cluster_stays_empty(n, k, distinct):
    rows = torch.randn(2, n, 3, generator=torch.Generator().manual_seed(n))
    if not distinct:
        rows = torch.ones(2, n, 3)
    labels = PreferenceCenters(k, 3, torch.Generator().manual_seed(k), iterations=3)(rows)
    for side in labels:
        assert sorted(set(side.tolist())) == list(range(min(n, k)))


def test_an_empty_cluster_takes_the_row_farthest_from_its_center():
    rows = torch.tensor([[[0.0], [1.0], [5.0]]])
    centers = torch.tensor([[[0.0], [100.0]]])
    assert assign(rows, centers).tolist() == [[0, 0, 1]]


def test_means_are_differentiable_and_labels_constant():
    rows = torch.randn(2, 7, 3, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([[0, 1, 2, 0, 1, 2, 0], [2, 2, 1, 1, 0, 0, 0]])
    assert torch.autograd.gradcheck(lambda x: cluster_means(x, labels, 3), [rows])
    means = cluster_means(rows, labels, 3)
    torch.testing.assert_close(means[0, 0], rows[0, [0, 3, 6]].mean(0))
    torch.testing.assert_close(means[1, 2], rows[1, [0, 1]].mean(0))


def test_centers_survive_a_checkpoint():
    rows = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(1))
    first = PreferenceCenters(5, 3, torch.Generator().manual_seed(2), every=2)
    first(rows)
    second = PreferenceCenters(5, 3, torch.Generator().manual_seed(9), every=2)
    second.load_state_dict(first.state_dict())
    later = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(3))
    assert torch.equal(first(later), second(later))
    assert torch.equal(first.centers, second.centers)


def test_wrong_input():
    generator = torch.Generator()
    with pytest.raises(ValueError, match="must be at least 1, got 0, 3, 1, 1"):
        PreferenceCenters(0, 3, generator)
    for shape in ((2, 0, 3), (2, 4, 2), (1, 4, 3), (4, 3)):
        with pytest.raises(ValueError, match=r"points must be \(2, n, 3\) with n > 0, got"):
            PreferenceCenters(2, 3, generator)(torch.zeros(shape))
