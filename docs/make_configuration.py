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
[RecBole](https://recbole.io/docs/user_guide/config_settings.html) work as there, but for these:

- `eval_batch_size` counts users in full-sort evaluation.
- `gpu_id` chooses among the visible GPUs and leaves `CUDA_VISIBLE_DEVICES` alone; `use_gpu: False`
  gives the CPU. There is no key `device`: it is refused, and these two named.
- `transform` is refused: RecBole's transforms are of sequences. The split `TS` of RecBole 1.2.1
  needs `order: TO`, without which RecBole would train on later interactions.
- `nproc` above 1 is refused; `world_size`, `ip`, `port` and `group_offset` are read by nothing.
- `dataset_save_path` and `dataloaders_save_path` make RecBole read pickles, which can run code, and
  need `allow_pickle: True`. Saved dataloaders get the embeddings that the reading run asks for;
  their `train_batch_size` and `train_neg_sample_args` RecBole keeps, so that others are refused.
- With `benchmark_filename` RecBole filters nothing: a warning tells of a `val_interval` or an
  `..._inter_num_interval`. Interactions without a user or an item id are refused.
- RecBole reads its own copy of `ml-100k`, whatever `data_path` says; a warning tells of a folder of
  that name there.
- A value that stands twice in `topk` or `metrics` is refused. So is a list in `val_interval` of a
  column of numbers, of which RecBole makes an interval, with a warning.
- Pairs of a user and an item that stand twice are told of: `rm_dup_inter: first` keeps one.
- `valid_metric_bigger` follows from the metric, as in RecBole; another value is told of.
- `checkpoint_dir` holds a folder for each run.
- With `resume` a run keeps its configuration; only where its data, texts, vectors and devices are
  now (`data_path`, `item_embedding_file`, `use_gpu`, ...) may be given. Other ids or interactions
  are refused, other embeddings told of.
- `show_progress` shows bars on a terminal alone.
- `model` is one of ours or a general recommender of RecBole; its sequential, context-aware and
  knowledge-based models are refused.
- A key that the chosen model does not read, such as `ssl_tau` with LightGCN, is an error on the
  command line. In a yaml file and in `config_dict` it is a warning, since a file may serve several
  models; RecBole says nothing.

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
        # A dict of dicts is read more easily in the file than in a cell.
        nested = isinstance(value, dict) and any(isinstance(v, dict) for v in value.values())
        admissible = "keys by part" if nested else admissible
        default = (
            f"[in the file](../{file.relative_to(ROOT)})" if nested else f"`{_written(value)}`"
        )
        cells = [f"`{key}`", default, admissible, texts.get(key, "")]
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
