import numpy as np
import pytest

from recbole_darec.alignment.transform import embedding_transform, transformed
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.keys import ConfigError


def transform_embeddings(users, items, method):
    transform = embedding_transform(users, items, method)
    return transformed(users, transform), transformed(items, transform)


def present_rows(*sides):
    return np.concatenate([side.table[side.present].numpy() for side in sides])


def test_center_subtracts_the_mean_of_present_rows_of_both_kinds(world):
    users, items = world.side(9, absent=(2,)), world.side(7)
    mean = np.mean([*users.table[[1, 3, 4, 5, 6, 7, 8]].tolist(), *items.table[1:].tolist()], 0)
    made_users, made_items = transform_embeddings(users, items, "center")
    np.testing.assert_allclose(made_users.table[3], users.table[3] - mean, atol=1e-6)
    np.testing.assert_allclose(made_items.table[1], items.table[1] - mean, atol=1e-6)
    assert made_users.table[[0, 2]].abs().sum() == 0
    assert made_users.present.tolist() == users.present.tolist()


def test_whitened_rows_have_unit_covariance(world):
    rows = present_rows(*transform_embeddings(world.side(200), world.side(150), "whiten"))
    np.testing.assert_allclose(np.cov(rows.T), np.eye(rows.shape[1]), atol=1e-4)


def test_whitening_drops_directions_without_variance():
    table = np.random.default_rng(0).normal(size=(50, 3)) @ np.eye(3, 6)
    present = np.arange(50) > 0
    side = SideEmbeddings((table * present[:, None]).astype(np.float32), present)
    assert transform_embeddings(side, side, "whiten")[0].dim == 3


def test_whitening_keeps_99_percent_of_the_variance():
    """Of 90, 6, 3.5 and 0.5 %, the last goes."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(20_001, 4)) * np.sqrt([0.9, 0.06, 0.035, 0.005])
    side = SideEmbeddings(rows, np.arange(len(rows)) > 0)
    assert transform_embeddings(side, side, "whiten")[0].dim == 3


def test_none_changes_nothing(world):
    users, items = world.side(5), world.side(6)
    assert transform_embeddings(users, items, "none") == (users, items)


@pytest.mark.parametrize("method", ["none", "center", "whiten"])
def test_a_known_row_is_mapped_to_its_row_of_the_table(world, method):
    """Also with fewer rows than dimensions, where no linear fit could find the map."""
    users, items = world.side(3), world.side(4)
    transform = embedding_transform(users, items, method)
    np.testing.assert_allclose(
        transform(items.table[2:3].numpy()), transformed(items, transform).table[2:3], atol=1e-6
    )
    if method == "center":
        mean = present_rows(users, items).mean(0)
        np.testing.assert_allclose(transform(np.ones((1, len(mean)))), 1 - mean[None], atol=1e-6)


def test_a_kind_without_any_text(world):
    users, items = world.side(4, absent=(1, 2, 3)), world.side(9)
    for method in ("center", "whiten"):
        assert transform_embeddings(users, items, method)[0].table.abs().sum() == 0


@pytest.mark.parametrize("method", ["center", "whiten"])
def test_of_a_sole_item_with_text_nothing_is_left(world, method):
    users = SideEmbeddings(np.full((5, 3), 0.7), np.arange(5) > 0)
    item = SideEmbeddings(users.table.numpy(), np.arange(5) == 2)
    assert transform_embeddings(users, item, method)[1].table.abs().max() < 1e-6
    alone = transform_embeddings(world.side(2), world.side(2, absent=(1,)), method)
    assert alone[0].table.abs().max() == 0


def test_whitening_keeps_its_digits_where_the_mean_is_large():
    rows = np.random.default_rng(0).normal(size=(300, 5)) * [1, 0.8, 0.5, 0.5, 0.4]
    present = np.arange(301) > 0
    found = []
    for shift in (0, 50):
        table = np.concatenate([np.zeros((1, 5)), rows + shift]).astype(np.float32)
        made = transform_embeddings(*[SideEmbeddings(table, present)] * 2, "whiten")[0].table
        found.append((made @ made.T).numpy())
    centred = rows - rows.mean(0)
    twice = np.cov(np.concatenate([centred, centred]).T)
    expected = centred @ np.linalg.inv(twice) @ centred.T
    for gram in found:
        np.testing.assert_allclose(gram[1:, 1:], expected, atol=2e-3)


def test_wrong_input(world):
    with pytest.raises(ConfigError, match="user embeddings are 6 wide and item embeddings 5;"):
        transform_embeddings(world.side(4), world.side(4, dim=5), "none")
    equal = SideEmbeddings(np.full((5, 3), 0.7), np.arange(5) > 0)
    for method in ("center", "whiten"):
        with pytest.raises(ConfigError, match=f"all 8 embeddings are equal, .*'{method}'"):
            transform_embeddings(equal, equal, method)
    assert transform_embeddings(equal, equal, "none") == (equal, equal)
    with pytest.raises(ValueError, match="transform 'scale' is not one of none, center, whiten"):
        transform_embeddings(world.side(2), world.side(2), "scale")


def test_vectors_too_large_to_be_whitened_are_named():
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32) * 1e30
    side = SideEmbeddings(vectors, np.arange(9) > 0)
    with pytest.raises(ConfigError, match=r"cannot be whitened \(numbers up to .*e\+30: .*scale"):
        embedding_transform(side, side, "whiten")
