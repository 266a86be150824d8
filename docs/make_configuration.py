"""Write docs/configuration.md from the yaml files and the declared keys.

Usage: ``python docs/make_configuration.py``
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from recbole_darec.known_keys import declared_keys

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "configuration.md"

HEAD = """\
# Configuration

*Written by `python docs/make_configuration.py` from the files in `properties/`.*

A parameter comes from the first of these places that sets it: the command line (`--key=value`),
`config_dict` in Python, `--config_files 'a.yaml b.yaml'` (the last file wins), and then the yaml
files of this package and of RecBole. All keys of
[RecBole](https://recbole.io/docs/user_guide/config_settings.html) work as there, with two
differences: `eval_batch_size` counts users in full-sort evaluation, and `gpu_id` chooses among the
visible GPUs instead of changing `CUDA_VISIBLE_DEVICES` (`use_gpu: False` gives the CPU).

A key that does not exist, a value of another type and a value out of its range are errors before
any work. Text is never evaluated as Python; lists and dicts are written as in yaml or Python.
"""


def comments(file: Path) -> dict[str, str]:
    """The comment of each key: beside it, and on the comment lines that follow."""
    found: dict[str, str] = {}
    key = ""
    for line in file.read_text("utf-8").splitlines():
        start = re.match(r"(\w+):[^#]*(?:#\s*(.*))?$", line)
        if start:
            key = start.group(1)
            found[key] = (start.group(2) or "").strip()
        elif key and re.match(r"\s+#", line):
            found[key] += " " + line.strip().lstrip("# ")
        else:
            key = ""
    return found


def section(file: Path) -> str:
    """One yaml file as a table."""
    defaults = yaml.safe_load(file.read_text("utf-8")) or {}
    texts, declared = comments(file), declared_keys()
    rows = ["| key | default | admissible | meaning |", "|---|---|---|---|"]
    for key, value in defaults.items():
        admissible = declared[key].describe() if key in declared else "see RecBole"
        cells = [f"`{key}`", f"`{_written(value)}`", admissible, texts.get(key, "")]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return f"## `{file.relative_to(ROOT)}`\n\n" + "\n".join(rows) + "\n"


def _written(value: object) -> str:
    return "~" if value is None else str(value)


def page() -> str:
    """The whole page."""
    files = [ROOT / "properties" / f"{n}.yaml" for n in ("overall", "recommender", "embedding")]
    for folder in ("alignment", "backbone", "standalone", "protocol", "dataset"):
        files += sorted((ROOT / "properties" / folder).glob("*.yaml"))
    tables = [section(file) for file in files if yaml.safe_load(file.read_text("utf-8"))]
    return "\n".join([HEAD, *tables])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
