import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from recbole_darec.alignment.sampling import RowSampler


def sampler(world, n_users, n_items, n_sampled, sampling="random", absent=()):
    users, items = world.side(n_users, absent=absent), world.side(n_items, absent=absent)
    return RowSampler(users, items, n_sampled, sampling, torch.Generator().manual_seed(5))


@pytest.mark.parametrize("sampling", ["random", "batch"])
def test_rows_are_different_present_and_as_many_as_asked(world, sampling):
    draw = sampler(world, 100, 80, 20, sampling, absent=(3, 4, 50))
    batch = world.batch(list(range(60)) * 2, list(range(60)) * 2, [70] * 120)
    for _ in range(30):
        for ids in draw(batch):
            assert len(ids) == len(set(ids.tolist())) == 10
            assert not {0, 3, 4, 50} & set(ids.tolist())
            assert sampling == "random" or max(ids.tolist()) < 60


def test_one_kind_fills_up_for_the_other(world):
    batch = world.batch([1], [1], [1])
    for n_users, n_items, expected in [(4, 100, (3, 17)), (100, 4, (17, 3)), (4, 5, (3, 4))]:
        users, items = sampler(world, n_users, n_items, 20)(batch)
        assert (len(users), len(items)) == expected


@pytest.mark.parametrize("sampling", ["random", "batch"])
def test_nothing_present_gives_nothing(world, sampling):
    users, items = sampler(world, 3, 3, 8, sampling, absent=(1, 2))(world.batch([1], [2], [1]))
    assert len(users) == len(items) == 0


def test_each_row_has_the_same_chance(world):
    draw, batch = sampler(world, 21, 31, 20), world.batch([1], [1], [1])
    counts = np.zeros(31)
    for _ in range(2000):
        counts[draw(batch)[1].numpy()] += 1
    assert counts[0] == 0
    # Without replacement the counts vary less than chisquare assumes, so this is conservative.
    assert chisquare(counts[1:]).pvalue > 0.01


def test_the_generator_decides(world):
    batch = world.batch([1], [1], [1])
    first, second = sampler(world, 200, 200, 20), sampler(world, 200, 200, 20)
    torch.manual_seed(1)
    np.random.seed(1)
    one = first(batch)
    torch.manual_seed(2)
    np.random.seed(2)
    assert all(torch.equal(a, b) for a, b in zip(one, second(batch), strict=True))
    assert not torch.equal(one[0], first(batch)[0])


def test_wrong_input(world):
    with pytest.raises(ValueError, match="n_sampled must be at least 2, got 1"):
        sampler(world, 5, 5, 1)
    with pytest.raises(ValueError, match="sampling 'all' is not one of random, batch"):
        sampler(world, 5, 5, 4, "all")
