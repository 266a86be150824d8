"""The training part of the interactions, without training."""

from __future__ import annotations

from recbole.data.dataset import Dataset
from recbole.utils import init_seed

from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset
from recbole_darec.embedding.history import TrainingInteractions


def training_part(config: Config) -> TrainingInteractions:
    """The interactions that training with this configuration sees.

    Raises:
        ConfigError: if the data cannot be loaded.
    """
    init_seed(config["seed"], config["reproducibility"])
    # RecBole's own split: ours would go on to encode.
    return TrainingInteractions.of(Dataset.build(create_dataset(config))[0])
