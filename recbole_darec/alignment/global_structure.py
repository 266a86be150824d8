"""L_glo of DaRec."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recbole_darec.alignment.checks import require_same_rows

NORMALIZERS = ("pairs", "rows")


class GlobalStructureLoss(nn.Module):
    """Squared Frobenius distance of the two sides' cosine similarity matrices.

    DaRec (arXiv 2408.08231), L_glo: ``1/N^2 ||S^C - S^L||_F^2`` over a sample of N rows. It is
    computed as ``||A^T A||^2 + ||B^T B||^2 - 2 ||A^T B||^2`` with A, B the normalised rows, so
    that no N x N matrix is formed.

    Args:
        normalizer: ``pairs`` divides by N^2, ``rows`` by N.

    Raises:
        ValueError: if the normaliser is unknown.
    """

    def __init__(self, normalizer: str = "pairs") -> None:
        super().__init__()
        if normalizer not in NORMALIZERS:
            raise ValueError(f"normalizer {normalizer!r} is not one of {', '.join(NORMALIZERS)}")
        self.normalizer = normalizer

    def forward(self, collaborative: Tensor, semantic: Tensor) -> Tensor:
        """Loss of one sample.

        Args:
            collaborative: ``(n, d)``.
            semantic: ``(n, d')``, the same rows; d' may differ from d.

        Raises:
            ValueError: if the numbers of rows differ.
        """
        require_same_rows(("collaborative", collaborative), ("semantic", semantic))
        n = len(collaborative)
        if not n:
            return (collaborative.sum() + semantic.sum()) * 0.0
        ours, theirs = F.normalize(collaborative, dim=1), F.normalize(semantic, dim=1)
        squared = (
            (ours.T @ ours).square().sum()
            + (theirs.T @ theirs).square().sum()
            - 2 * (ours.T @ theirs).square().sum()
        )
        return squared / (n * n if self.normalizer == "pairs" else n)
