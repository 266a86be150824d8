"""Files that are written whole or not at all."""

import pytest

from recbole_darec.atomic import replacing


@pytest.mark.parametrize("before", [None, "old"])
def test_the_content_appears_at_the_end_and_whole(tmp_path, before):
    file = tmp_path / "a.json"
    if before:
        file.write_text(before)
    with replacing(file) as temporary:
        temporary.write_text("ne")
        assert temporary.parent == tmp_path
        assert (file.read_text() if before else file.exists()) == (before or False)
        temporary.write_text("new")
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path, error):
    file = tmp_path / "a.json"
    file.write_text("old")

    def write():
        with replacing(file) as temporary:
            temporary.write_text("half of the ne")
            raise error("no space left")

    with pytest.raises(error, match="no space left"):
        write()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_written_is_an_error_of_the_path(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_have_files_of_their_own(tmp_path):
    file = tmp_path / "a"
    with replacing(file) as first, replacing(file) as second:
        first.write_text("first")
        second.write_text("second")
    assert file.read_text() == "first"
