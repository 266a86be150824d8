import gc
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_darec.embedding.table import ROWS
from recbole_darec.embedding.text import file_source, fill_template, template_source
from recbole_darec.inference.titles import item_titles
from recbole_darec.keys import ConfigError

TEMPLATE = "{movie_title}[ ({release_year})][. Genres: {class}]"


def test_template_texts(settings: dict[str, Any]) -> None:
    """An empty field takes its brackets along; 'NA' is a title; blanks are no text."""
    assert template_source(settings | {"item_template": TEMPLATE}, "item").as_dict() == {
        "7": "Toy Story (1995). Genres: Animation Comedy",
        "8": "Heat. Genres: Action",
        "9": "NA (1999)",
    }


def test_user_template(settings: dict[str, Any]) -> None:
    texts = template_source(settings | {"user_template": "A person of {age}"}, "user").as_dict()
    assert texts == {"anna": "A person of 30", "bert": "A person of 40"}


def test_seq_separator_becomes_a_space(settings: dict[str, Any], tmp_path: Any) -> None:
    file = tmp_path / "toy" / "toy.item"
    file.write_text("item_id:token\ttitle:token\tg:token_seq\n1\tx|y\ta|b\n")
    changed = settings | {"item_template": "{title}: {g}", "seq_separator": "|"}
    assert template_source(changed, "item").as_dict() == {"1": "x|y: a b"}
    assert item_titles(changed) == {"1": "x|y"}
    assert item_titles(changed, "g") == {"1": "a b"}


def test_of_rows_with_the_same_id_the_first_is_encoded_and_shown(
    settings: dict[str, Any], tmp_path: Any
) -> None:
    file = tmp_path / "toy" / "toy.item"
    file.write_text("item_id:token\ttitle:token_seq\n1\tfirst\n2\tother\n1\tsecond\n")
    expected = {"1": "first", "2": "other"}
    assert template_source(settings | {"item_template": "{title}"}, "item").as_dict() == expected
    assert item_titles(settings) == expected


