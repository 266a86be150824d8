"""The two contrastive losses of RLMRec, as its code computes them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recbole_darec.alignment.checks import require_same_shape


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

    def forward(self, anchors: Tensor, positives: Tensor, candidates: Tensor) -> Tensor:
        """Loss; 0 where there is no anchor.

        Args:
            anchors: ``(n, d)``.
            positives: ``(n, d)``.
            candidates: ``(m, d)``, the positives among them.

        Raises:
            ValueError: if anchors and positives differ in shape.
        """
        require_same_shape(("anchors", anchors), ("positives", positives))
        if not len(anchors):
            return (anchors.sum() + positives.sum()) * 0.0
        rows = (_unit(anchors), _unit(positives), _unit(candidates))
        return -_log_shares(*rows, temperature=self.temperature).mean()


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
        ours, theirs = F.normalize(reconstructed, dim=1), F.normalize(targets, dim=1)
        shares = _log_shares(ours, theirs, theirs, self.temperature).exp()
        return -(shares + 1e-8).log().mean()


def _positive(temperature: float) -> float:
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    return temperature


def _unit(rows: Tensor) -> Tensor:
    return rows / (1e-8 + rows.square().sum(1, keepdim=True)).sqrt()


def _log_shares(
    anchors: Tensor, positives: Tensor, candidates: Tensor, temperature: float
) -> Tensor:
    hits = (anchors * positives).sum(1) / temperature
    return hits - (anchors @ candidates.T / temperature).logsumexp(1)
