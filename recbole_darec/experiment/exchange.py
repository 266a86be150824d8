"""States of training that population-based training hands from trial to trial."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from recbole_darec import checkpoint
from recbole_darec.experiment.files import write_text

STATE = "state"


def keep_state(place: Path) -> Path:
    """Copy the state of the run below ``place``: its last and its best epoch.

    Returns:
        Folder of the copy, ``state`` beside the run folder.
    """
    (run,) = (file.parent for file in place.glob("*/config.yaml"))
    state = place / STATE
    state.mkdir(exist_ok=True)
    for name in ("model.pth", "last.pth"):
        shutil.copy(run / name, state / name)
    return state


def take_over(place: Path, parameters: dict[str, Any], state: Path) -> None:
    """Make the run below ``place`` one that goes on from a state, with parameters of its own.

    ``run_or_resume`` then finds it. The state is kept beside it. What an optimizer had of learning
    rate and weight decay gives way to the parameters.

    Args:
        place: folder for the run folder; what it holds is replaced.
        parameters: the configuration.
        state: folder made by ``keep_state``, possibly of another trial.

    Raises:
        CheckpointError: if the state cannot be read.
    """
    from recbole_darec.config import Config
    from recbole_darec.run_folder import RunFolder

    content = checkpoint.load(state / "last.pth")
    for file in place.glob("*/config.yaml"):
        shutil.rmtree(file.parent)
    write_text(place / "given.yaml", yaml.safe_dump(parameters, allow_unicode=True))
    config = Config(
        config_file_list=[place / "given.yaml"], config_dict={"checkpoint_dir": str(place)}
    )
    if state != place / STATE:
        shutil.copytree(state, place / STATE, dirs_exist_ok=True)
    for optimizer in content["optimizers"].values():
        for group in optimizer["param_groups"]:
            group |= {"lr": config["learning_rate"], "weight_decay": config["weight_decay"]}
    folder = RunFolder.create(config)
    shutil.copy(state / "model.pth", folder.best)
    checkpoint.save(folder.last, content)
