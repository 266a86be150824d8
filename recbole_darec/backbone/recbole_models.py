"""Which of RecBole's general recommenders can be a backbone, known before any data is read."""

from __future__ import annotations

SERVING = (
    "BPR",
    "ConvNCF",
    "DGCF",
    "ENMF",
    "LINE",
    "LightGCN",
    "NCL",
    "NGCF",
    "NeuMF",
    "SGL",
    "SimpleX",
    "SpectralCF",
)

# Their losses read items in their tables, whatever is made of them.
READING_TABLES = ("SimpleX",)
# Their scores are weighted products or a network's output, not inner products.
SCORING_OTHERWISE = ("ConvNCF", "ENMF", "NeuMF")

_REFUSED = {
    "it learns no embeddings at all": (
        *("ADMMSLIM", "AsymKNN", "EASE", "ItemKNN", "NCEPLRec", "Pop", "Random", "SLIMElastic"),
    ),
    "it has no tables of user and of item embeddings that could be aligned": (
        *("CDAE", "DMF", "DiffRec", "FISM", "GCMC", "LDiffRec", "MacridVAE", "MultiDAE"),
        *("MultiVAE", "NAIS", "RaCT", "RecVAE"),
    ),
    "its scores depend on more than one representation of each user and item": ("NNCF",),
}


def why_refused(model: str) -> str | None:
    """Why a model of RecBole cannot be a backbone; None if it can, or if this is not known.

    What is not known here, such as a model of a later RecBole, the adapter examines when it is
    built.
    """
    return next((reason for reason, models in _REFUSED.items() if model in models), None)
