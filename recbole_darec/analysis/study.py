"""All measures of a run."""

from __future__ import annotations

import os
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from recbole_darec.analysis.analysis import Analysis
from recbole_darec.analysis.findings import findings
from recbole_darec.analysis.geometry import geometry, pair_distance
from recbole_darec.analysis.groups import ITEM_GROUPS, contributions, item_groups
from recbole_darec.analysis.held_out_pairs import HeldOutPairs
from recbole_darec.analysis.independence import hsic_test
from recbole_darec.analysis.information import (
    BOTH,
    FOLDS,
    INTERACTIONS,
    TEXT,
    Information,
    information,
    interaction_features,
    reduced,
)
from recbole_darec.analysis.information_gap import InformationGap
from recbole_darec.analysis.labels import item_labels
from recbole_darec.analysis.mutual_information import knn_mutual_information
from recbole_darec.analysis.preference import (
    PreferenceCenters,
    nearest_items,
    trained_centers,
)
from recbole_darec.analysis.probes import label_probe, modality_probe, number_probe
from recbole_darec.analysis.relevance import relevance, split_parts
from recbole_darec.analysis.representations import (
    RAW,
    SHARED,
    Representations,
    representations,
    with_texts,
)
from recbole_darec.analysis.sampling import sample
from recbole_darec.analysis.similarity import cross_correlation, linear_cka
from recbole_darec.analysis.structure import structure
from recbole_darec.inference.history import history_matrix
from recbole_darec.inference.titles import item_titles
from recbole_darec.keys import ConfigError
from recbole_darec.load import Run, load
from recbole_darec.moved import check_moved
from recbole_darec.user_values import FILE_NAME, UserValues

CKA_ROWS, KERNEL_ROWS, LEAST_ROWS = 4000, 400, 10
_TITLES = 5


def analyze(run: Run | str | os.PathLike[str], seed: int = 0, **moved: Any) -> Analysis:
    """Measure what the alignment of a run has learnt; on a CPU, in seconds to minutes.

    Args:
        run: a loaded run, or the path of its folder.
        seed: of samples of rows, folds, permutations and k-means.
        moved: as for ``load``, where ``run`` is a path.

    Raises:
        ConfigError: if the run cannot be loaded, its model has no user and item vectors, or fewer
            than 10 users or items, or 2 test interactions, have every representation, or fewer
            than 5 users have test interactions.
    """
    check_moved(run, moved)
    run = run if isinstance(run, Run) else load(run, **moved)
    after, pairs = representations(run.model), HeldOutPairs.of_test(run.loaders, seed)
    _require_rows(after)
    _require_pairs(after, pairs)
    before = representations(run.untrained_model())
    titles = item_titles(run.config)
    named = np.array([titles.get(i) or i for i in run.item_ids], dtype=object)
    tables = _tables(run, after, pairs, seed)
    centers = None
    if after.disentangled:
        anchored = RAW[1:] if run.config["anchor"] == "raw" else ()
        tables["structure"] = structure(before, after, seed, (SHARED[1], *anchored))
        centers = trained_centers(after, run.config, seed)
        tables |= _centers(centers, after, named)
    if (run.folder.path / FILE_NAME).is_file():
        tables["groups"] = _groups(run)
    kept = {name: table for name, table in tables.items() if len(table)}
    return Analysis(run, before, after, kept, tuple(findings(kept)), centers, named)


def _tables(
    run: Run, after: Representations, pairs: HeldOutPairs, seed: int
) -> dict[str, pd.DataFrame]:
    """What can be said of any trained model, as far as it has the blocks."""
    popularity = np.asarray(history_matrix(run.loaders[:1]).sum(axis=0)).ravel()
    of_texts = with_texts(after, run.dataset) if "L raw" in after.names else after
    measured = _information(run, of_texts, popularity, pairs, seed)
    losses = pd.DataFrame(run.metrics.get("train_losses") or []).rename_axis("epoch")
    tables = {
        "run": _run(run),
        "results": _results(run),
        "shape": _shape(after),
        "pairs": _pairs(after, seed),
        "interaction": _interaction(after, pairs),
        "probes": _probes(run, after, popularity, seed),
        "information": measured.table,
        "losses": losses.reset_index(),
    }
    if "L raw" in after.names:
        tables["modality"] = _modality(after, seed)
        tables["information_gap"] = _gap(measured)
    if set(after.names) - set(RAW):
        tables["relevance"] = relevance(of_texts, measured, seed)
    return tables


