from pathlib import Path

import pandas as pd
import pytest

from recbole_darec.embedding.table import first_rows, read_pieces
from recbole_darec.keys import ConfigError


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_pieces_together_are_the_file(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame(
        {"id": [f"{i:03}" for i in range(10)], "t": [f"text {i}" for i in range(10)]}
    )
    path = tmp_path / f"t.{suffix}"
    if suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    pieces = list(read_pieces(path, "item_text_file", rows=4))
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert pd.concat(pieces, ignore_index=True).astype(object).equals(frame.astype(object))
    assert first_rows(path, "item_text_file")["id"].tolist() == frame["id"].tolist()


def test_an_index_of_pandas_is_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "t": ["x", "y"]})
    frame.set_index("id").to_parquet(tmp_path / "t.parquet")
    assert first_rows(tmp_path / "t.parquet", "item_text_file")["id"].tolist() == ["a", "b"]


def test_a_row_that_is_longer_than_the_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("item_id,text\n1,a,b\n2,c\n")
    with pytest.raises(ConfigError, match="a row .of '1'. has more fields than the header; put"):
        first_rows(tmp_path / "t.csv", "item_text_file")


def test_a_file_without_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("item_id,text\n")
    with pytest.raises(ConfigError, match=r"'item_text_file': .*t\.csv holds no rows"):
        first_rows(tmp_path / "t.csv", "item_text_file")
