"""The encoder of DaRec, and the text projection of its rivals: a small MLP."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


class Projection(nn.Module):
    """Linear layers with an activation between them: ``(n, d_in) -> (n, d_out)``.

    Weights are Xavier-uniform, drawn from the given generator alone, so that building a projection
    leaves the global random state as it was.

    Args:
        d_in: width of the input.
        d_out: width of the output.
        generator: source of the initial weights (CPU).
        layers: number of linear layers.
        hidden: width of the layers between; ``(d_in + d_out) // 2`` where None.
        activation: a name in ``ACTIVATIONS``.
        draw_biases: whether biases are drawn as PyTorch does, from ``+-1 / sqrt(width before)``,
            rather than 0. Rows of zeros need it: what is made of them has no direction otherwise.

    Raises:
        ValueError: if a width or ``layers`` is below 1, or the activation is unknown.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        generator: torch.Generator,
        layers: int = 2,
        hidden: int | None = None,
        activation: str = "leaky_relu",
        draw_biases: bool = False,
    ) -> None:
        super().__init__()
        hidden = (d_in + d_out) // 2 if hidden is None else hidden
        if min(d_in, d_out, hidden, layers) < 1:
            raise ValueError(
                "widths and layers must be at least 1, got "
                f"d_in={d_in}, hidden={hidden}, d_out={d_out}, layers={layers}"
            )
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation {activation!r} is not one of {', '.join(ACTIVATIONS)}")
        widths = [d_in, *[hidden] * (layers - 1), d_out]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            linear = _linear(before, after, generator)
            if draw_biases:
                bound = before**-0.5
                nn.init.uniform_(linear.bias, -bound, bound, generator)
            parts += [linear, ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*parts[:-1])

    def forward(self, rows: Tensor) -> Tensor:
        """Project rows ``(n, d_in)`` to ``(n, d_out)``."""
        projected: Tensor = self.layers(rows)
        return projected


def _linear(d_in: int, d_out: int, generator: torch.Generator) -> nn.Linear:
    # The constructor would draw from the global random state.
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, d_in, d_out)  # type: ignore[no-untyped-call]
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
