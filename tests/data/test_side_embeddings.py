import numpy as np
import pytest

from recbole_darec.data.side_embeddings import SideEmbeddings

TABLE = np.array([[0.0, 0.0], [1.0, 3.0], [0.0, 0.0], [4.0, 5.0]])
PRESENT = np.array([False, True, False, True])


def zeros(*shape):
    return np.zeros(shape), np.zeros(shape[0], dtype=bool)


def test_the_fingerprint_depends_on_values_presence_and_shape():
    sides = [
        (TABLE, PRESENT),
        (2 * TABLE, PRESENT),
        (TABLE, np.array([False, True, True, True])),
        # The same 45 bytes.
        zeros(5, 2),
        zeros(9, 1),
    ]
    prints = [SideEmbeddings(*side).fingerprint for side in sides]
    assert len(set(prints)) == len(sides)
    assert prints[0] == SideEmbeddings(TABLE.astype(np.float32), PRESENT.copy()).fingerprint


def test_what_it_tells():
    side = SideEmbeddings(TABLE, PRESENT)
    table, mean = side.numpy()
    np.testing.assert_array_equal(table, TABLE)
    np.testing.assert_array_equal(mean, [2.5, 4])
    assert (len(side), side.dim) == (4, 2)
    assert side.coverage == pytest.approx(2 / 3)
    assert SideEmbeddings(*zeros(1, 2)).coverage == 0
    assert not side.state_dict()


@pytest.mark.parametrize(
    ("table", "present", "message"),
    [
        (np.zeros(3), np.zeros(3, bool), r"table must be \(n, d\) and present \(n,\), got \(3,\)"),
        (TABLE, PRESENT[:3], r"and present \(n,\), got \(4, 2\) and \(3,\)"),
        (np.full((2, 1), np.nan), np.zeros(2, bool), "contain NaN or infinite values"),
        (np.full((2, 1), np.inf), np.zeros(2, bool), "contain NaN or infinite values"),
        (np.ones((2, 1)), np.ones(2, bool), "row 0 is RecBole's padding id and cannot"),
    ],
)
def test_refusals(table, present, message):
    with pytest.raises(ValueError, match=message):
        SideEmbeddings(table, present)
