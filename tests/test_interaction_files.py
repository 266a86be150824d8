"""Headers of RecBole's files of interactions."""

import re

import pytest

from recbole_darec.config import Config
from recbole_darec.data.preparation import create_dataset
from recbole_darec.embedding.dataset_ids import interaction_ids
from recbole_darec.interaction_files import are_empty, check_headers, interaction_files
from recbole_darec.keys import ConfigError

SOUND = b"user_id:token\titem_id:token\ttimestamp:float\n1\t2\t3\n"


@pytest.fixture
def written(tmp_path):
    """The configuration of a dataset whose file of interactions holds some bytes."""

    def written(content, **keys):
        (tmp_path / "shop").mkdir(exist_ok=True)
        (tmp_path / "shop" / "shop.inter").write_bytes(content)
        keys = {"data_path": str(tmp_path), "load_col": None, "eval_args": {}, **keys}
        return Config("BPR", "shop", config_dict={**keys, "topk": [1], "valid_metric": "MRR@1"})

    return written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"user_id:token,item_id:token\n1,2\n",
            r"has a column 'user_id:token,item_id:token'; .*'\\t'",
        ),
        (
            b"user_id\titem_id\n1\t2\n",
            "has a column 'user_id'; columns are .* named name:type, with",
        ),
        (
            b"user_id:token\titem_id:int\n1\t2\n",
            "'item_id:int'.* of token, float, token_seq, float_se",
        ),
        (
            b"user:token\titem_id:token\n1\t2\n",
            "no column 'user_id'; its columns are user, item_id: rename one, or",
        ),
        (b"\xef\xbb\xbf" + SOUND, "begins with a byte order mark, .*: set --encoding=utf-8-sig"),
        (b"", "the first line of .*shop.inter has a column ''"),
    ],
)
def test_a_header_that_recbole_cannot_use_is_shown_by_training_and_by_encoding(
    written, content, message
):
    config = written(content)
    with pytest.raises(ConfigError, match=message):
        create_dataset(config)
    with pytest.raises(ConfigError, match=message):
        interaction_ids(config, "item")


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (SOUND, {}),
        (b"\xef\xbb\xbf" + SOUND, {"encoding": "utf-8-sig"}),
        (SOUND.replace(b"\t", b","), {"field_separator": ","}),
        (SOUND.replace(b"user_id", b"who"), {"USER_ID_FIELD": "who"}),
        (SOUND.replace(b"\n", b"\r\n"), {}),
    ],
)
def test_sound_headers_pass(written, content, keys):
    config = written(content, **keys)
    check_headers(config)
    assert not are_empty(config)
    assert len(create_dataset(config).inter_feat) == 1


def test_a_value_that_is_no_number_is_named(written):
    with pytest.raises(
        ConfigError, match="column timestamp:float .*A value of that column is no num"
    ):
        create_dataset(written(SOUND.replace(b"3", b"2020-01-02")))


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_a_header_alone_is_not_blamed_on_filters(written, end):
    config = written(SOUND.splitlines()[0] + end, val_interval={"timestamp": "[1,2]"})
    assert are_empty(config)
    with pytest.raises(ConfigError, match="'shop' is empty: its files hold no interactions$"):
        create_dataset(config)


def test_a_blank_line_before_the_rows_is_no_end(written):
    assert not are_empty(written(SOUND.replace(b"\n", b"\n\n", 1)))


def test_the_files_of_a_split(written, tmp_path):
    config = written(SOUND, benchmark_filename=["train", "valid", "test"])
    names = [path.name for path in interaction_files(config)]
    assert names == ["shop.train.inter", "shop.valid.inter", "shop.test.inter"]
    assert not are_empty(config)


@pytest.mark.parametrize("field", ["timestamp", "year", "age"])
@pytest.mark.parametrize("values", [[3, 4], ["a", 1], []])
def test_a_list_of_numbers_is_no_interval(written, tmp_path, field, values):
    config = written(SOUND, val_interval={field: values})
    for side, column in (("item", "year"), ("user", "age")):
        content = f"{side}_id:token\t{column}:float\n1\t2\n"
        (tmp_path / "shop" / f"shop.{side}").write_text(content)
    with pytest.raises(ConfigError, match=re.escape(f"of '{field}' is {values}, a list, but the")):
        create_dataset(config)


def test_a_list_of_ids_is_kept(written):
    kept = create_dataset(written(SOUND, val_interval={"item_id": ["2"]}))
    assert len(kept.inter_feat) == 1


@pytest.mark.parametrize(
    ("keys", "told"),
    [({}, True), ({"rm_dup_inter": "first"}, False), ({"repeatable": True}, False)],
)
def test_pairs_that_stand_twice_are_told(written, caplog, keys, told):
    caplog.clear()
    create_dataset(written(SOUND + b"1\t2\t4\n1\t5\t4\n", **keys))
    assert ("1 of 3 interactions of 'shop' repeat an earlier one" in caplog.text) is told
