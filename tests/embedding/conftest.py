from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai_server import KEY, OpenAIServer
from tiny_models import bert, decoder, llama

from recbole_darec.paths import properties_dir

__all__ = ["bert", "decoder", "llama"]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Defaults of the embedding room for a toy dataset with an item and a user file."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "toy.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "7\tToy Story\t1995\tAnimation Comedy\n"
        "8\tHeat\t\tAction\n"
        "9\tNA\t1999\t\n"
        "10\t\t\t\n",
        encoding="utf-8",
    )
    (folder / "toy.user").write_text(
        "user_id:token\tage:token\nanna\t30\nbert\t40\n", encoding="utf-8"
    )
    defaults = yaml.safe_load((properties_dir() / "embedding.yaml").read_text("utf-8"))
    return {
        **defaults,
        "dataset": "toy",
        "data_path": str(folder),
        "ITEM_ID_FIELD": "item_id",
        "USER_ID_FIELD": "user_id",
        "field_separator": "\t",
        "seq_separator": " ",
        "encoding": "utf-8",
        "embedding_dir": str(tmp_path / "store"),
        "device": "cpu",
    }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A running endpoint, and its key in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with OpenAIServer() as running:
        yield running
