"""Sub-command ``embed``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_darec.embedding.engines import add_engine_arguments, engine_keys
from recbole_darec.embedding.profile_command import (
    add_profile_arguments,
    refuse_profile_options,
    write,
)
from recbole_darec.keys import ConfigError
from recbole_darec.yaml_file import config_files

if TYPE_CHECKING:
    from recbole_darec.config import Config
    from recbole_darec.embedding.text_source import TextSource

DESCRIPTION = "Encode the texts of items and users into the store that training reads."
EXAMPLE = """\
Any key by --key=value, as in training. Examples:
  run_recbole_darec.py embed --dataset=ml-100k --preview 5
  run_recbole_darec.py embed --dataset=ml-100k
  run_recbole_darec.py embed --dataset=shop --item_text_file=texts.csv --text_encoder=openai:MODEL
  run_recbole_darec.py embed profile --dataset=ml-100k --profile_model=openai:MODEL --dry_run
  run_recbole_darec.py embed profile --dataset=ml-100k --profile_model=FOLDER --side=user
  run_recbole_darec.py embed --dataset=shop --engine=ray --ray_address=head:6379
  run_recbole_darec.py embed ls
  run_recbole_darec.py embed verify --embedding_dir=embeddings
  run_recbole_darec.py embed rm KEY
The texts of the whole source are encoded, whatever training filters. A run that was killed is
repeated by the same command; what is stored is not encoded again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``embed`` and of its own commands."""
    parser.add_argument(
        "what", nargs="*", metavar="COMMAND", help="profile, ls, verify or rm KEY; none: encode"
    )
    parser.add_argument("--dataset", "-d", help="name of the dataset; default ml-100k")
    parser.add_argument(
        "--config_files", nargs="+", default=[], metavar="FILE", help="yaml files, later ones win"
    )
    parser.add_argument(
        "--preview", type=int, default=0, metavar="N", help="show the first N texts; encode nothing"
    )
    parser.add_argument("--dry_run", action="store_true", help="count texts and tokens only")
    add_engine_arguments(parser)
    add_profile_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Run ``embed``.

    Args:
        args: of ``add_arguments``; ``args.keys`` holds the remaining ``--key=value``.

    Returns:
        0, or 1 where ``verify`` finds damage or a profile could not be written.

    Raises:
        ConfigError: for a user's mistake, or where an encoder fails.
    """
    words = args.what
    if words != ["profile"]:
        refuse_profile_options(args)
    config = configured(args.dataset, args.config_files, args.keys + engine_keys(args))
    if words and words != ["profile"]:
        if args.preview or args.dry_run:
            raise ConfigError(f"embed {words[0]} has no --preview and no --dry_run; leave them out")
        return _store_command(words, Path(config["embedding_dir"]))
    from recbole_darec import compat
    from recbole_darec.data.side_configuration import check_side_configuration

    compat.require_dataset(config)
    if words:
        return write(args, config)
    check_side_configuration(config)
    for side in ("item", "user"):
        _embed(args, config, side)
    return 0


def configured(dataset: str | None, files: Sequence[str], keys: Sequence[str]) -> Config:
    """The configuration that training would have, and a log on the terminal.

    Raises:
        ConfigError: if a key, name or value is wrong.
    """
    from recbole_darec.config import Config

    config = Config("DaRec", dataset, config_files(files), command_line=keys)
    logging.basicConfig(format="%(message)s", level=config["state"] or logging.INFO)
    return config


def _embed(args: argparse.Namespace, config: Config, side: str) -> None:
    from recbole_darec.embedding.encode import encode_source
    from recbole_darec.embedding.source import check_ids, side_source

    key = side_source(config, side)
    if key is None:
        print(f"{side}s: no text of their own (user_without_text: {config['user_without_text']})")
    elif key.endswith("embedding_file"):
        print(f"{side}s: {key} has their vectors already; nothing to encode")
    else:
        source = side_texts(config, side, key)
        print(f"{side}s: {source.name}")
        if key != "user_history_template":
            print(f"{side}s: {check_ids(config, side, key, source)}")
        if args.preview or args.dry_run:
            _show(config, source, args.preview)
        else:
            found, store = encode_source(config, source)
            print(
                f"{side}s: {len(found.keys)} texts, {found.n_different} different: {store.folder}"
            )


def side_texts(config: Config, side: str, key: str) -> TextSource:
    """The texts that a key names, with the training part where they are made from it.

    Raises:
        ConfigError: if they cannot be read.
    """
    from recbole_darec.embedding.source import text_source
    from recbole_darec.embedding.training_part import training_part

    return text_source(
        config, side, key, training_part(config) if key == "user_history_template" else None
    )


def _show(config: Config, source: TextSource, count: int) -> None:
    from recbole_darec.embedding.encode import Chunks, open_store, survey
    from recbole_darec.embedding.encoders import create_encoder
    from recbole_darec.embedding.preview import preview_lines, token_lines

    encoder = create_encoder(config)
    for line in preview_lines(encoder, source, count):
        print(line)
    found = survey(source, open_store(config, encoder))
    for line in token_lines(encoder, ([text for _, text in batch] for batch in source)):
        print(f"in all: {line}")
    for line in token_lines(encoder, Chunks(source, found.new, encoder.chunk)):
        print(f"to encode: {line}")
    n_chunks = -(-int(found.new.sum()) // encoder.chunk)
    print(f"to encode: {n_chunks} chunks of {encoder.chunk} texts (a request each at an endpoint)")


def _store_command(words: Sequence[str], root: Path) -> int:
    from recbole_darec.embedding.store import list_store, remove_encoder, verify_store

    if words in (["ls"], ["verify"]) and not list_store(root):
        print(f"{root}: nothing is stored; is 'embedding_dir' right?")
    elif words == ["ls"]:
        for entry in list_store(root):
            damaged = f"  {entry.damaged} FILES DAMAGED, see verify" if entry.damaged else ""
            size = f"{entry.rows} rows  {entry.bytes / 1e6:.1f} MB"
            print(f"{entry.key}  {size}  {entry.name}{damaged}")
            print("    " + ", ".join(f"{k}: {v}" for k, v in sorted(entry.specification.items())))
    elif words == ["verify"]:
        faults = verify_store(root)
        print("\n".join(faults) or f"{root}: sound")
        return 1 if faults else 0
    elif words[0] == "rm" and len(words) == 2:
        remove_encoder(root, words[1])
        print(f"removed {root / words[1]}")
    else:
        raise ConfigError(
            f"embed {' '.join(words)}: no such command; there are profile, ls, verify and rm KEY"
        )
    return 0
