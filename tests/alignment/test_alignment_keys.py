"""Every registered alignment: yaml, declared keys, search space and docs agree."""

import ast
from pathlib import Path

import pytest
import yaml

from recbole_darec.registry import parts

ALIGNMENTS = sorted(parts("alignment"))


@pytest.fixture(params=ALIGNMENTS)
def part(request):
    return parts("alignment")[request.param]


def test_yaml_gives_each_declared_key_a_valid_default_and_a_comment(part):
    text = part.properties().read_text()
    defaults, keys = yaml.safe_load(text), part.load().keys
    assert set(defaults) == set(keys)
    for name, key in keys.items():
        key.check(name, defaults[name])
    for line in text.splitlines():
        assert not line or "# " in line


def test_search_space_lies_in_the_declared_ranges(part):
    loaded = part.load()
    assert loaded.search_space
    for name, values in loaded.search_space.items():
        kind, _, choices = values.partition(" ")
        assert kind == "choice"
        for value in ast.literal_eval(choices):
            loaded.keys[name].check(name, value)


def test_each_term_of_the_method_is_on_by_default(part):
    defaults = yaml.safe_load(part.properties().read_text())
    assert "alignment_weight" in part.load().keys
    for weight in part.load().term_weights.values():
        assert 0 < defaults[weight] <= 1


def test_docs_tell_of_it(part):
    docs = Path(__file__).parents[2] / "docs" / "method.md"
    assert part.name in docs.read_text()
