import json

import pandas as pd
import pytest
from finished_runs import copied, finished  # noqa: F401


@pytest.fixture(scope="session")
def item_texts(small_data, tmp_path_factory):
    """Texts of every second item of the small dataset alone."""
    items = pd.read_csv(small_data / "small" / "small.item", sep="\t", dtype=str)
    file = tmp_path_factory.mktemp("texts") / "half.jsonl"
    rows = items[["item_id:token", "movie_title:token_seq"]].to_numpy()[::2]
    file.write_text("".join(json.dumps({"item_id": i, "text": t}) + "\n" for i, t in rows))
    return file
