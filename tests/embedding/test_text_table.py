import gc
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_darec.embedding.history import TrainingInteractions
from recbole_darec.embedding.profiles import user_data
from recbole_darec.embedding.source import text_source
from recbole_darec.embedding.text_source import TextSource
from recbole_darec.embedding.text_table import TextTable
from recbole_darec.keys import ConfigError


def source_of(*batches: list[tuple[str, str]]) -> TextSource:
    return TextSource(lambda _: iter(batches), "some texts")


# Lone surrogates too: files with broken bytes hold them.
ANY = st.text(st.characters(exclude_categories=()), max_size=5)


@given(st.lists(st.tuples(ANY, ANY), max_size=20), ANY)
def test_is_the_dictionary_of_its_source(pairs: list[tuple[str, str]], absent: str) -> None:
    source = source_of(pairs[:7], pairs[7:])
    table, expected = TextTable(source), source.as_dict()
    assert dict(table) == expected
    assert len(table) == len(expected)
    assert (absent in table) == (absent in expected)
    assert {identity: table[identity] for identity in expected} == expected


def test_a_copy_reads_the_file_that_goes_with_the_original() -> None:
    table = TextTable(source_of([("a", "A text")]))
    folder = Path(table._folder.name)
    copy = pickle.loads(pickle.dumps(table))
    assert copy["a"] == "A text"
    del copy
    assert folder.is_dir()
    del table
    assert not folder.exists()


def test_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: bool) -> Any:
        table._connection.execute("PRAGMA max_page_count=4")
        yield [(str(i), "x" * 5000) for i in range(10)]

    table = TextTable.__new__(TextTable)
    with pytest.raises(ConfigError, match=r"some texts: cannot be kept in .*full.*TMPDIR"):
        table.__init__(TextSource(full, "some texts"))  # type: ignore[misc]


@pytest.mark.parametrize("of", ["history", "profiles"])
def test_what_users_texts_are_made_of_stays_on_disk(settings: dict[str, Any], of: str) -> None:
    count, size = 10_000, 500
    ids = [str(i) for i in range(count)]
    lines = "".join(f"{i}\t{i} ".ljust(size, "x") + "\n" for i in ids)
    file = Path(settings["data_path"]) / "toy.item"
    file.write_text("item_id:token\ttitle:token_seq\n" + lines)
    keys = {"user_history_template": "Saw {history}.", "item_template": "{title}", "seed": 1}
    rows = np.arange(1, count)
    names = np.array(["[PAD]", *ids])
    given = TrainingInteractions(rows, rows, rows, names, names)

    def make() -> TextSource:
        if of == "history":
            return text_source(settings | keys, "user", "user_history_template", given)
        return user_data(settings | keys, given, {})

    make()
    tracemalloc.start()
    source = make()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < count * size / 10
    assert f"{'Saw' if of == 'history' else '-'} 7 xxx" in dict(next(iter(source)))["7"]
