"""The two contrastive losses of RLMRec, as its code computes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recbole_darec.alignment.checks import require_same_shape
from recbole_darec.backbone.contrast import mean_log_sum_exp
from recbole_darec.gather import row_dot


class InfoNCELoss(nn.Module):
    """Mean of ``-log(exp(<a, p>/T) / sum_c exp(<a, c>/T))`` over anchors a with positive p.

    Rows are divided by ``sqrt(1e-8 + ||row||^2)``, as in RLMRec's ``cal_infonce_loss``.

    Args:
        temperature: T.

    Raises:
        ValueError: if the temperature is not positive.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = _positive(temperature)

    def forward(
        self,
        anchors: Tensor,
        positives: Tensor,
        candidates: Tensor,
        anchor_counts: Tensor | None = None,
        candidate_counts: Tensor | None = None,
    ) -> Tensor:
        """Loss; 0 where there is no anchor.

        Rows that stand several times are given once, with their count: the loss is that of the
        repeated rows, at the cost of the distinct ones.

        Args:
            anchors: ``(n, d)``.
            positives: ``(n, d)``.
            candidates: ``(m, d)``, the positives among them.
            anchor_counts: how often each anchor, with its positive, stands in the mean, ``(n,)``.
            candidate_counts: how often each candidate stands in the sum, ``(m,)``.

        Raises:
            ValueError: if anchors and positives differ in shape, or there are not as many counts
                as rows.
        """
        require_same_shape(("anchors", anchors), ("positives", positives))
        if not len(anchors):
            return (anchors.sum() + positives.sum()) * 0.0
        ours, theirs = _unit(anchors) / self.temperature, _unit(candidates)
        alike = row_dot(ours, _unit(positives))
        weights = torch.ones_like(alike) if anchor_counts is None else anchor_counts.to(alike)
        if candidate_counts is not None:
            if candidate_counts.shape != candidates.shape[:1]:
                raise ValueError(
                    f"{len(candidates)} candidates but counts of shape "
                    f"{tuple(candidate_counts.shape)}"
                )
            # n exp(a c) = exp(a c + 1 log n): the counts are one more column.
            ours = F.pad(ours, (0, 1), value=1.0)
            theirs = torch.cat((theirs, candidate_counts.to(theirs).log()[:, None]), 1)
        negative = mean_log_sum_exp(ours, theirs, weights)
        return negative - (weights * alike).sum() / weights.sum()


class ReconstructionLoss(nn.Module):
    """InfoNCE of reconstructions against their targets, the other targets being negatives.

    ``-log(share + 1e-8)``, as in RLMRec's ``ssl_con_loss``.

    Args:
        temperature: T.

    Raises:
        ValueError: if the temperature is not positive.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = _positive(temperature)

    def forward(self, reconstructed: Tensor, targets: Tensor) -> Tensor:
        """Loss; 0 where there is no row.

        Args:
            reconstructed: ``(n, d)``.
            targets: ``(n, d)``.

        Raises:
            ValueError: if the shapes differ.
        """
        require_same_shape(("reconstructed", reconstructed), ("targets", targets))
        if not len(reconstructed):
            return (reconstructed.sum() + targets.sum()) * 0.0
        single = torch.promote_types(reconstructed.dtype, torch.float32)
        # Half precision has no room for the gradients of many negatives.
        with torch.autocast(reconstructed.device.type, enabled=False):
            ours = F.normalize(reconstructed.to(single), dim=1)
            theirs = F.normalize(targets.to(single), dim=1)
            hits = (ours * theirs).sum(1) / self.temperature
            shares = (hits - (ours @ theirs.T / self.temperature).logsumexp(1)).exp()
            return -(shares + 1e-8).log().mean()


def _positive(temperature: float) -> float:
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    return temperature


def _unit(rows: Tensor) -> Tensor:
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    return rows / (1e-8 + rows.square().sum(1, keepdim=True)).sqrt()
