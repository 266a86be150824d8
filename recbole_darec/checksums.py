"""Checksums of a finished run's files, in the format of ``sha256sum``."""

from __future__ import annotations

import hashlib
from pathlib import Path

from recbole_darec.atomic import replacing
from recbole_darec.keys import ConfigError

CHECKSUMS = "SHA256SUMS"
REQUIRED = ("config.yaml", "metrics.json", "model.pth")
SEALED = (*REQUIRED, "per_user.npz", "serving.npz", "run.log")


def seal(folder: Path) -> None:
    """Write the checksums of the files that are there; ``sha256sum -c SHA256SUMS`` checks them."""
    lines = [f"{_digest(folder / n)}  {n}\n" for n in SEALED if (folder / n).is_file()]
    with replacing(folder / CHECKSUMS) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def verify(folder: Path) -> None:
    """Whether the configuration, the results and the checkpoint are those that the run wrote.

    The checksums tell accidents and later changes, not who made the folder: a stranger's folder
    is safe because nothing in it is executed, whatever its checksums.

    Raises:
        ConfigError: naming the file that is missing or altered.
    """
    if folder.is_file():
        raise ConfigError(f"{folder} is a file; give the run folder, which is {folder.parent}")
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a run folder: it does not exist")
    for name in (*REQUIRED, CHECKSUMS):
        if not (folder / name).is_file():
            raise ConfigError(f"run folder {folder} lacks {name}{_reason(folder, name)}")
    recorded = _recorded(folder / CHECKSUMS)
    for name in SEALED:
        there = (folder / name).is_file()
        if name in recorded and not there:
            raise ConfigError(f"run folder {folder} lacks {name}")
        if there and recorded.get(name) != _digest(folder / name):
            raise ConfigError(
                f"{folder / name} was altered: its SHA-256 is not the one in {CHECKSUMS}"
            )


def _recorded(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} was altered: it is not text") from error
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _reason(folder: Path, name: str) -> str:
    there = " ".join(n for n in SEALED if (folder / n).is_file())
    reasons = {
        "metrics.json": ": the run did not end; set resume to this folder",
        "model.pth": ": the run kept no checkpoint, or the file was removed",
        CHECKSUMS: f": if you trust the folder, call 'sha256sum {there} > {CHECKSUMS}' in it",
    }
    return reasons.get(name, "")


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
