"""Sub-commands ``recommend`` and ``export``."""

import argparse

import numpy as np
import pandas as pd
import pytest

from recbole_darec.keys import ConfigError
from recbole_darec.load import load
from recbole_darec.moved import MOVABLE, moved
from recbole_darec.quick_start import run_recbole_darec
from recbole_darec.recommend import command, export_command


def call(module, *arguments):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.main(parser.parse_args([str(a) for a in arguments]))


def ids(data, count):
    inter = pd.read_csv(data / "small" / "small.inter", sep="\t", dtype=str)
    return list(inter["user_id:token"].unique()[:count])


def test_terminal(finished, small_data, capsys):
    users = ids(small_data, 2)
    assert call(command, finished(), "--users", *users, "--topk", 3) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line.startswith("user")] == [
        f"user {user}" for user in users
    ]
    assert shown.count("\n   1 ") + shown.count("\n    1 ") == 2


def test_a_file_of_users_to_a_file(finished, small_data, tmp_path, capsys):
    users = ids(small_data, 5)
    (tmp_path / "users.txt").write_text("\n".join(users) + "\n\n", encoding="utf-8-sig")
    out = tmp_path / "top.csv"
    call(command, finished(), "--users_file", tmp_path / "users.txt", "-k", 4, "-o", out)
    assert "20 rows in" in capsys.readouterr().out
    assert list(pd.read_csv(out, dtype=str)["user_id"].unique()) == users


def test_all_users_and_similar_items(finished, tmp_path, capsys):
    call(command, finished(), "--all", "-o", tmp_path / "all.parquet")
    assert pd.read_parquet(tmp_path / "all.parquet")["user_id"].nunique() == 60
    call(command, finished(), "--similar-to", "50", "-k", 2)
    assert "of item 50\n" in capsys.readouterr().out


def test_unknown_users_are_skipped_aloud(finished, small_data, capsys):
    users = ids(small_data, 1)
    with pytest.raises(ConfigError, match="unknown users: nobody"):
        call(command, finished(), "--users", "nobody", *users)
    call(command, finished(), "--users", "nobody", *users, "--skip_unknown")
    assert "skipped 1 unknown: nobody" in capsys.readouterr().err


def test_columns_of_new_items(finished, tmp_path):
    pd.DataFrame({"film": ["n1"], "plot": ["A quiet film"], "note": ["no"]}).to_csv(
        tmp_path / "new.csv", index=False
    )
    asked = (finished(), "--all", "--new_items", tmp_path / "new.csv", "--only_new")
    with pytest.raises(ConfigError, match="item_text_id_column"):
        call(command, *asked)
    named = ("--item_text_id_column", "film", "--item_text_column", "plot")
    call(command, *asked, *named, "-o", tmp_path / "top.csv")
    assert set(pd.read_csv(tmp_path / "top.csv")["item_id"]) == {"n1"}
    assert set(pd.read_csv(tmp_path / "top.csv")["title"]) == {"A quiet film"}
    with pytest.raises(ConfigError, match="--item_text_column needs --new_items"):
        call(command, finished(), "--all", "--item_text_column", "plot")


def test_nothing_left_to_recommend_is_said(tmp_path, capsys):
    rows = [
        f"{user}\t{item}\t{1 + (u + i) % 2 * 4}"
        for u, user in enumerate("abcdefgh")
        for i, item in enumerate("stuvwxyz")
    ]
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "all.inter").write_text(
        "\n".join(["user_id:token\titem_id:token\trating:float", *rows]) + "\n"
    )
    settings = {
        "data_path": str(tmp_path),
        "load_col": {"inter": ["user_id", "item_id", "rating"]},
        "val_interval": {"rating": "[3,inf)"},
        "checkpoint_dir": str(tmp_path / "saved"),
        "epochs": 1,
        "topk": 2,
        "valid_metric": "Recall@2",
        "state": "WARNING",
    }
    folder = run_recbole_darec("BPR", "all", config_dict=settings)["run_folder"]
    capsys.readouterr()
    call(command, folder, "--users", "a")
    assert "nothing is left to recommend; --exclude says" in capsys.readouterr().err
    call(command, folder, "--users", "a", "--exclude", "none")
    assert "nothing" not in capsys.readouterr().err


