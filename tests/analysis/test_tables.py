"""Tables: numbers equal SciPy's on the per-user values, groups sum to the whole."""

import numpy as np
import pytest
from scipy import stats

from recbole_darec.analysis.tables import (
    Measured,
    latex,
    summarise,
    to_latex,
    to_markdown,
    user_table,
)
from recbole_darec.keys import ConfigError
from recbole_darec.user_values import UserValues, top_k_values

N_USERS, K = 60, 5


def measured(model, seed, skill, dataset="d", first_user=0):
    """A run whose lists hit with probability ``skill``."""
    generator = np.random.default_rng([seed, int(100 * skill)])
    hits = generator.random((N_USERS, K)) < skill
    positives = np.full(N_USERS, K)
    values = [top_k_values(m, hits, positives)[:, -1] for m in ("recall", "ndcg")]
    users = UserValues(
        user_ids=np.array([f"u{i}" for i in range(first_user, first_user + N_USERS)]),
        user_interactions=np.arange(N_USERS),
        metrics=np.array([f"recall@{K}", f"ndcg@{K}"]),
        values=np.column_stack(values),
        items=generator.integers(1, 21, (N_USERS, K)),
        hits=hits,
        positives=positives,
        item_interactions=np.arange(21),
        item_tests=np.ones(21, dtype=int),
    )
    return Measured(dataset, model, seed, users)


