"""Exported vectors: inner products are the scores; a vector database can read them."""

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from recbole_darec.embedding.precomputed import load_embeddings
from recbole_darec.keys import ConfigError
from recbole_darec.load import load
from recbole_darec.recommend.export import export_vectors
from recbole_darec.recommend.recommender import Recommender


def read_npy(folder, side):
    return load_embeddings(folder / f"{side}.npy", "item_embedding_file")


def read_parquet(folder, side):
    table = pq.read_table(folder / f"{side}.parquet")
    return table["id"].to_pylist(), np.array(table["vector"].to_pylist())


@pytest.mark.parametrize(("kind", "read"), [("npy", read_npy), ("parquet", read_parquet)])
@pytest.mark.parametrize("model", ["DaRec", "BPR"])
def test_inner_products_are_the_scores(finished, tmp_path, model, kind, read):
    run = load(finished(model))
    files = export_vectors(run, tmp_path / "out", kind)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f.name for f in files)
    (users, u), (items, i) = read(tmp_path / "out", "users"), read(tmp_path / "out", "items")
    assert (users, items) == (list(run.user_ids[1:]), list(run.item_ids[1:]))
    scores = u @ i.T
    for row in Recommender(run).recommend(k=90).table.sample(50).to_dict(orient="records"):
        score = scores[users.index(row["user_id"]), items.index(row["item_id"])]
        assert score == pytest.approx(row["score"], abs=1e-5)


def test_a_part_of_the_alignment(finished, tmp_path):
    run = load(finished())
    export_vectors(run, tmp_path, "npy", "L shared")
    items = read_npy(tmp_path, "items")[1]
    expected = run.model.alignment.semantic_shared(run.model.alignment.items_side.table)
    np.testing.assert_allclose(items, expected[1:].detach(), atol=1e-6)


def test_rows_without_text_are_left_out_of_the_semantic_side(
    finished, item_texts, tmp_path, caplog
):
    run = load(finished(item_text_file=str(item_texts), item_template=None))
    caplog.clear()
    export_vectors(run, tmp_path / "C", "npy", "C shared")
    assert len(read_npy(tmp_path / "C", "items")[0]) == 90
    assert not caplog.text
    export_vectors(run, tmp_path / "L", "npy", "L shared")
    ids, rows = read_npy(tmp_path / "L", "items")
    side = run.model.alignment.items_side
    present = np.flatnonzero(side.present)
    assert ids == list(run.item_ids[present])
    assert len(ids) == 45
    expected = run.model.alignment.semantic_shared(side.table[present]).detach()
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert "45 of 90 items have no text: they are left out of 'L shared'" in caplog.text


def test_mistakes(finished, tmp_path):
    run = load(finished("BPR"))
    with pytest.raises(
        ConfigError, match="part 'L shared' does not exist; there are scored, C raw"
    ):
        export_vectors(run, tmp_path, "npy", "L shared")
    with pytest.raises(ConfigError, match="format 'csv' does not exist; expected one of npy"):
        export_vectors(run, tmp_path, "csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        export_vectors(run, tmp_path / "file")


def documented(library):
    """The code block of docs/recommend.md that imports a library."""
    page = Path(__file__).parents[2] / "docs" / "recommend.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
    return next(block for block in blocks if block.startswith(f"import {library}"))


@pytest.mark.parametrize("library", ["faiss", "hnswlib"])
def test_the_documented_search_finds_the_recommended_items(
    finished, tmp_path, monkeypatch, capsys, library
):
    pytest.importorskip(library, reason=f"{library} is not installed")
    export_vectors(finished(), tmp_path / "vectors")
    monkeypatch.chdir(tmp_path)
    exec(compile(documented(library), f"docs/recommend.md: {library}", "exec"), {})  # noqa: S102
    recommender = Recommender(finished())
    expected = recommender.recommend(recommender.user_ids[1], k=10, exclude="none").table
    assert capsys.readouterr().out.strip() == str(list(expected["item_id"]))
