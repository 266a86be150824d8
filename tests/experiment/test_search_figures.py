"""Importance finds the key that matters; figures are drawn without a display."""

import numpy as np
import pandas as pd
import pytest

from recbole_darec.experiment.search_figures import (
    coordinates,
    draw_importance,
    draw_parallel_coordinates,
    importance,
)
from recbole_darec.experiment.search_space import Dimension

SPACE = {
    "rate": Dimension("loguniform", (-8, 0)),
    "layers": Dimension("choice", (1, 2, 3)),
    "mode": Dimension("choice", ("mean", "sum")),
}


@pytest.fixture
def trials():
    generator = np.random.default_rng(0)
    rate = np.exp(generator.uniform(-8, 0, 40))
    layers, mode = generator.choice([1, 2, 3], 40), generator.choice(["mean", "sum"], 40)
    score = np.log(rate) + 0.1 * layers
    table = pd.DataFrame({"rate": rate, "layers": layers, "mode": mode, "score": score})
    table.loc[3, "score"] = np.nan
    return table


def test_the_key_that_matters_comes_first(trials):
    table = importance(trials, SPACE, "score")
    assert table.loc[0, "key"] == "rate"
    assert table["importance"][0] > 10 * abs(table.set_index("key").loc["mode", "importance"])


def test_coordinates_by_hand():
    rows = pd.DataFrame(
        {"rate": [np.exp(-8), np.exp(-4)], "layers": [3, 2], "mode": ["mean", "sum"]}
    )
    found = coordinates(rows, SPACE)
    assert np.allclose(found.to_numpy(), [[0, 1, 0], [0.5, 0.5, 1]])


def test_figures_are_png_files(trials, tmp_path):
    draw_importance(importance(trials, SPACE, "score"), tmp_path / "a.png")
    draw_parallel_coordinates(trials, SPACE, "score", tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / name).stat().st_size > 5000
