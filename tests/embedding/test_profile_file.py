import json
import resource
from pathlib import Path

import pytest

from recbole_darec.embedding.profile_file import ProfileFile, made_profiles
from recbole_darec.keys import ConfigError


def test_append_reopen_forget(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "p.jsonl"
    with ProfileFile(path, "item_id") as file:
        file.append("7", "A toy.\nTwo lines, ünïcode", "openai:m", "d7")
        file.append("8", "Heat", "openai:m", "d8")
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [
        {
            "item_id": "7",
            "profile": "A toy.\nTwo lines, ünïcode",
            "made": {"by": "openai:m", "from": "d7"},
        },
        {"item_id": "8", "profile": "Heat", "made": {"by": "openai:m", "from": "d8"}},
    ]
    with ProfileFile(path, "item_id") as file:
        assert file.made == {"7": "d7", "8": "d8"}
        file.forget({"7", "8"})
        assert file.made == {}
        assert path.read_bytes().count(b"\n") == 2
        file.append("7", "Another toy", "openai:m", "e7")
        file.append("9", "Nine", "openai:m", "d9")
    assert made_profiles(path, "item_id") == {"8": "d8", "7": "e7", "9": "d9"}
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [row["profile"] for row in rows] == ["Heat", "Another toy", "Nine"]
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".tmp"] == []


def test_half_a_line_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with ProfileFile(path, "item_id") as file:
        file.append("7", "whole", "m", "d7")
        file.append("8", "to be torn", "m", "d8")
    whole, torn = path.read_bytes().splitlines(keepends=True)
    for cut in (1, 20, len(torn) - 1):
        path.write_bytes(whole + torn[:cut])
        assert made_profiles(path, "item_id") == {"7": "d7"}
        with ProfileFile(path, "item_id") as file:
            assert file.made == {"7": "d7"}
            file.append("8", "again", "m", "d8")
        assert made_profiles(path, "item_id") == {"7": "d7", "8": "d8"}


def test_the_last_line_of_an_id_counts(tmp_path: Path) -> None:
    """What a process killed (9) while it wrote profiles anew leaves behind."""
    path = tmp_path / "p.jsonl"
    lines = [
        json.dumps({"item_id": i, "profile": p, "made": {"by": "m", "from": d}}) + "\n"
        for i, p, d in (("7", "old", "d7"), ("8", "kept", "d8"), ("7", "new", "e7"))
    ]
    path.write_text("".join(lines))
    assert made_profiles(path, "item_id") == {"7": "e7", "8": "d8"}
    with ProfileFile(path, "item_id") as file:
        assert file.made == {"7": "e7", "8": "d8"}
        assert path.read_text() == "".join(lines[1:])


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with (
        ProfileFile(path, "item_id"),
        pytest.raises(ConfigError, match=r"another process is writing .*p\.jsonl"),
    ):
        ProfileFile(path, "item_id").__enter__()
    with ProfileFile(path, "item_id") as file:
        assert file.made == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"item_id": "7", "profile": "x"}\n', "line 1, is not a profile of this command"),
        ("junk\n", "line 1, is not a profile of this command"),
        ("[1]\n", "line 1, is not a profile of this command"),
        ('{"item_id": "7", "profile": "x"}', "line 1, is not a profile of this command"),
        ('[{"mine": "without an end of line"}]', "line 1, is not a profile of this command"),
        ("a,b\n1,2\n3,4", "line 1, is not a profile of this command"),
        (
            '{"item_id": "7", "profile": "x", "made": {"by": "m", "from": "d"}}\n{"mine": 1',
            "line 2, is not a profile of this command",
        ),
    ],
)
def test_another_file(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "p.jsonl").write_text(content)
    with pytest.raises(ConfigError, match=message):
        ProfileFile(tmp_path / "p.jsonl", "item_id").__enter__()
    assert (tmp_path / "p.jsonl").read_text() == content


def test_a_full_disk_is_told_and_leaves_whole_lines(tmp_path: Path) -> None:
    """A limit on the size of files fails writes as a full disk does: in part, then wholly."""
    path = tmp_path / "p.jsonl"
    size, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ProfileFile(path, "item_id") as file:
        file.append("7", "whole", "m", "d7")
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 30, hard))
        try:
            with pytest.raises(ConfigError, match=r"p\.jsonl cannot be written: File too large"):
                file.append("8", "too much", "m", "d8")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    assert path.read_bytes().count(b"\n") == 1
    with ProfileFile(path, "item_id") as file:
        assert file.made == {"7": "d7"}
        file.append("8", "again", "m", "d8")
    assert made_profiles(path, "item_id") == {"7": "d7", "8": "d8"}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--output: .* cannot be written"):
        ProfileFile(tmp_path / "file" / "p.jsonl", "item_id").__enter__()
