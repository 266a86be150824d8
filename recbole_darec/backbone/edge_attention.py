"""Multi-head attention along edges."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recbole_darec.edge_pattern import EdgePattern


class EdgeAttention(nn.Module):
    """Each node attends to the nodes at the other end of its edges.

    Logits are clamped to [-10, 10]; there is no scaling, residual or bias, as in AutoCF's code.

    Args:
        dim: width of the nodes' embeddings.
        n_heads: number of heads; divides ``dim``.

    Raises:
        ValueError: if ``n_heads`` does not divide ``dim``.

    Source: Xia et al., *Automated Self-Supervised Learning for Recommendation*, WWW 2023, eq. 3;
    RLMRec's ``general_cf/autocf.py`` (``GTLayer``).
    """

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        if dim % n_heads:
            raise ValueError(f"n_heads ({n_heads}) must divide the embedding size ({dim})")
        self.n_heads = n_heads
        self.query, self.key, self.value = (
            nn.Parameter(nn.init.xavier_uniform_(torch.empty(dim, dim))) for _ in range(3)
        )

    def forward(self, x: Tensor, pattern: EdgePattern) -> Tensor:
        """Attend along the edges of a pattern: ``(n, dim) -> (n, dim)``."""
        projected = (x @ weight for weight in (self.query, self.key, self.value))
        heads = zip(*(torch.chunk(y, self.n_heads, dim=1) for y in projected), strict=True)
        outputs = []
        for query, key, value in heads:
            attention = pattern.edge_dot(query, key).clamp(-10, 10).exp()
            outputs.append(pattern.weighted_mean(attention, value, eps=1e-8))
        return torch.cat(outputs, dim=1)
