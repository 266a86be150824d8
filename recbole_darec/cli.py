"""Command line: RecBole's ``run_recbole.py`` with our models."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recbole_darec import __version__
from recbole_darec.keys import ConfigError, nearest
from recbole_darec.options import parse_options
from recbole_darec.registry import ADAPTED, BARE, parts
from recbole_darec.yaml_file import config_files

_EXAMPLE = """\
Any key of RecBole or of this package is set by --key=value, as in RecBole. Examples:
  run_recbole_darec.py --model=DaRec --dataset=ml-100k
  run_recbole_darec.py --model=DaRec --backbone=LightGCN --alignment_weight=0.01 --seed=1
  run_recbole_darec.py --model=RLMRecCon --backbone=recbole/NGCF --protocol=rlmrec
  run_recbole_darec.py --model=BPR --dataset=ml-100k --config_files 'my.yaml other.yaml'

Other commands, each with its own --help:
  run_recbole_darec.py embed | compare | ablate | tune | reproduce | analyze | recommend | export
"""
_SCRIPT = "run_recbole_darec.py"
_INSTALLED = "recbole-darec"

# Modules with DESCRIPTION, EXAMPLE, ``add_arguments(parser)`` and ``main(args) -> exit status``.
_COMMANDS = {
    "embed": "recbole_darec.embedding.command",
    "compare": "recbole_darec.experiment.compare_command",
    "ablate": "recbole_darec.experiment.ablate_command",
    "tune": "recbole_darec.experiment.tune_command",
    "reproduce": "recbole_darec.experiment.reproduce_command",
    "analyze": "recbole_darec.analysis.command",
    "recommend": "recbole_darec.recommend.command",
    "export": "recbole_darec.recommend.export_command",
}
# Those that train or encode: the rest of their command line is configuration, ``args.keys``.
_TAKE_KEYS = {"embed", "compare", "ablate", "tune", "reproduce"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: default ``sys.argv[1:]``.

    Returns:
        Exit status: 0; 2 for a mistake in configuration or data, named on standard error; 1 if
        nobody reads the output any more; 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Titles of any language, on a terminal of any encoding.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = _chosen(given)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted; where an epoch had ended, --resume goes on from it", file=sys.stderr)
        return 130
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if not _reader_left():
            raise
        # Python would flush once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _reader_left() -> bool:
    """Whether it is standard output that broke, as `head` has what it wants."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return True
    return False


def _chosen(given: Sequence[str]) -> int:
    if given and given[0] in _COMMANDS:
        return _command(given[0], given[1:])
    if given and not given[0].startswith("-"):
        raise _no_command(given[0])
    return _train(given)


def _train(given: Sequence[str]) -> int:
    known, rest = parse_options(_parser(), given)
    from recbole_darec.quick_start import run_recbole_darec

    files = config_files(known.config_files)
    result = run_recbole_darec(known.model, known.dataset, files, command_line=rest)
    print(f"test result: {result['test_result']}")
    print(f"run folder: {result['run_folder']}")
    return 0


def _command(name: str, given: Sequence[str]) -> int:
    module = importlib.import_module(_COMMANDS[name])
    parser = _new_parser(f" {name}", module.DESCRIPTION, module.EXAMPLE)
    module.add_arguments(parser)
    args, keys = parse_options(parser, given)
    args.keys = keys
    if keys and name not in _TAKE_KEYS:
        parser.error(f"unrecognized arguments: {' '.join(keys)}")
    status: int = module.main(args)
    return status


def _no_command(word: str) -> ConfigError:
    """What to do in the place of a first word that is neither a command nor a key."""
    if "=" in word:
        return ConfigError(f"'{word}' has no dashes; write --{word}")
    return ConfigError(
        f"'{word}' is no command{nearest(word, _COMMANDS)}; there are {', '.join(_COMMANDS)}. "
        "Without a command a model is trained, by --key=value alone; --help shows more"
    )


class _Once(argparse.Action):
    """Stores a value, and refuses a second one, of which argparse would keep the last."""

    given: Any = None

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        if self.given not in (None, values):
            raise ConfigError(f"{option_string} is given twice, as {self.given!r} and {values!r}")
        self.given = values
        setattr(namespace, self.dest, values)


def _new_parser(command: str, description: str, epilog: str) -> argparse.ArgumentParser:
    started = Path(sys.argv[0]).name
    program = _INSTALLED if started.removesuffix(".exe") == _INSTALLED else _SCRIPT
    parser = argparse.ArgumentParser(
        prog=program + command,
        description=description,
        epilog=epilog.replace(_SCRIPT, program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.register("action", None, _Once)
    return parser


def _parser() -> argparse.ArgumentParser:
    about = "Train and evaluate DaRec, a bare backbone or a RecBole model."
    backbones = (
        f"Backbones: {', '.join(parts('backbone'))}, or {ADAPTED}NAME, a model of RecBole's.\n"
    )
    parser = _new_parser("", about, backbones + _EXAMPLE)
    parser.add_argument("--version", action="version", version=f"{_INSTALLED} {__version__}")
    others = [name for name in (*parts("alignment"), *parts("standalone")) if name != "DaRec"]
    parser.add_argument(
        "--model",
        "-m",
        help=f"DaRec (default), {', '.join(others)}, {BARE} (no alignment), or a RecBole model",
    )
    parser.add_argument("--dataset", "-d", help="name of the dataset; default ml-100k")
    parser.add_argument(
        "--config_files", nargs="+", default=[], metavar="FILE", help="yaml files, later ones win"
    )
    return parser