@pytest.fixture(scope="module")
def runs():
    skills = {"good": 0.5, "base": 0.3}
    return [measured(name, seed, skill) for name, skill in skills.items() for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def summary(runs):
    return summarise(user_table(runs, cold=3), "base")


def row_of(summary, model, metric, group="all"):
    wanted = (summary[["model", "metric", "group"]] == [model, metric, group]).all(axis=1)
    (row,) = summary[wanted].to_dict("records")
    return row


def values_of(runs, model, column):
    """Values (n_seeds, n_users)."""
    return np.stack([run.users.values[:, column] for run in runs if run.model == model])


def test_numbers_are_scipys(runs, summary):
    for column, metric in enumerate((f"recall@{K}", f"ndcg@{K}")):
        ours, theirs = (values_of(runs, name, column) for name in ("good", "base"))
        row = row_of(summary, "good", metric)
        assert row["mean"] == pytest.approx(ours.mean())
        assert row["std"] == pytest.approx(ours.mean(axis=1).std(ddof=1))
        gain = 100 * (ours.mean() / theirs.mean() - 1)
        assert row["improvement_percent"] == pytest.approx(gain)
        over_users = ours.mean(axis=0), theirs.mean(axis=0)
        over_seeds = ours.mean(axis=1), theirs.mean(axis=1)
        greater = {"alternative": "greater"}
        wilcoxon = stats.wilcoxon(np.round(over_users[0] - over_users[1], 12), **greater).pvalue
        assert row["p_wilcoxon_users"] == pytest.approx(wilcoxon, rel=1e-6)
        student = stats.ttest_rel(*over_users, **greater).pvalue
        assert row["p_t_users"] == pytest.approx(student, rel=1e-6)
        assert row["p_t_seeds"] == pytest.approx(stats.ttest_rel(*over_seeds, **greater).pvalue)
        difference = over_users[0] - over_users[1]
        assert row["effect_size"] == pytest.approx(difference.mean() / difference.std(ddof=1))
        assert row["p_t_users_holm"] >= row["p_t_users"]


def test_the_better_model_is_significant_and_its_mirror_image_is_not(runs, summary):
    mirrored = summarise(user_table(runs), "good")
    assert row_of(summary, "good", f"recall@{K}")["p_wilcoxon_users_holm"] < 0.01
    assert row_of(mirrored, "base", f"recall@{K}")["p_wilcoxon_users_holm"] > 0.99


def test_groups_sum_to_the_whole(summary):
    for model in ("good", "base"):
        whole = row_of(summary, model, f"ndcg@{K}")
        mine = summary[(summary["model"] == model) & (summary["metric"] == f"ndcg@{K}")]
        items = mine[mine["grouping"] == "items"]
        assert set(items["group"]) == {"head", "mid", "tail", "cold"}
        assert items["mean"].sum() == pytest.approx(whole["mean"])
        users = mine[mine["grouping"] == "users"]
        assert users["n_users"].sum() == N_USERS
        weighted = (users["mean"] * users["n_users"]).sum() / N_USERS
        assert weighted == pytest.approx(whole["mean"])


def test_only_common_seeds_are_compared(runs):
    fewer = [run for run in runs if (run.model, run.seed) != ("base", 2)]
    row = row_of(summarise(user_table(fewer), "base"), "good", f"recall@{K}")
    assert row["n_seeds"] == 3
    ours = values_of(runs, "good", 0)[[0, 2]].mean(axis=0)
    theirs = values_of(fewer, "base", 0).mean(axis=0)
    p = stats.ttest_rel(ours, theirs, alternative="greater").pvalue
    assert row["p_t_users"] == pytest.approx(p)


def test_one_seed_has_no_p_value_over_seeds(runs):
    row = row_of(summarise(user_table(runs[::3]), "base"), "good", f"recall@{K}")
    assert np.isnan(row["p_t_seeds"])
    assert row["p_t_users"] < 0.05


def test_without_a_base_nothing_is_compared(runs):
    alone = summarise(user_table(runs))
    assert "p_t_users" not in alone
    assert "(" not in to_markdown(alone).split("### ")[0].split("p < 0.05.")[1]


def test_other_users_cannot_be_paired(runs):
    other = [*runs[:3], measured("base", 1, 0.3, first_user=5)]
    with pytest.raises(ConfigError, match="good and base were not tested on the same users of 'd'"):
        summarise(user_table(other), "base")


def test_an_unknown_base_is_named(runs):
    with pytest.raises(ConfigError, match="the base 'best' has no finished run; .*: base, good"):
        summarise(user_table(runs), "best")


def test_markdown_and_latex_show_the_same_cells(summary):
    row = row_of(summary, "good", f"ndcg@{K}")
    text, tex = to_markdown(summary), to_latex(summary)
    cell = f"{row['mean']:.4f} ± {row['std']:.4f} ({row['improvement_percent']:+.1f} %)*"
    assert cell in text
    assert cell.replace("±", r"$\pm$").replace("%", r"\%") in tex
    assert tex.count(r"\toprule") == 4
    assert f"{row['p_wilcoxon_users_holm']:.3g} & {row['p_t_users_holm']:.3g}" in tex
    assert "| wilcoxon users" in text.replace("|   ", "| ")


def test_an_insignificant_improvement_has_no_star():
    runs = [measured(name, 1, skill) for name, skill in (("near", 0.35), ("base", 0.3))]
    summary = summarise(user_table(runs), "base")
    row = row_of(summary, "near", f"ndcg@{K}")
    assert row["improvement_percent"] > 10
    assert row["p_wilcoxon_users_holm"] > 0.05
    cell = f"{row['mean']:.4f} ({row['improvement_percent']:+.1f} %)"
    for text, shown in ((to_markdown(summary), cell), (to_latex(summary), latex(cell))):
        assert shown in text
        assert f"{shown}*" not in text


def test_labels_are_valid_latex():
    label = "DaRec:loss={'a':1} & x^2 $5"
    escaped = r"DaRec:loss=\{'a':1\} \& x\textasciicircum{}2 \$5"
    assert latex(label) == escaped
    assert latex(r"~\_#%<>|±") == r"\textasciitilde{}\textbackslash{}\_\#\%$<$$>$$|$$\pm$"
    tex = to_latex(summarise(user_table([measured(label, 1, 0.5)])))
    assert f"\n{escaped} & " in tex
