from pathlib import Path

import pytest

from recbole_darec.embedding.prompt import Prompt, PromptTemplate
from recbole_darec.keys import ConfigError


def template(tmp_path: Path, content: str, side: str = "item") -> PromptTemplate:
    (tmp_path / "p.txt").write_text(content, encoding="utf-8")
    return PromptTemplate(side, tmp_path / "p.txt")


def test_two_messages(tmp_path: Path) -> None:
    made = template(tmp_path, "Do this.\nAnd that.\n---\nItem: {text}\n").fill("Heat {text}")
    assert made == Prompt("Do this.\nAnd that.", "Item: Heat {text}")


def test_one_message_and_literal_braces(tmp_path: Path) -> None:
    made = template(tmp_path, 'As json {"a": {}}:\n{history}', "user").fill("- Heat")
    assert made == Prompt("", 'As json {"a": {}}:\n- Heat')


@pytest.mark.parametrize(
    ("content", "side"),
    [
        ("Nothing to fill", "item"),
        ("{history}", "item"),
        ("{text}", "user"),
        ("{text} of {titel}", "item"),
        ("About {text}\n---\nno place here", "item"),
    ],
)
def test_a_file_without_its_place(tmp_path: Path, content: str, side: str) -> None:
    place = {"item": "text", "user": "history"}[side]
    with pytest.raises(ConfigError, match=rf"p\.txt must hold {{{place}}}, below the line '---'"):
        template(tmp_path, content, side)


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--prompt: .*no\.txt cannot be read"):
        PromptTemplate("item", tmp_path / "no.txt")


@pytest.mark.parametrize("side", ["item", "user"])
def test_the_packages_own_prompts(side: str) -> None:
    prompt = PromptTemplate(side).fill("DATA")
    assert "one paragraph" in prompt.system
    assert "DATA" in prompt.user


def test_digest_tells_everything_apart() -> None:
    digests = {
        Prompt("a", "b").digest({"model": "m"}),
        Prompt("a", "c").digest({"model": "m"}),
        Prompt("ab", "").digest({"model": "m"}),
        Prompt("a", "b").digest({"model": "n"}),
        Prompt("a", "b").digest({"model": "m", "temperature": 1.0}),
    }
    assert len(digests) == 5
    assert Prompt("a", "b").digest({"x": 1, "y": 2}) == Prompt("a", "b").digest({"y": 2, "x": 1})
