"""Which field of an item file holds labels."""

import numpy as np

from recbole_darec.analysis.labels import item_labels


def config(folder, text):
    if text:
        (folder / "x").mkdir()
        (folder / "x" / "x.item").write_text(text)
    return {
        "data_path": str(folder / "x"), "dataset": "x", "encoding": "utf-8",
        "field_separator": "\t", "seq_separator": " ", "ITEM_ID_FIELD": "item_id",
    }  # fmt: skip


def test_the_field_with_few_labels_is_chosen_and_read_by_internal_id(tmp_path):
    titles = "\n".join(f"i{n}\tw{n} v{n}\t{'A B' if n % 2 else 'B'}" for n in range(60))
    header = "item_id:token\ttitle:token_seq\tgenre:token_seq\n"
    labels = item_labels(config(tmp_path, header + titles), np.array(["[PAD]", "i3", "i2", "gone"]))
    assert (labels.field, labels.names) == ("genre", ("A", "B"))
    assert labels.matrix.tolist() == [[0, 0], [1, 1], [0, 1], [0, 0]]


def test_of_rows_with_the_same_id_the_first_counts(tmp_path):
    text = "item_id:token\tgenre:token_seq\na\tX\nb\tY\na\tY\n"
    labels = item_labels(config(tmp_path, text), np.array(["[PAD]", "a", "b"]))
    assert labels.matrix.tolist() == [[0, 0], [1, 0], [0, 1]]


def test_no_file_no_field_or_one_label_is_no_labels(tmp_path):
    ids = np.array(["[PAD]", "a"])
    assert item_labels(config(tmp_path, ""), ids) is None
    assert item_labels(config(tmp_path, "item_id:token\ttag:token_seq\na\tx\n"), ids) is None
    (tmp_path / "x" / "x.item").write_text("item_id:token\tyear:token\na\t1995\n")
    assert (
        item_labels(config(tmp_path / "..", "") | {"data_path": str(tmp_path / "x")}, ids) is None
    )


def test_a_file_that_cannot_be_read_is_no_labels(tmp_path, caplog):
    given = config(tmp_path, "item_id:token\ttag:token_seq\na\tx y\n")
    (tmp_path / "x" / "x.item").write_bytes(
        "item_id:token\ttag:token_seq\na\té y\n".encode("latin-1")
    )
    assert item_labels(given, np.array(["[PAD]", "a"])) is None
    assert "Items go without labels: " in caplog.text
