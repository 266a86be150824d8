"""L_loc of DaRec."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recbole_darec.alignment.checks import require_same_shape
from recbole_darec.alignment.matching import MATCHINGS, match_centers


class LocalStructureLoss(nn.Module):
    """Matched preference centres are pulled together, the others pushed apart.

    After DaRec (arXiv 2408.08231), L_loc; its exact form is open in the text available to us.
    Ours: ``1/K sum_i (S_ii - 1)^2 + 1/(K^2 - K) sum_{i != j} S_ij^2``, where S_ij is the cosine
    between collaborative centre i and the semantic centre matched to collaborative centre j.

    Args:
        matching: see ``match_centers``.

    Raises:
        ValueError: if the matching is unknown.
    """

    def __init__(self, matching: str = "hungarian") -> None:
        super().__init__()
        if matching not in MATCHINGS:
            raise ValueError(f"matching {matching!r} is not one of {', '.join(MATCHINGS)}")
        self.matching = matching

    def forward(self, collaborative: Tensor, semantic: Tensor) -> Tensor:
        """Loss of two sets of centres in any order; the matching itself has no gradient.

        Args:
            collaborative: ``(K, d)``.
            semantic: ``(K, d)``.

        Raises:
            ValueError: if the shapes differ.
        """
        require_same_shape(("collaborative", collaborative), ("semantic", semantic))
        count = len(collaborative)
        if not count:
            return (collaborative.sum() + semantic.sum()) * 0.0
        matched = semantic[match_centers(collaborative, semantic, self.matching)]
        similarity = F.normalize(collaborative, dim=1) @ F.normalize(matched, dim=1).T
        diagonal = similarity.diagonal()
        pull = (diagonal - 1).square().mean()
        push = similarity.square().sum() - diagonal.square().sum()
        return pull + push / max(count * count - count, 1)
