"""``embed profile``: profiles of items and users by a language model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_darec.keys import ConfigError

if TYPE_CHECKING:
    from recbole_darec.config import Config
    from recbole_darec.embedding.profiles import ProfilePlan, ProfileSurvey
    from recbole_darec.embedding.text_source import TextSource

_SHOWN_FAILURES = 10


def add_profile_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``embed profile``."""
    group = parser.add_argument_group("embed profile")
    group.add_argument("--side", choices=("item", "user"), default="item")
    group.add_argument(
        "--profile_model",
        metavar="NAME",
        help="openai:MODEL at api_base, or a causal model on the hub or in a folder",
    )
    group.add_argument("--prompt", type=Path, metavar="FILE", help="in place of the package's own")
    group.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="jsonl; default <embedding_dir>/profiles/<dataset>.<side>.jsonl",
    )
    group.add_argument(
        "--item_profiles",
        type=Path,
        metavar="FILE",
        help="profiles of items that prompts of users show; default the items' --output",
    )
    group.add_argument("--limit", type=int, metavar="N", help="only the first N")
    group.add_argument("--max_tokens", type=int, default=300, help="of an answer (default 300)")
    group.add_argument("--temperature", type=float, default=0.0, help="default 0")
    group.add_argument(
        "--accept_cut", action="store_true", help="keep answers that reach --max_tokens"
    )
    group.add_argument("--batch", type=int, default=8, help="prompts at once in a local model")
    group.add_argument(
        "--request_options",
        type=_json_object,
        default={},
        metavar="JSON",
        help="more entries of a request; null removes one: '{\"max_tokens\": null}'",
    )
    group.add_argument(
        "--replace",
        action="store_true",
        help="write profiles anew that another prompt, text or model has made",
    )


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a json object")
    return value


def refuse_profile_options(args: argparse.Namespace) -> None:
    """Refuse them where no profiles are to be written, as without them something else is done.

    Raises:
        ConfigError: naming the options that were given.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add_profile_arguments(parser)
    unset = vars(parser.parse_args([])).items()
    given = [f"--{name}" for name, value in unset if getattr(args, name) != value]
    if given:
        raise ConfigError(
            f"{', '.join(given)} belong to 'embed profile'; write that, or leave them out"
        )


def write(args: argparse.Namespace, config: Config) -> int:
    """Run ``embed profile``.

    Returns:
        0, or 1 if some profiles could not be written.

    Raises:
        ConfigError: for a user's mistake, or where the model fails.
    """
    from recbole_darec.embedding.generators import make_generator
    from recbole_darec.embedding.profile_engine import profile_engine
    from recbole_darec.embedding.profile_file import ProfileFile, made_profiles
    from recbole_darec.embedding.profiles import (
        ProfilePlan,
        survey_profiles,
        write_profiles,
    )
    from recbole_darec.embedding.prompt import PromptTemplate
    from recbole_darec.embedding.text import id_field

    _check(args)
    template = PromptTemplate(args.side, args.prompt)
    settings = config.final_config_dict
    generator = make_generator(args, settings)
    plan = ProfilePlan(_known(args, config), template, generator, args.limit)
    path, identifier = (
        args.output or _default_output(config, args.side),
        id_field(config, args.side),
    )
    if args.preview or args.dry_run:
        made = made_profiles(path, identifier)
        _show(plan, survey_profiles(plan, made, count=True), args, path)
        return 0
    with ProfileFile(path, identifier) as file:
        found = survey_profiles(plan, file.made, count=False)
        if found.stale and not args.replace:
            raise ConfigError(
                f"{len(found.stale)} profiles in {path} were made from another prompt, text or "
                "model; choose another --output, or --replace to write them anew"
            )
        file.forget(found.stale)
        n_open = found.open + len(found.stale)
        failed = write_profiles(plan, file, n_open, profile_engine(args, settings))
    print(f"{found.wanted - len(failed)} of {found.wanted} profiles: {path}")
    print(f"to train with them: {_keys_to_train(config, args.side, path)}")
    _report(failed)
    return 1 if failed else 0


def _keys_to_train(config: Config, side: str, path: Path) -> str:
    """The file, and its columns where the configuration names those of another file."""
    from recbole_darec.embedding.text import id_field

    given = [f"--{side}_text_file={path}"]
    if config[f"{side}_text_id_column"]:
        given.append(f"--{side}_text_id_column={id_field(config, side)}")
    if config[f"{side}_text_column"]:
        given.append(f"--{side}_text_column=profile")
    return " ".join(given)


def _check(args: argparse.Namespace) -> None:
    if not args.profile_model:
        raise ConfigError("--profile_model is missing: openai:MODEL, a name on the hub or a folder")
    for name, low in (("max_tokens", 1), ("batch", 1), ("limit", 1), ("temperature", 0)):
        value = getattr(args, name)
        if value is not None and value < low:
            raise ConfigError(f"--{name} is {value}; expected at least {low}")


def _default_output(config: Config, side: str) -> Path:
    return Path(config["embedding_dir"]) / "profiles" / f"{config['dataset']}.{side}.jsonl"


def _known(args: argparse.Namespace, config: Config) -> TextSource:
    from recbole_darec.embedding.profiles import item_metadata, user_data
    from recbole_darec.embedding.source import check_ids

    if args.side == "item":
        source = item_metadata(config)
        key = "item_text_file" if config["item_template"] is None else "item_template"
        print(f"what is known of the items: {source.name}", file=sys.stderr)
        print(check_ids(config, "item", key, source), file=sys.stderr)
        return source
    from recbole_darec.embedding.text import file_source
    from recbole_darec.embedding.text_table import TextTable
    from recbole_darec.embedding.training_part import training_part

    path = args.item_profiles or _default_output(config, "item")
    profiles: Mapping[str, str] = {}
    if args.item_profiles or path.is_file():
        keys = {
            "item_text_file": str(path),
            "item_text_id_column": None,
            "item_text_column": "profile",
        }
        profiles = TextTable(file_source({**config.final_config_dict, **keys}, "item"))
    print(f"prompts of users show {len(profiles)} profiles of items: {path}", file=sys.stderr)
    return user_data(config, training_part(config), profiles)


def _show(plan: ProfilePlan, found: ProfileSurvey, args: argparse.Namespace, path: Path) -> None:
    for _, request in zip(range(args.preview), plan.requests(), strict=False):
        print(f"--- {request.identity}\n{request.prompt.system}\n\n{request.prompt.user}")
    todo = found.open + len(found.stale)
    about = "" if plan.generator.counts_exactly else "about "
    print(
        f"{found.wanted} profiles, {found.wanted - todo} in {path}, {len(found.stale)} made from "
        f"another prompt, text or model\n"
        f"to write: {todo} profiles in {-(-todo // plan.generator.batch)} requests, "
        f"{about}{found.tokens} tokens to read, at most {todo * args.max_tokens} to write"
    )


def _report(failed: dict[str, str]) -> None:
    if not failed:
        return
    print(f"{len(failed)} profiles failed; the same command tries them again:", file=sys.stderr)
    for identity, problem in list(failed.items())[:_SHOWN_FAILURES]:
        print(f"  {identity}: {problem}", file=sys.stderr)
    if len(failed) > _SHOWN_FAILURES:
        print(f"  and {len(failed) - _SHOWN_FAILURES} more", file=sys.stderr)
