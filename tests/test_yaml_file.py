"""Yaml and text files of the user's: what is read, and faults by file and line."""

import pytest

from recbole_darec.keys import ConfigError
from recbole_darec.yaml_file import config_files, read_text, read_yaml


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine.yaml"


def test_what_is_read(file):
    file.write_text("rate: 1e-3\nname: é\n", encoding="utf-8-sig")
    assert read_yaml(file, "file") == {"rate": 0.001, "name": "é"}
    file.write_bytes(b"a: 1\r\nb: [x]\r\n")
    assert read_yaml(str(file), "file") == {"a": 1, "b": ["x"]}
    file.write_text("# nothing yet\n")
    assert read_yaml(file, "file") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: [1\nc: 2\n", r"is not valid yaml: line 3: while parsing a flow sequence"),
        (b"a: 1\nb: 2: 3\n", "is not valid yaml: line 2: mapping values are not allowed here"),
        (b"a: 1\n\tb: 2\n", "is not valid yaml: line 2: while scanning for the next token"),
        (b"a: 1\nb: *x\n", "is not valid yaml: line 2: found undefined alias"),
        (b"a: !!python/name:os.system\n", "is not valid yaml: line 1: could not determine a cons"),
        (b"a: 1\nday: 2020-13-01\n", r"is not valid yaml: line 2: month must be in 1\.\.12"),
        (b"a: 1\nb: \x07\n", "is not valid yaml: line 2 holds U\+0007: special"),
        (b"a: 1\nb: caf\xe9\n", "cannot be read: line 2 is not UTF-8; save it as UTF-8 text"),
        (b"a: 1\nb: 2\na: 3\n", "is not valid yaml: line 3: key 'a' stands twice"),
        (b"a: {b: 1,\n b: 2}\n", "is not valid yaml: line 2: key 'b' stands twice"),
        (b"- a\n- b\n", "must hold 'key: value' lines, whose keys are words"),
        (b"1: a\n", "must hold 'key: value' lines, whose keys are words"),
    ],
)
def test_faults_are_named_with_file_and_line(file, content, message):
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^config file .*mine\.yaml {message}"):
        read_yaml(file, "config file")


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"list .*absent cannot be read: No such file"):
        read_text(tmp_path / "absent", "list")
    with pytest.raises(ConfigError, match="list .* cannot be read: Is a directory"):
        read_text(tmp_path, "list")


def test_config_files_may_stand_in_one_word_or_have_spaces_in_their_names(tmp_path):
    spaced = tmp_path / "my own.yaml"
    spaced.write_text("seed: 1")
    assert config_files(["a.yaml b.yaml", str(spaced), "c.yaml"]) == [
        "a.yaml",
        "b.yaml",
        str(spaced),
        "c.yaml",
    ]
