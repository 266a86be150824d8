"""Finished runs on the small dataset, one of each kind a session; nobody may alter them."""

import shutil

import pytest

from recbole_darec.quick_start import run_recbole_darec


@pytest.fixture(scope="session")
def finished(small_data, embedding_dir, tmp_path_factory):
    """``finished(model, **parameters)`` is the folder of such a run."""
    made = {}
    place = tmp_path_factory.mktemp("finished")

    def go(model="DaRec", **overrides):
        key = (model, repr(sorted(overrides.items())))
        if key not in made:
            parameters = {
                "data_path": str(small_data),
                "checkpoint_dir": str(place),
                "embedding_dir": str(embedding_dir),
                "item_template": "{movie_title}[ ({release_year})][. Genres: {class}]",
                "embedding_size": 16,
                "n_sampled": 64,
                "n_centers": 4,
                # A warm-up would outlast these few steps.
                "alignment_warmup": 0,
                "epochs": 2,
                "show_progress": False,
                "state": "WARNING",
            }
            result = run_recbole_darec(model, "small", config_dict={**parameters, **overrides})
            made[key] = result["run_folder"]
        return made[key]

    return go


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of a finished run that a test may alter."""

    def go(model="DaRec", **overrides):
        target = tmp_path / "run"
        shutil.copytree(finished(model, **overrides), target)
        return target

    return go