def _require_rows(blocks: Representations) -> None:
    for kind, _, present in _kinds(blocks):
        if len(present) < LEAST_ROWS:
            raise ConfigError(
                f"{len(present)} {kind} have every representation; an analysis needs {LEAST_ROWS}: "
                "give it a run with more data or texts"
            )


def _require_pairs(blocks: Representations, pairs: HeldOutPairs) -> None:
    users = len(np.unique(pairs.users))
    if users < FOLDS:
        raise ConfigError(
            f"{users} users have test interactions; an analysis needs {FOLDS}: give it a run with "
            "more data, or a split that tests more users"
        )
    for label, what in ((1, "interactions"), (0, "pairs that did not interact")):
        count = int((_known(blocks, pairs) & (pairs.labels == label)).sum())
        if count < 2:
            raise ConfigError(
                f"{count} test {what} are of a user and an item that have every representation; "
                "an analysis needs 2: give it a run with more data or texts"
            )


def _known(blocks: Representations, pairs: HeldOutPairs) -> np.ndarray:
    """Which pairs are of a user and an item that have every representation."""
    of_both: np.ndarray = np.isin(pairs.users, blocks.user_rows)
    return of_both & np.isin(pairs.items, blocks.item_rows)


def _run(run: Run) -> pd.DataFrame:
    names = ("model", "backbone", "dataset", "seed", "best_epoch")
    return pd.DataFrame([{name: run.metrics.get(name) for name in names}])


def _results(run: Run) -> pd.DataFrame:
    test, valid = (run.metrics.get(k) or {} for k in ("test_result", "best_valid_result"))
    names = list(test) or list(valid)
    rows = {"metric": names, "validation": [valid.get(n) for n in names]}
    return pd.DataFrame({**rows, "test": [test.get(n) for n in names]})


def _kinds(blocks: Representations) -> list[tuple[str, dict[str, np.ndarray], np.ndarray]]:
    return [
        ("users", blocks.users, blocks.user_rows),
        ("items", blocks.items, blocks.item_rows),
    ]


def _shape(blocks: Representations) -> pd.DataFrame:
    rows = []
    for kind, parts, present in _kinds(blocks):
        for name, part in parts.items():
            found = geometry(part[sample(present, CKA_ROWS, 0)])
            rows.append({"kind": kind, "block": name, **vars(found), "verdict": found.verdict})
    return pd.DataFrame(rows)


def _pairs(blocks: Representations, seed: int) -> pd.DataFrame:
    rows = []
    for kind, parts, present in _kinds(blocks):
        many, few = sample(present, CKA_ROWS, seed), sample(present, KERNEL_ROWS, seed)
        for first, second in combinations(parts, 2):
            test = hsic_test(parts[first][few], parts[second][few], seed=seed)
            rows.append(
                {
                    "kind": kind,
                    "first": first,
                    "second": second,
                    "cka": linear_cka(parts[first][many], parts[second][many]),
                    "cross_correlation": cross_correlation(parts[first][many], parts[second][many]),
                    "hsic": test.statistic,
                    "hsic_p": test.p_value,
                    "mutual_information": knn_mutual_information(
                        parts[first][many], parts[second][many]
                    ),
                }
            )
    return pd.DataFrame(rows)


def _interaction(blocks: Representations, pairs: HeldOutPairs) -> pd.DataFrame:
    known = _known(blocks, pairs)
    rows = []
    for name in blocks.names:
        distances = {}
        for label, column in ((1, "test_pairs"), (0, "other_pairs")):
            chosen = known & (pairs.labels == label)
            users, items = pairs.users[chosen], pairs.items[chosen]
            distances[column] = pair_distance(blocks.users[name][users], blocks.items[name][items])
        rows.append({"block": name, **distances})
    return pd.DataFrame(rows)