def test_empty_field_outside_brackets_is_reported(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    template_source(settings | {"item_template": "{movie_title} {release_year}"}, "item").as_dict()
    assert "2 of 4 items have an empty 'release_year'" in caplog.text


def test_rows_that_a_quotation_mark_takes_in_are_reported(
    settings: dict[str, Any], tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """RecBole's reader and ours are pandas', which knows quotes."""
    head, changed = "item_id:token\tg:token_seq\n", settings | {"item_template": "{g}"}
    (tmp_path / "toy" / "toy.item").write_text(f'{head}1\t"""One"" of"\n2\ttwo "2"\n')
    assert template_source(changed, "item").as_dict() == {"1": '"One" of', "2": 'two "2"'}
    assert "spans several lines" not in caplog.text
    (tmp_path / "toy" / "toy.item").write_text(f'{head}1\tone\n2\t"two\n3\tthree"\n4\tfour\n')
    assert list(template_source(changed, "item").as_dict()) == ["1", "2", "4"]
    assert "a field spans several lines, e.g. of the ids ['2']. As in RecBole" in caplog.text


@pytest.mark.parametrize(
    ("template", "row", "text"),
    [
        ("{a} [literal] {b}", {"a": "x", "b": "y"}, "x [literal] y"),
        ("[{a} and {b}; ]{c}", {"a": "x", "b": " ", "c": "z"}, "z"),
        ("{a}", {"a": "[{b}]"}, "[{b}]"),
    ],
)
def test_fill_template(template: str, row: dict[str, str], text: str) -> None:
    assert fill_template(template, row) == text


@given(st.text(), st.text())
def test_values_are_never_read_as_template(first: str, second: str) -> None:
    filled = fill_template("<{a}|{b}>", {"a": first, "b": second})
    expected = f"<{first}|{second}>" if (first + second).strip() else ""
    assert filled == expected


def test_missing_field_names_the_nearest(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"'movie_tite' is not in .*toy\.item.*movie_title"):
        template_source(settings | {"item_template": "{movie_tite}"}, "item").as_dict()


def test_wrong_encoding(settings: dict[str, Any], tmp_path: Any) -> None:
    content = "item_id:token\tt:token_seq\n1\tAmélie\n".encode("latin-1")
    (tmp_path / "toy" / "toy.item").write_bytes(content)
    with pytest.raises(ConfigError, match=r"toy\.item cannot be read: .*; check 'encoding' and"):
        template_source(settings | {"item_template": "{t}"}, "item").as_dict()
    latin = settings | {"item_template": "{t}", "encoding": "ISO-8859-1"}
    assert template_source(latin, "item").as_dict() == {"1": "Amélie"}


def test_a_byte_order_mark_is_named(settings: dict[str, Any], tmp_path: Any) -> None:
    content = "item_id:token\tt:token_seq\n1\tAmélie\n"
    (tmp_path / "toy" / "toy.item").write_text(content, encoding="utf-8-sig")
    with pytest.raises(ConfigError, match=r"toy\.item begins with a byte order mark.*utf-8-sig"):
        template_source(settings | {"item_template": "{t}"}, "item").as_dict()
    told = settings | {"item_template": "{t}", "encoding": "utf-8-sig"}
    assert template_source(told, "item").as_dict() == {"1": "Amélie"}


def test_a_quotation_mark_that_nothing_closes(settings: dict[str, Any], tmp_path: Any) -> None:
    content = 'item_id:token\tt:token_seq\n1\t"Amélie\n2\tb\n'
    (tmp_path / "toy" / "toy.item").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="a field begins with a quotation mark that nothing clos"):
        template_source(settings | {"item_template": "{t}"}, "item").as_dict()


def test_items_go_without_titles_that_nobody_asked_for(
    settings: dict[str, Any], tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    content = "item_id:token\ttitle:token_seq\n1\tAmélie\n".encode("latin-1")
    (tmp_path / "toy" / "toy.item").write_bytes(content)
    assert item_titles(settings) == {}
    assert "Items go without titles: " in caplog.text
    assert "toy.item cannot be read" in caplog.text
    with pytest.raises(ConfigError, match=r"toy\.item cannot be read"):
        item_titles(settings, "title")
    assert item_titles(settings | {"encoding": "latin-1"}) == {"1": "Amélie"}


def test_an_empty_file_is_named(settings: dict[str, Any], tmp_path: Any) -> None:
    (tmp_path / "toy" / "toy.item").write_text("")
    with pytest.raises(ConfigError, match=r"'item_template': .*toy\.item is empty; its first line"):
        template_source(settings | {"item_template": "{t}"}, "item").as_dict()


@pytest.mark.parametrize(("last", "told"), [("2", False), ("1", True)])
def test_items_that_stand_twice_are_told(
    settings: dict[str, Any], tmp_path: Any, caplog: pytest.LogCaptureFixture, last: str, told: bool
) -> None:
    content = f"item_id:token\tt:token_seq\n1\ta\n{last}\tb\n"
    (tmp_path / "toy" / "toy.item").write_text(content)
    source = template_source(settings | {"item_template": "{t}"}, "item")
    source.as_dict()
    said = r"has more than one row for 1 items, of which the first counts, e.g. ids 1"
    assert (said in caplog.text) is told


def test_missing_file(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"absent\.item, which does not exist"):
        template_source(settings | {"item_template": "{a}", "dataset": "absent"}, "item").as_dict()


@pytest.mark.parametrize("template", ["no field", "{a} {", "{}"])
def test_malformed_template(settings: dict[str, Any], template: str) -> None:
    with pytest.raises(ConfigError, match="needs at least one field in braces"):
        template_source(settings | {"item_template": template}, "item").as_dict()


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_file_texts(
    settings: dict[str, Any], tmp_path: Any, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ids stay strings (leading zeros), empty texts are left out, the text column is found."""
    path = tmp_path / f"profiles.{suffix}"
    frame = pd.DataFrame({"item_id": ["007", "8", "9"], "profile": ["A spy", "", "Ünïcode, too"]})
    if suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True, force_ascii=False)
    elif suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    texts = file_source(settings | {"item_text_file": str(path)}, "item").as_dict()
    assert texts == {"007": "A spy", "9": "Ünïcode, too"}
    assert f"{path}: 1 ids have an empty text and are left out, e.g. 8" in caplog.text


def test_integer_ids_of_jsonl(settings: dict[str, Any], tmp_path: Any) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"item_id": i, "t": f"n{i}"}) + "\n" for i in (1, 2)))
    texts = file_source(settings | {"item_text_file": str(path)}, "item").as_dict()
    assert texts == {"1": "n1", "2": "n2"}


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_byte_order_mark(settings: dict[str, Any], tmp_path: Any, suffix: str) -> None:
    """What Windows' programs write before the first character."""
    path = tmp_path / f"t.{suffix}"
    text = "item_id,t\n1,a\n" if suffix == "csv" else '{"item_id": "1", "t": "a"}\n'
    path.write_text(text, encoding="utf-8-sig")
    assert file_source(settings | {"item_text_file": str(path)}, "item").as_dict() == {"1": "a"}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_lists_are_no_texts(settings: dict[str, Any], tmp_path: Any, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    frame = pd.DataFrame({"item_id": ["1", "2"], "t": [["a"], ["b", "c"]]})
    if suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    keys = {"item_text_file": str(path), "item_text_column": "t"}
    with pytest.raises(ConfigError, match="in 't' of 1, not a text; join it to one"):
        file_source(settings | keys, "item").as_dict()


def test_named_columns(settings: dict[str, Any], tmp_path: Any) -> None:
    path = tmp_path / "t.csv"
    path.write_text("who,a,b\nu1,x,y\n")
    changed = settings | {"user_text_file": str(path), "user_text_id_column": "who"}
    with pytest.raises(ConfigError, match="found a, b; set 'user_text_column'"):
        file_source(changed, "user").as_dict()
    assert file_source(changed | {"user_text_column": "b"}, "user").as_dict() == {"u1": "y"}
    with pytest.raises(ConfigError, match="no text column 'c'"):
        file_source(changed | {"user_text_column": "c"}, "user").as_dict()
    with pytest.raises(ConfigError, match="no id column 'user_id' .*; set 'user_text_id_column'"):
        file_source(changed | {"user_text_id_column": None}, "user").as_dict()
    path.write_text("user_id;a\nu1;x\n")
    with pytest.raises(ConfigError, match="columns: user_id;a.; separate them by commas"):
        file_source(changed | {"user_text_id_column": None}, "user").as_dict()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "item_id,t\n1,a\n1,b\n2,c\n", r"more than one text for 1 ids: 1; keep one row"),
        ("t.jsonl", '{"item_id": 1, "t": "a"}\n{broken\n', r"cannot be read: line 2 is no json"),
        (
            "t.jsonl",
            '{"item_id": 7, "t": "a"}\n{"item_id": null, "t": "b"}\n',
            r"t\.jsonl has a row without 'item_id': \{'t': 'b'\}; give it one, or leave",
        ),
        ("t.jsonl", '{"item_id": 7, "t": "a"}\n{"t": "b"}\n', "has a row without 'item_id'"),
        ("t.csv", "item_id,t\n1,a\n,b\n", "has a row without 'item_id'"),
        (
            "t.jsonl",
            '[{"item_id": "1"}, {"item_id": "2"}]',
            r"t\.jsonl .*: line 1 must be one object",
        ),
        ("t.csv", "", r"t\.csv cannot be read"),
        ("t.csv", b"item_id,t\n1,\xe9\n", r"t\.csv cannot be read: .*; save it as UTF-8$"),
        ("t.parquet", "junk", r"t\.parquet cannot be read"),
        ("t.xls", "junk", r"must end in \.jsonl, \.csv or \.parquet"),
    ],
)
def test_bad_text_file(
    settings: dict[str, Any], tmp_path: Any, name: str, content: str | bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError, match=message):
        file_source(settings | {"item_text_file": str(tmp_path / name)}, "item").as_dict()


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_whole_numbers_as_ids_stay_whole(
    settings: dict[str, Any], tmp_path: Any, suffix: str
) -> None:
    """Also beside a column of numbers with a gap, which pandas would make floats of."""
    table = pd.DataFrame({"item_id": [7, 1], "n": [3, None], "t": ["seven", "one"]}, dtype="object")
    path = tmp_path / f"t.{suffix}"
    if suffix == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.astype({"item_id": "Int64", "n": "Int64"}).to_parquet(path, index=False)
    changed = {"item_text_file": str(path), "item_text_column": "t"}
    assert file_source(settings | changed, "item").as_dict() == {"7": "seven", "1": "one"}


def test_texts_of_a_categorical_column(settings: dict[str, Any], tmp_path: Any) -> None:
    table = pd.DataFrame({"item_id": ["1", "2"], "t": pd.Categorical(["a", None])})
    table.to_parquet(tmp_path / "t.parquet", index=False)
    changed = {"item_text_file": str(tmp_path / "t.parquet"), "item_text_column": "t"}
    assert file_source(settings | changed, "item").as_dict() == {"1": "a"}


def test_absent_text_file(settings: dict[str, Any], tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=r"'item_text_file': the file .* does not exist"):
        file_source(settings | {"item_text_file": str(tmp_path / "no.csv")}, "item").as_dict()
    with pytest.raises(ConfigError, match=r"'item_text_file': .* is a folder; give the file"):
        file_source(settings | {"item_text_file": str(tmp_path)}, "item").as_dict()


def test_repeated_ids_are_found_across_pieces(settings: dict[str, Any], tmp_path: Any) -> None:
    rows = [f"{i},x\n" for i in range(ROWS + 10)]
    (tmp_path / "t.csv").write_text("item_id,t\n" + "".join([*rows, "7,y\n", "3,y\n"]))
    with pytest.raises(ConfigError, match=r"more than one text for 2 ids: 3, 7; keep"):
        file_source(settings | {"item_text_file": str(tmp_path / "t.csv")}, "item").as_dict()


def test_a_source_reads_alike_again_and_reports_once(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    source = template_source(settings | {"item_template": "{movie_title} {release_year}"}, "item")
    assert source.as_dict() == source.as_dict()
    assert caplog.text.count("have an empty 'release_year'") == 1


def test_the_first_of_two_rows_counts(settings: dict[str, Any], tmp_path: Any) -> None:
    (tmp_path / "toy" / "toy.item").write_text("item_id:token\tt:token\n1\ta\n2\tb\n1\tc\n")
    assert template_source(settings | {"item_template": "{t}"}, "item").as_dict() == {
        "1": "a",
        "2": "b",
    }


@pytest.mark.parametrize("kind", ["template", "separator", "jsonl", "csv", "parquet"])
def test_pieces_that_were_read_leave_memory_at_once(
    settings: dict[str, Any], tmp_path: Any, kind: str
) -> None:
    """Not only when Python next looks for cycles: with it off, few tables stay of many pieces."""
    table = pd.DataFrame({"item_id": range(6 * ROWS), "text": "a|b"}).astype(str)
    if kind in ("template", "separator"):
        named = table.set_axis(["item_id:token", "text:token_seq"], axis=1)
        named.to_csv(tmp_path / "toy" / "toy.item", sep="\t", index=False)
        separator = "|" if kind == "separator" else " "
        changed = {"item_template": "{text}", "seq_separator": separator}
        source = template_source(settings | changed, "item")
    else:
        path = tmp_path / f"texts.{kind}"
        write = {"csv": table.to_csv, "parquet": table.to_parquet}
        if kind == "jsonl":
            table.to_json(path, orient="records", lines=True)
        else:
            write[kind](path, index=False)
        source = file_source(settings | {"item_text_file": str(path)}, "item")
    gc.collect()
    gc.disable()
    try:
        known = _tables()
        left = [_tables() - known for _ in source]
    finally:
        gc.enable()
    assert len(left) >= 6
    assert max(left) == left[0]


def _tables() -> int:
    return sum(isinstance(thing, pd.DataFrame | pd.Series) for thing in gc.get_objects())
