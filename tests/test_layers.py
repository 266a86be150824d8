"""Packages import only what lies below them."""

from pathlib import Path

import pytest

import recbole_darec

PACKAGE = Path(recbole_darec.__file__).parent


@pytest.mark.parametrize(
    ("package", "above"),
    [
        ("embedding", ("experiment", "inference", "analysis", "recommend", "api")),
        ("inference", ("analysis", "recommend", "api")),
        ("analysis", ("recommend", "api")),
        ("recommend", ("api",)),
    ],
)
def test_nothing_is_imported_from_above(package, above):
    files = list((PACKAGE / package).glob("*.py"))
    assert files
    for file in files:
        for name in above:
            assert f"recbole_darec.{name}" not in file.read_text("utf-8"), file


def test_results_of_an_analysis_do_not_know_their_presentation():
    for name in ("analysis", "study", "structure", "sampling"):
        text = (PACKAGE / "analysis" / f"{name}.py").read_text("utf-8")
        assert not [m for m in ("report", "sections", "figures") if f"analysis.{m}" in text], name
