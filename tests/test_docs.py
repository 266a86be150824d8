"""Documentation that is made from the code agrees with it, and its links lead somewhere."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_page_of_all_keys_is_up_to_date():
    spec = importlib.util.spec_from_file_location("maker", ROOT / "docs" / "make_configuration.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.PAGE.read_text("utf-8") == maker.page(), "run python docs/make_configuration.py"


def test_links_between_pages_lead_to_files():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
