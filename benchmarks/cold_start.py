"""Items held out of training entirely, ranked by their text alone.

    python benchmarks/cold_start.py DATA_PATH DATASET OUTPUT [--fraction 0.1] [--key=value ...]

Removes a share of the items from the interactions, trains, and ranks the removed items among
themselves for every user who had some of them. The dataset needs a yaml in properties/dataset/.
Writes OUTPUT/cold_start.csv.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from sklearn.preprocessing import normalize

from recbole_darec.embedding.text import template_source
from recbole_darec.inference.history import history_matrix
from recbole_darec.inference.vectors import scored_vectors
from recbole_darec.load import Run, load
from recbole_darec.paths import properties_dir
from recbole_darec.quick_start import run_recbole_darec
from recbole_darec.recommend.new_items import NewItems, new_item_vectors

COLD = "cold-"
K = 20
NEIGHBORS = (5, 10, 20, 50)
SPACES = {"raw": "raw text", "shared": "semantic shared part"}


def hold_out(source: Path, name: str, target: Path, fraction: float, seed: int) -> pd.DataFrame:
    """Copy a dataset without the interactions of some items; return those interactions.

    The copy has another name: RecBole reads ``ml-100k`` from its wheel whatever data_path says.
    """
    cold = COLD + name
    folder = target / cold
    folder.mkdir(parents=True, exist_ok=True)
    inter = pd.read_csv(source / name / f"{name}.inter", sep="\t", dtype=str)
    for side in ("item", "user"):
        file = source / name / f"{name}.{side}"
        if file.is_file():
            shutil.copyfile(file, folder / f"{cold}.{side}")
    known = pd.read_csv(source / name / f"{name}.item", sep="\t", dtype=str)["item_id:token"]
    items = np.array(sorted(set(inter["item_id:token"]) & set(known)))
    chosen = np.random.default_rng(seed).choice(items, int(fraction * len(items)), replace=False)
    held = inter["item_id:token"].isin(chosen)
    inter[~held].to_csv(folder / f"{cold}.inter", sep="\t", index=False)
    return inter.loc[held, ["user_id:token", "item_id:token"]].drop_duplicates()


def scorers(run: Run, new: NewItems, users: np.ndarray) -> dict[str, np.ndarray]:
    """Scores ``(n_users, m)`` of the new items by each method."""
    vectors = scored_vectors(run.model)[0].cpu().numpy()[users]
    raw = run.dataset.side_embeddings(run.dataset.iid_field).numpy()[0]
    cosines = normalize(raw) @ normalize(new.vectors).T
    history = history_matrix(run.loaders)[users]
    found = {
        "random": np.random.default_rng(0).random((len(users), len(new.ids))),
        "raw text, mean cosine with the history": history @ cosines / history.sum(axis=1),
    }
    whole = run.model.represent(new.vectors)
    if whole is not None:
        rows = whole.detach().cpu().numpy()
        return found | {"the model's own vector of the text": vectors @ rows.T}
    for space, words in SPACES.items():
        for count in NEIGHBORS:
            rows = new_item_vectors(run, new, count, space)
            found[f"{words}, mean of {count} neighbours' vectors"] = vectors @ rows.T
    own = run.model.alignment.beside(run.model.backbone(), new.vectors)
    if own is not None:
        width = own.shape[1]
        found["the text's own columns alone"] = vectors[:, -width:] @ own.detach().cpu().numpy().T
        rest = new_item_vectors(run, new)[:, :-width]
        found["the other columns alone, raw text, 20 neighbours"] = vectors[:, :-width] @ rest.T
    return {name: np.asarray(scores) for name, scores in found.items()}


def metrics(scores: np.ndarray, relevant: np.ndarray) -> dict[str, float]:
    """Mean over users of Recall@20 and NDCG@20 with binary relevance, and standard errors."""
    top = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    hits = np.take_along_axis(relevant, top, axis=1)
    counts = relevant.sum(axis=1)
    discounts = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(discounts)[np.minimum(counts, K) - 1]
    values = {"recall@20": hits.sum(axis=1) / counts, "ndcg@20": hits @ discounts / ideal}
    row = {}
    for name, value in values.items():
        row |= {name: value.mean(), f"{name} s.e.": value.std() / np.sqrt(len(value))}
    return row


def main() -> None:
    """Hold out, train, rank, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_path", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="DaRec")
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", help="run folder of an earlier call, to be measured again")
    args, keys = parser.parse_known_args()
    for kind in ("inter", "item"):
        file = args.data_path / args.dataset / f"{args.dataset}.{kind}"
        if not file.is_file():
            parser.error(f"there is no {file}: items are held out of whole interactions")
    data = args.output / "data"
    held = hold_out(args.data_path, args.dataset, data, args.fraction, args.seed)
    folder = args.run
    if folder is None:
        given = yaml.safe_load((properties_dir() / "dataset" / f"{args.dataset}.yaml").read_text())
        given |= {"data_path": str(data), "checkpoint_dir": str(args.output / "saved")}
        result = run_recbole_darec(args.model, COLD + args.dataset, None, given, command_line=keys)
        folder = result["run_folder"]
    run = load(folder)
    texts = template_source(run.config, "item").as_dict()
    ids = sorted(held["item_id:token"].unique())
    new = NewItems.from_texts(run, {i: texts[i] for i in ids if i in texts})
    users = sorted(set(held["user_id:token"]) & set(run.user_ids[1:]))
    rows = {user: row for row, user in enumerate(run.user_ids)}
    relevant = pd.crosstab(held["user_id:token"], held["item_id:token"])
    relevant = relevant.reindex(index=users, columns=new.ids, fill_value=0).to_numpy(dtype=bool)
    scores = scorers(run, new, np.array([rows[user] for user in users]))
    table = pd.DataFrame([{"method": n, **metrics(s, relevant)} for n, s in scores.items()])
    table.to_csv(args.output / "cold_start.csv", index=False)
    print(f"{len(users)} users, {len(new.ids)} held-out items; {run}")
    print(table.to_string(index=False, float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
