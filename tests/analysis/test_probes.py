"""Linear probes tell what was put in, and nothing else."""

import numpy as np
import pytest

from recbole_darec.analysis.probes import label_probe, modality_probe, number_probe


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_a_linear_trace_is_found_at_its_share_of_variance(generator):
    rows = generator.normal(size=(2000, 8))
    signal, noise = rows @ np.ones(8) / np.sqrt(8), generator.normal(size=2000)
    assert number_probe(rows, signal) > 0.999
    assert number_probe(rows, np.sqrt(0.3) * signal + np.sqrt(0.7) * noise) == pytest.approx(
        0.3, abs=0.04
    )
    assert abs(number_probe(rows, noise)) < 0.02


def test_labels(generator):
    rows = generator.normal(size=(600, 6))
    told, untold = rows[:, :2] > 0, generator.random((600, 2)) > 0.5
    assert label_probe(rows, told) > 0.98
    assert label_probe(rows, untold) == pytest.approx(0.5, abs=0.06)
    assert label_probe(rows, told[:, 0]) > 0.98
    rare = np.zeros((600, 1), dtype=bool)
    rare[:3] = True
    assert label_probe(rows, np.hstack([told, rare])) == label_probe(rows, told)


@pytest.mark.parametrize("share", [0.04, 0.1, 0.5])
def test_labels_that_nothing_tells_are_at_chance(generator, share):
    """Predictions pooled over the folds would be below: a fold's mean errs against its labels."""
    labels = generator.random((600, 8)) < share
    assert label_probe(np.ones((600, 3)), labels) == 0.5
    noise = [label_probe(generator.normal(size=(600, 64)), labels) for _ in range(4)]
    assert np.mean(noise) == pytest.approx(0.5, abs=0.03)


def test_modality(generator):
    first = generator.normal(size=(300, 5))
    assert modality_probe(first, generator.normal(size=(300, 5)) + 3) > 0.99
    assert modality_probe(first, generator.normal(size=(300, 5))) == pytest.approx(0.5, abs=0.08)


def test_noise_in_many_dimensions_tells_nothing(generator):
    """More columns than rows: only cross-validation keeps the probe honest."""
    assert number_probe(generator.normal(size=(60, 200)), generator.normal(size=60)) < 0.15


def test_a_constant_target_has_no_variance_to_tell():
    assert np.isnan(number_probe(np.eye(20), np.ones(20)))
    assert np.isnan(number_probe(np.eye(20), np.tile([1.0, 2.0], (20, 1))))


def test_bad_input():
    with pytest.raises(
        ValueError, match="needs at least 10 rows and a target for each, got 20 and 3"
    ):
        number_probe(np.eye(20), np.arange(3))
    with pytest.raises(ValueError, match="no label has 20 rows with it"):
        label_probe(np.eye(30), np.zeros(30))
    with pytest.raises(ValueError, match="widths differ"):
        modality_probe(np.eye(20), np.ones((20, 3)))
