"""Where the yaml files of this package lie."""

from __future__ import annotations

from pathlib import Path


def properties_dir() -> Path:
    """Folder ``properties/``: inside the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parent
    installed = package / "properties"
    return installed if installed.is_dir() else package.parent / "properties"
