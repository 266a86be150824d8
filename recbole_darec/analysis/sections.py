"""The report's sections: what is asked, figures with how to read them, tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from recbole_darec.analysis import figures
from recbole_darec.analysis.analysis import Analysis


@dataclass(frozen=True)
class Section:
    """One section of the report.

    Attributes:
        key: name of the section in links and file names.
        title: its heading.
        text: what it asks and how to read it.
        tables: names of the tables that it shows.
        caption: how to read the figure; empty without one.
        draw: makes the figure of an analysis, None without one.
        needs: tables without which there is no figure.
    """

    key: str
    title: str
    text: str
    tables: tuple[str, ...] = ()
    caption: str = ""
    draw: Callable[[Analysis], Figure] | None = None
    needs: tuple[str, ...] = ()

    def figure(self, analysis: Analysis) -> Figure | None:
        """The section's figure, where it has one and the analysis has what it shows."""
        if self.draw is None or any(name not in analysis.tables for name in self.needs):
            return None
        return self.draw(analysis)

    def concerns(self, analysis: Analysis) -> bool:
        """Whether the analysis has anything to show here."""
        return any(name in analysis.tables for name in (*self.tables, *self.needs))


SECTIONS = (
    Section("results", "Results", "RecBole's metrics of the best epoch.", ("results",)),
    Section(
        "losses",
        "Losses",
        "Sum over the batches of an epoch, weighted as they were trained.",
        (),
        "Each panel is one term of the loss over epochs, on its own scale. A term that stays flat "
        "was not learnt; one that rises is being traded for another.",
        lambda analysis: figures.losses(analysis.tables["losses"]),
        ("losses",),
    ),
    Section(
        "maps",
        "Maps of the parts",
        "C is the collaborative side, L the semantic one (text).",
        (),
        "t-SNE of both sides in one map each (cosine; distances between far clusters and the "
        "axes mean nothing). Shared parts whose colours mix lie in one space; colours apart mean "
        "that the two sides agree at most in structure. Specific parts should stay apart.",
        lambda analysis: figures.maps(analysis.after),
        ("structure",),
    ),
    Section(
        "structure",
        "Similarity structure before and after training",
        "DaRec's global term pulls similarity matrices together: those of the two sides' shared "
        "parts or, with anchor: raw (the default), that of C shared to that of L raw, the text "
        "after embedding_transform. Correlation is that of the two matrices' entries above the "
        "diagonal.",
        ("structure",),
        "Cosines between the same users and items, in the same order (by likeness of the trained "
        "collaborative shared part) in all panels. After training both sides should show the same "
        "blocks; before, they need not.",
        figures.similarity,
        ("structure",),
    ),
    Section(
        "centers",
        "Preference centres",
        "K-means on each side's shared parts, users and items together (with anchor: raw the "
        "semantic clusters are found on L raw, as in training); centres are means of shared parts, "
        "matched as in training and named by the items with the highest cosine. Agreement is the "
        "share of users and items whose clusters on both sides are a matched pair.",
        ("agreement", "centers"),
        "Cosine of each collaborative centre (row) with each semantic one (column), in matched "
        "order. A red diagonal on a pale ground: matched centres agree and the others are told "
        "apart.",
        figures.centers,
        ("centers",),
    ),
    Section(
        "pairs",
        "Dependence between blocks",
        "Linear CKA (1: equal up to rotation and scale), root mean square cross-correlation, HSIC "
        "with its permutation p-value, and mutual information of three leading principal "
        "components (nats, k nearest neighbours; noise makes it slightly negative at "
        "independence). Specific and shared parts of one side should depend little on each other, "
        "shared parts of both sides much. With these sample sizes HSIC finds weak dependence too: "
        "read its size, not only its p-value; no correction for the number of pairs is made. CKA "
        "and HSIC are left empty where all rows of a block are equal.",
        ("pairs",),
        "Linear CKA of every pair of blocks, users left and items right; darker is more alike.",
        lambda analysis: figures.pairs(analysis.tables["pairs"]),
        ("pairs",),
    ),
    Section(
        "shape",
        "Shape and collapse",
        "Effective rank (how many dimensions are in use), mean cosine of different rows (near 1: "
        "all point the same way), and Wang and Isola's uniformity (lower is more evenly spread). "
        "Below, the mean squared distance on the unit sphere of users and items that interacted "
        "in the test part, and of pairs that did not.",
        ("shape", "interaction"),
    ),
    Section(
        "probes",
        "Leakage: what a linear probe tells",
        "Popularity (share of the variance of the logarithm of training interactions), labels such "
        "as genres (area under the ROC curve, 0.5 is chance), from the items' rows; on rows that "
        "the probe was not fitted on. Below, how well a probe tells the side from which a row "
        "comes: 0.5 means that both lie on top of each other.",
        ("probes", "modality"),
    ),
    Section(
        "information",
        "Information about held-out interactions",
        "Lower bounds on I(D; Y): how much better a logistic regression on products of the user's "
        "and the item's coordinates predicts held-out interactions than guessing, for users that "
        "it was not fitted on. Interactions (SVD) and text are the user's own data before any "
        "training; the rest are blocks of the trained model. DaRec's Theorem 1 says that making "
        "both sides equal loses at least the true gap between the two; bounds only estimate it. "
        "Text, here also as L raw, is the encoder's own vectors, whatever embedding_transform. "
        "Relevance: which share of its raw side's nats and of its raw side's variance (by a linear "
        "probe) a block keeps; more of the variance than of the nats means that it keeps what is "
        "irrelevant to interaction, as far as this probe sees; it sees C raw best, whose products "
        "are the model's scores. All of "
        "the variance means that nothing is dropped, as with an encoder of one layer as wide as "
        "its input.",
        ("information_gap", "information", "relevance"),
        "Bars are nats about who interacted with what, whiskers two standard errors over users. "
        "Blue: collaborative, orange: text. If interactions + text does not reach above "
        "interactions, alignment has nothing to add but regularisation.",
        lambda analysis: figures.information(analysis.tables["information"]),
        ("information",),
    ),
    Section(
        "groups",
        "Metrics by popularity",
        "What hits on items of each popularity group contribute to each metric; the groups' "
        "contributions sum to the metric.",
        ("groups",),
        "Share of the test interactions (green) and of the metric (blue) by group. Where blue "
        "stays below green, the model serves these items worse than their share.",
        lambda analysis: figures.groups(analysis.tables["groups"]),
        ("groups",),
    ),
)