def test_explanations_on_the_terminal_and_in_a_file(finished, small_data, tmp_path, capsys):
    users = ids(small_data, 1)
    call(command, finished(), "--users", *users, "-k", 2, "--explain")
    shown = capsys.readouterr().out
    for words in ("history (", "near collaborative: ", "near semantic: ", "center: "):
        assert words in shown
    assert shown.count("near collaborative: ") == 2
    call(command, finished(), "--users", *users, "--explain", "-o", tmp_path / "why.jsonl")
    assert {"near_collaborative", "near_semantic", "center"} <= set(
        pd.read_json(tmp_path / "why.jsonl", lines=True).columns
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--all", "-o", "top.xlsx"], "must end in .csv"),
        (["--similar_to", "50", "--explain"], "--explain is about users"),
        (["--users_file", "nowhere.txt"], "users_file nowhere.txt cannot be read"),
    ],
)
def test_mistakes_are_named_before_the_run_is_loaded(arguments, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        call(command, tmp_path, *arguments)


def test_an_empty_file_of_users(tmp_path):
    (tmp_path / "users.txt").write_text("\n")
    with pytest.raises(ConfigError, match="holds no id"):
        call(command, tmp_path, "--users_file", tmp_path / "users.txt")


def test_topk_is_a_count(capsys):
    with pytest.raises(SystemExit):
        call(command, "run", "--all", "--topk", "0")
    assert "0 is not a whole number above 0" in capsys.readouterr().err


def test_data_that_moved(finished, tmp_path):
    """Where data are matters only to what needs them."""
    with pytest.raises(ConfigError, match="dataset 'small' does not exist"):
        call(command, finished(), "--all", "--explain", "--data_path", tmp_path)
    call(command, finished(), "--all", "--data_path", tmp_path)


def test_texts_that_moved(run, small_data, tmp_path):
    """Every key that a loaded run may be told anew is an option."""
    texts, moved_texts = tmp_path / "texts.jsonl", tmp_path / "elsewhere.jsonl"
    items = pd.read_csv(small_data / "small" / "small.item", sep="\t", dtype=str)
    rows = items[["item_id:token", "movie_title:token_seq"]].set_axis(["item_id", "text"], axis=1)
    rows.to_json(texts, orient="records", lines=True)
    folder = run(item_text_file=str(texts), item_template=None, epochs=1)["run_folder"]
    texts.rename(moved_texts)
    users = ids(small_data, 1)
    with pytest.raises(ConfigError, match=r"texts.jsonl does not exist"):
        call(command, folder, "--users", *users, "--explain")
    given = ("--item_text_file", moved_texts, "--use_gpu", "False")
    assert call(command, folder, "--users", *users, "--explain", *given) == 0


def test_each_movable_key_is_an_option():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    for name in MOVABLE:
        args = parser.parse_args(["run", "--all", f"--{name}", "value"])
        assert moved(args) == {name: "value"}


def test_export(finished, tmp_path, capsys):
    call(export_command, finished(), "--output", tmp_path, "--format", "parquet")
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "users.parquet"),
        str(tmp_path / "items.parquet"),
    ]


def test_export_of_a_part(finished, tmp_path):
    call(export_command, finished(), "--output", tmp_path, "--part", "L raw")
    call(export_command, finished(), "--output", tmp_path / "scored")
    side = load(finished()).model.alignment.items_side
    np.testing.assert_array_equal(np.load(tmp_path / "items.npy"), side.table[1:])
    assert np.load(tmp_path / "scored" / "items.npy").shape == (90, 16)


@pytest.mark.parametrize("title", ["release_year", "{class} of {release_year}"])
def test_titles_of_another_field(finished, small_data, tmp_path, title):
    out = tmp_path / "top.csv"
    call(command, finished(), "--users", *ids(small_data, 1), "--title", title, "-o", out)
    items = pd.read_csv(small_data / "small" / "small.item", sep="\t", dtype=str)
    fields = {column.partition(":")[0]: column for column in items}
    items = items.rename(columns={full: name for name, full in fields.items()})
    rows = items.set_index("item_id").to_dict(orient="index")
    template = title if "{" in title else f"{{{title}}}"
    table = pd.read_csv(out, dtype=str)
    assert len(table) == 10
    for item, shown in zip(table["item_id"], table["title"], strict=True):
        assert shown == template.format(**rows[item])


def test_new_items(finished, tmp_path, capsys):
    (tmp_path / "new.csv").write_text("item_id,text\nn1,A new film\nn2,Another one\n")
    out = tmp_path / "new_top.csv"
    call(command, finished(), "--all", "--new_items", tmp_path / "new.csv", "--only_new", "-o", out)
    table = pd.read_csv(out)
    assert set(table["item_id"]) == {"n1", "n2"}
    assert set(table["title"]) == {"A new film", "Another one"}
    with pytest.raises(ConfigError, match="--only_new needs --new_items"):
        call(command, finished(), "--all", "--only_new")
    with pytest.raises(ConfigError, match="leave out --new_items"):
        call(command, finished(), "--all", "--explain", "--new_items", tmp_path / "new.csv")


@pytest.mark.parametrize("option", [["--exclude", "all"], ["--only_new", "--new_items", "n.csv"]])
def test_what_is_about_users_is_refused_beside_similar_to(option, tmp_path):
    message = f"{option[0]} is about users; leave it out with --similar_to"
    with pytest.raises(ConfigError, match=message):
        call(command, tmp_path, "--similar_to", "50", *option)
