"""L_or of DaRec."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recbole_darec.alignment.checks import require_same_shape


class OrthogonalityLoss(nn.Module):
    """Squared cosine between the specific and the shared part of each row, averaged.

    ``1/N sum_i cos(specific_i, shared_i)^2``: 0 where the parts are orthogonal, 1 where they are
    parallel. DaRec (arXiv 2408.08231), L_or, is the sum of this over the collaborative and the
    semantic side.
    """

    def forward(self, specific: Tensor, shared: Tensor) -> Tensor:
        """Loss of one side.

        Args:
            specific: ``(n, d)``.
            shared: ``(n, d)``, the same rows.

        Raises:
            ValueError: if the shapes differ or are not ``(n, d)``.
        """
        require_same_shape(("specific", specific), ("shared", shared))
        if not len(specific):
            return (specific.sum() + shared.sum()) * 0.0
        return F.cosine_similarity(specific, shared, dim=1).square().mean()
