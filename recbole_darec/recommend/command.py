"""Sub-command ``recommend``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_darec.keys import ConfigError
from recbole_darec.moved import add_moved_arguments, moved

if TYPE_CHECKING:
    from recbole_darec.recommend.recommendations import Recommendations
    from recbole_darec.recommend.recommender import Recommender

DESCRIPTION = "Top-k items for users, or items similar to items, from a run folder."
EXAMPLE = """\
Examples:
  run_recbole_darec.py recommend saved/DaRec-ml-100k-... --users 196 22 --topk 5
  run_recbole_darec.py recommend saved/DaRec-ml-100k-... --all --output top10.parquet
  run_recbole_darec.py recommend saved/DaRec-ml-100k-... --users 196 --explain
  run_recbole_darec.py recommend saved/DaRec-ml-100k-... --similar_to 50
  run_recbole_darec.py recommend saved/DaRec-ml-100k-... --all --new_items films.jsonl --only_new
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add_moved_arguments(parser)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--users", nargs="+", metavar="ID", help="external ids of users")
    who.add_argument("--users_file", metavar="FILE", help="file of external ids, one a line")
    who.add_argument("--all", action="store_true", help="all users")
    who.add_argument(
        "--similar_to", "--similar-to", nargs="+", metavar="ITEM", help="items like these items"
    )
    parser.add_argument("--topk", "-k", type=_positive, default=10, help="default 10")
    parser.add_argument(
        "--exclude",
        choices=("all", "train_valid", "none"),
        help="what is not recommended: all that the user has interacted with (default; also "
        "what val_interval took out), the training and validation part (as RecBole's "
        "evaluation), or nothing",
    )
    parser.add_argument(
        "--skip_unknown", action="store_true", help="serve the rest where some ids are unknown"
    )
    parser.add_argument("--explain", action="store_true", help="add reasons to each item")
    parser.add_argument(
        "--new_items",
        metavar="FILE",
        help="items that were not in training take part: a file of ids and texts, as "
        "item_text_file (of vectors, as item_embedding_file, if the run's items have such)",
    )
    parser.add_argument("--item_text_id_column", metavar="NAME", help="of the ids in --new_items")
    parser.add_argument("--item_text_column", metavar="NAME", help="of the texts in --new_items")
    parser.add_argument("--only_new", action="store_true", help="rank nothing but the new items")
    parser.add_argument("--title", help="field of <dataset>.item, or '{field} ({other})'")
    parser.add_argument(
        "--output", "-o", metavar="FILE", help=".csv, .jsonl or .parquet; default the terminal"
    )


def main(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        ConfigError: for a user's mistake.
    """
    from recbole_darec.recommend.recommender import Recommender

    _check(args)
    users = _users(args)
    recommender = Recommender(args.run, args.title, **moved(args))
    if args.new_items:
        from recbole_darec.recommend.new_items import NewItems

        columns = args.item_text_id_column, args.item_text_column
        recommender.add_items(NewItems.from_file(recommender.run, args.new_items, *columns))
    if args.similar_to:
        result = recommender.similar(args.similar_to, args.topk, args.skip_unknown)
    else:
        result = recommender.recommend(
            users, args.topk, args.exclude or "all", args.skip_unknown, args.only_new
        )
    if result.skipped:
        print(f"skipped {len(result.skipped)} unknown: {_some(result.skipped)}", file=sys.stderr)
    if not len(result):
        print("nothing is left to recommend; --exclude says what is left out", file=sys.stderr)
    if args.explain:
        _explain(recommender, result, args.output)
    else:
        _put(result, args.output)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    from recbole_darec.recommend.recommendations import FORMATS

    if args.output and Path(args.output).suffix not in FORMATS:
        raise ConfigError(f"output {args.output} must end in {', '.join(FORMATS)}")
    for option in ("explain", "exclude", "only_new"):
        if args.similar_to and getattr(args, option):
            raise ConfigError(f"--{option} is about users; leave it out with --similar_to")
    if args.explain and args.new_items:
        raise ConfigError("--explain speaks of items that were in training; leave out --new_items")
    for option in ("only_new", "item_text_id_column", "item_text_column"):
        if getattr(args, option) and not args.new_items:
            raise ConfigError(f"--{option} needs --new_items FILE")


def _explain(recommender: Recommender, result: Recommendations, output: str | None) -> None:
    from recbole_darec.recommend.explainer import Explainer

    explainer = Explainer(recommender)
    explained = explainer.explain(result)
    if output:
        _put(explained, output)
        return
    for user, rows in explained.table.groupby("user_id", sort=False):
        history = explainer.history_of(str(user))
        print(f"user {user}\nhistory ({len(history)} items): {_some(history)}")
        for row in rows.to_dict(orient="records"):
            print(f"\n{row['rank']}. {row['item_id']} {row['title']}  score {row['score']:.4f}")
            for column in [name for name in rows.columns if name.startswith(("near", "center"))]:
                print(f"   {column.replace('_', ' ')}: {row[column] or 'none'}")
        print()


def _put(result: Recommendations, output: str | None) -> None:
    if output:
        print(f"{len(result)} rows in {result.write(output)}")
    else:
        print(result.text())


def _users(args: argparse.Namespace) -> list[str] | None:
    if args.users_file is None:
        given: list[str] | None = args.users
        return given
    try:
        lines = Path(args.users_file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"users_file {args.users_file} cannot be read: {error}") from error
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise ConfigError(f"users_file {args.users_file} holds no id")
    return ids


def _some(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)
