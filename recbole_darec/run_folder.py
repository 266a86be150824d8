"""The folder that a run leaves behind."""

from __future__ import annotations

import json
import math
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from recbole.utils import get_local_time

from recbole_darec.atomic import json_text, replacing
from recbole_darec.config import Config
from recbole_darec.earlier import earlier_values
from recbole_darec.keys import ConfigError
from recbole_darec.yaml_file import read_yaml


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run's files.

    Attributes:
        path: the folder; it holds ``config.yaml`` (resolved, usable as a config file),
            ``metrics.json``, ``per_user.npz`` (see ``UserValues``), ``serving.npz`` (see
            ``SavedScorer``), ``model.pth`` (best epoch), ``run.log``, ``SHA256SUMS`` of these,
            TensorBoard's events, and until the run has ended ``last.pth`` (for ``resume``).
    """

    path: Path

    @classmethod
    def create(cls, config: Config) -> RunFolder:
        """Make a new folder below ``checkpoint_dir``; its name cannot collide with another's.

        Raises:
            ConfigError: if the folder cannot be written.
        """
        name = f"{config.model}-{config.dataset}-{get_local_time()}-{uuid.uuid4().hex[:8]}"
        folder = cls(Path(config["checkpoint_dir"]) / name)
        try:
            folder.path.mkdir(parents=True)
            folder.write_text("config.yaml", yaml.safe_dump(config.resolved(), allow_unicode=True))
        except OSError as error:
            raise ConfigError(
                f"the run folder {folder.path} cannot be written ({error.strerror}); "
                "set checkpoint_dir to a folder that you may write to"
            ) from error
        return folder

    def discard(self) -> None:
        """Remove the folder of a run that was refused before it had trained an epoch."""
        if not any(file.is_file() for file in (self.best, self.last, self.metrics)):
            shutil.rmtree(self.path)

    def earlier_values(self) -> dict[str, Any]:
        """What the configuration lacks, as it was when the run was made."""
        return earlier_values(read_yaml(self.config, "config file"))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """An existing run folder.

        Raises:
            ConfigError: if it lacks its configuration.
        """
        folder = cls(Path(path))
        if not folder.config.is_file():
            raise ConfigError(f"{path} is not a run folder: it has no config.yaml")
        return folder

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """Results; present once the run has ended."""
        return self.path / "metrics.json"

    @property
    def best(self) -> Path:
        """Checkpoint of the epoch with the best validation score."""
        return self.path / "model.pth"

    @property
    def last(self) -> Path:
        """Checkpoint of the last validated epoch with all state that resuming needs."""
        return self.path / "last.pth"

    @property
    def log(self) -> Path:
        """The log."""
        return self.path / "run.log"

    def write_text(self, name: str, text: str) -> None:
        """Write a file whole or not at all."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write ``metrics.json``."""
        self.write_text("metrics.json", json_text(metrics, indent=2))

    def read_metrics(self) -> dict[str, Any]:
        """Read ``metrics.json``; a metric that is null there is not a number."""
        metrics: dict[str, Any] = json.loads(self.metrics.read_text("utf-8"))
        for part in ("best_valid_result", "test_result"):
            if isinstance(metrics, dict) and metrics.get(part):
                found = metrics[part].items()
                metrics[part] = {k: math.nan if v is None else v for k, v in found}
        return metrics