def _probes(run: Run, blocks: Representations, popularity: np.ndarray, seed: int) -> pd.DataFrame:
    rows, present = [], sample(blocks.item_rows, CKA_ROWS, seed)
    labels = item_labels(run.config, run.item_ids)
    for name, items in blocks.items.items():
        part = items[present]
        row: dict[str, Any] = {"block": name}
        row["popularity_r2"] = number_probe(part, np.log1p(popularity[present]), seed)
        if labels is not None:
            row[f"{labels.field}_auc"] = _label_auc(part, labels.matrix[present], seed)
        rows.append(row)
    return pd.DataFrame(rows)


def _label_auc(part: np.ndarray, labels: np.ndarray, seed: int) -> float:
    try:
        return label_probe(part, labels, seed=seed)
    except ValueError:  # no label has enough items
        return float("nan")


def _modality(blocks: Representations, seed: int) -> pd.DataFrame:
    rows = []
    for first, second in combinations(blocks.names, 2):
        for kind, parts, present in _kinds(blocks):
            one, other = (parts[name][sample(present, CKA_ROWS, seed)] for name in (first, second))
            if first[0] != second[0] and one.shape == other.shape:
                auc = modality_probe(one, other, seed)
                rows.append({"kind": kind, "first": first, "second": second, "auc": auc})
    return pd.DataFrame(rows)


def _information(
    run: Run, blocks: Representations, popularity: np.ndarray, pairs: HeldOutPairs, seed: int
) -> Information:
    interactions = interaction_features(run.loaders)
    sources = {INTERACTIONS: [interactions]}
    parts = split_parts(blocks)
    if parts.pop("L raw", None):
        text = reduced(blocks.users["L raw"], blocks.items["L raw"])
        sources |= {TEXT: [text], BOTH: [interactions, text]}
    for name, of in parts.items():
        sources[name] = [reduced(blocks.users[block], blocks.items[block]) for block in of]
    return information(sources, popularity, pairs, seed)


def _gap(measured: Information) -> pd.DataFrame:
    gap = InformationGap.of(measured, INTERACTIONS, TEXT, BOTH)
    return pd.DataFrame([{**vars(gap), "verdict": gap.verdict}])


def _centers(
    centers: PreferenceCenters, blocks: Representations, named: np.ndarray
) -> dict[str, pd.DataFrame]:
    cosines = centers.similarity()
    numbers = np.arange(1, len(cosines) + 1)
    columns: dict[str, Any] = {
        "center": numbers,
        "cosine": np.diag(cosines),
        "collaborative_size": centers.sizes[0],
        "semantic_size": centers.sizes[1],
    }
    for side, rows, name in (
        ("collaborative", centers.collaborative, "C shared"),
        ("semantic", centers.semantic, "L shared"),
    ):
        nearest = nearest_items(rows, blocks.items[name], blocks.item_rows, _TITLES)
        columns[f"{side}_titles"] = ["; ".join(map(str, named[row])) for row in nearest]
    pairs = {
        "collaborative_center": np.repeat(numbers, len(numbers)),
        "semantic_center": np.tile(numbers, len(numbers)),
        "cosine": cosines.ravel(),
    }
    return {
        "centers": pd.DataFrame(columns),
        "center_cosines": pd.DataFrame(pairs),
        "agreement": pd.DataFrame(
            [{"agreement": centers.agreement, "by_chance": centers.agreement_by_chance}]
        ),
    }


def _groups(run: Run) -> pd.DataFrame:
    values = UserValues.load(run.folder.path)
    groups = item_groups(values.item_interactions)
    parts = contributions(values, groups)
    rows = []
    for group in [name for name in ITEM_GROUPS if name in parts]:
        members = groups[1:] == group
        row: dict[str, Any] = {"group": group, "items": int(members.sum())}
        row["test_share"] = float(values.item_tests[1:][members].sum() / values.item_tests.sum())
        row |= dict(zip(map(str, values.metrics), parts[group].mean(axis=0), strict=True))
        rows.append(row)
    return pd.DataFrame(rows)
