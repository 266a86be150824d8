"""Commands on the small dataset."""

import pytest


@pytest.fixture
def keys(settings):
    """``--key=value`` of a short run; ``checkpoint_dir`` is the experiment's own matter."""
    return [f"--{key}={value}" for key, value in settings.items() if key != "checkpoint_dir"]
