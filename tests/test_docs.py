"""Documentation that is made from the code agrees with it, and its links lead somewhere."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from recbole_darec.cli import _COMMANDS, _new_parser, _parser

ROOT = Path(__file__).parent.parent


def test_the_page_of_all_keys_is_up_to_date():
    spec = importlib.util.spec_from_file_location("maker", ROOT / "docs" / "make_configuration.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.PAGE.read_text("utf-8") == maker.page(), "run python docs/make_configuration.py"


@pytest.mark.parametrize("command", [*_COMMANDS, None])
def test_every_option_stands_in_the_docs(command):
    parser = _new_parser("", "", "") if command else _parser()
    if command:
        importlib.import_module(_COMMANDS[command]).add_arguments(parser)
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    for action in parser._actions:
        options = [option for option in action.option_strings if option != "-h"]
        assert not options or any(
            re.search(rf"(?<![\w-]){option}(?!\w)", text) for option in options
        ), f"no page speaks of {options}"


def test_links_between_pages_lead_to_files():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
