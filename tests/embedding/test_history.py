from typing import Any

import numpy as np
import pytest

from recbole_darec.embedding.history import TrainingInteractions, check_history, history_source
from recbole_darec.embedding.source import check_source, history_item_source, side_source
from recbole_darec.keys import ConfigError

USERS = np.array(["[PAD]", "anna", "bert", "cleo", "dora"])
ITEMS = np.array(["[PAD]", "7", "8", "9", "10"])
TITLES = {"7": "Toy Story", "8": "Heat", "9": "NA"}


def interactions(times: bool = True) -> TrainingInteractions:
    """Anna: 7, 8, 9, 8 again; Bert: 10, which has no title; Cleo: 9 and 8 at once."""
    rows = [(1, 1, 10), (1, 2, 40), (3, 3, 5), (1, 3, 30), (2, 4, 50), (3, 2, 5), (1, 2, 20)]
    users, items, when = (np.array(column) for column in zip(*rows, strict=True))
    return TrainingInteractions(users, items, when if times else None, USERS, ITEMS)


def texts(settings: dict[str, Any], given: TrainingInteractions, **keys: Any) -> dict[str, str]:
    keys = {"user_history_template": "Saw {history}.", "seed": 1} | keys
    return history_source(settings | keys, given, TITLES).as_dict()


def test_most_recent_first_each_item_once(settings: dict[str, Any]) -> None:
    assert texts(settings, interactions()) == {
        "anna": "Saw Heat; NA; Toy Story.",
        "cleo": "Saw Heat; NA.",
    }


def test_cap_and_separator(settings: dict[str, Any]) -> None:
    got = texts(settings, interactions(), user_history_items=2, user_history_separator=" | ")
    assert got == {"anna": "Saw Heat | NA.", "cleo": "Saw Heat | NA."}


def test_random_order_is_drawn_by_seed(settings: dict[str, Any]) -> None:
    many = TrainingInteractions(
        np.ones(30, dtype=int), np.arange(1, 31), None, USERS, np.arange(31).astype(str)
    )
    titles = {str(i): str(i) for i in range(31)}
    keys = {"user_history_template": "{history}", "user_history_order": "random"}

    def drawn(seed: int) -> list[str]:
        source = history_source(settings | keys | {"seed": seed}, many, titles)
        assert source.as_dict() == source.as_dict()
        return source.as_dict()["anna"].split("; ")

    assert len(set(drawn(1))) == 20
    assert drawn(1) == drawn(1)
    assert set(drawn(1)) != set(drawn(2))


def test_no_interaction_with_a_title(settings: dict[str, Any]) -> None:
    nothing = TrainingInteractions(np.array([2]), np.array([4]), np.array([1]), USERS, ITEMS)
    assert texts(settings, nothing) == {}


def test_no_times(settings: dict[str, Any]) -> None:
    settings["TIME_FIELD"] = "timestamp"
    with pytest.raises(ConfigError, match="the interactions have no 'timestamp'; load it, or set"):
        texts(settings, interactions(times=False))


def test_mistakes_before_data_are_loaded(settings: dict[str, Any]) -> None:
    settings |= {"load_col": {"inter": ["user_id", "item_id"]}, "TIME_FIELD": "timestamp"}
    settings["item_template"] = "{movie_title}"
    settings["user_history_template"] = "No place for items"
    with pytest.raises(ConfigError, match=r"must contain \{history\} once"):
        check_history(settings)
    settings["user_history_template"] = "{history}"
    with pytest.raises(ConfigError, match=r"leaves out 'timestamp': load it, .*'timestamp'\]"):
        check_source(settings, "user", "user_history_template")
    check_history(settings | {"user_history_order": "random"})
    check_history(settings | {"load_col": None})
    check_history(settings | {"load_col": {"inter": "*"}})
    wrong = settings | {"user_history_order": "random", "user_history_item": "{titel}"}
    with pytest.raises(ConfigError, match=r"'titel' is not in .* correct 'user_history_item'"):
        check_source(wrong, "user", "user_history_template")


def test_what_stands_for_an_item(settings: dict[str, Any]) -> None:
    settings["item_template"] = "{movie_title}[ ({release_year})]"
    assert history_item_source(settings).as_dict()["7"] == "Toy Story (1995)"
    assert history_item_source(settings | {"user_history_item": "{class}"}).as_dict() == {
        "7": "Animation Comedy",
        "8": "Action",
    }
    with pytest.raises(ConfigError, match="needs texts of the items: set 'user_history_item'"):
        history_item_source(settings | {"item_embedding_file": "v.npy"})


def test_one_source_alone(settings: dict[str, Any]) -> None:
    settings["user_history_template"] = "{history}"
    assert side_source(settings, "user") == "user_history_template"
    for other in ("user_template", "user_text_file", "user_embedding_file"):
        with pytest.raises(ConfigError, match=f"(?=.*{other})(?=.*history).*are both set"):
            side_source(settings | {other: "x"}, "user")
