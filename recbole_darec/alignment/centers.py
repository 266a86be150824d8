"""K-means on both sides' rows, warm-started from step to step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class PreferenceCenters(nn.Module):
    """Clusters a sample of rows on the collaborative and the semantic side at once.

    Each Lloyd iteration is one batched matrix product for both sides. The centres of the last
    step are where the next one starts; they are persistent buffers, since a resumed run would
    otherwise cluster differently from an uninterrupted one. A cluster that lost all its members
    takes the row farthest from its own centre (as scikit-learn does), so that K centres on one
    side always meet K on the other.

    Args:
        n_centers: number K of centres on each side.
        dim: width of the clustered rows.
        generator: chooses the rows that the first centres stand on.
        iterations: Lloyd iterations in a step that refits.
        every: the centres are refitted in every so-many-th call; rows are assigned in each.

    Raises:
        ValueError: if a number is below 1.
    """

    centers: Tensor
    calls: Tensor

    def __init__(
        self,
        n_centers: int,
        dim: int,
        generator: torch.Generator,
        iterations: int = 1,
        every: int = 1,
    ) -> None:
        super().__init__()
        if min(n_centers, dim, iterations, every) < 1:
            raise ValueError(
                "n_centers, dim, iterations and every must be at least 1, got "
                f"{n_centers}, {dim}, {iterations}, {every}"
            )
        self.generator = generator
        self.iterations, self.every = iterations, every
        self.register_buffer("centers", torch.zeros(2, n_centers, dim))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, points: Tensor) -> Tensor:
        """Assign rows to centres, and refit the centres where it is time.

        Args:
            points: ``(2, n, dim)``, the rows on the collaborative and on the semantic side.

        Returns:
            Labels ``(2, n)``, int64. Each of the first ``min(K, n)`` numbers occurs on each side.

        Raises:
            ValueError: if the shape is another or there is no row.
        """
        expected = (2, points.shape[1], self.centers.shape[2]) if points.ndim == 3 else ()
        if tuple(points.shape) != expected or not points.shape[1]:
            raise ValueError(
                f"points must be (2, n, {self.centers.shape[2]}) with n > 0, "
                f"got {tuple(points.shape)}"
            )
        if int(self.calls) == 0:
            self._start(points)
        refit = int(self.calls) % self.every == 0
        count = min(self.centers.shape[1], points.shape[1])
        centers = self.centers[:, :count].to(points.dtype)
        for _ in range(self.iterations if refit else 1):
            labels = assign(points, centers)
            centers = cluster_means(points, labels, count)
        if refit:
            self.centers[:, :count] = centers
        self.calls += 1
        return labels

    def _start(self, points: Tensor) -> None:
        n = points.shape[1]
        order = torch.randperm(n, generator=self.generator)
        chosen = order[torch.arange(self.centers.shape[1]) % n].to(points.device)
        self.centers.copy_(points[:, chosen])


@torch.no_grad()
def assign(points: Tensor, centers: Tensor) -> Tensor:
    """Number of the nearest centre of each row, no centre left empty: ``(b, n)``.

    Args:
        points: ``(b, n, d)``.
        centers: ``(b, k, d)`` with ``k <= n``.
    """
    squared = centers.square().sum(2).unsqueeze(1)
    distances = torch.baddbmm(squared, points, centers.transpose(1, 2), beta=1, alpha=-2)
    nearest, labels = distances.min(2)
    nearest = nearest + points.square().sum(2)
    for side in range(len(points)):
        _fill_empty(labels[side], nearest[side], centers.shape[1])
    return labels


def cluster_means(points: Tensor, labels: Tensor, count: int) -> Tensor:
    """Means of the members of each cluster, differentiable in ``points``.

    Args:
        points: ``(b, n, d)``.
        labels: ``(b, n)``, constants in ``0 .. count - 1``.
        count: number k of clusters, none of them empty.

    Returns:
        ``(b, k, d)``.
    """
    members = F.one_hot(labels, count).to(points.dtype).transpose(1, 2)
    return (members @ points) / members.sum(2, keepdim=True)


def _fill_empty(labels: Tensor, distances: Tensor, count: int) -> None:
    sizes = torch.bincount(labels, minlength=count)
    for cluster in (sizes == 0).nonzero().flatten().tolist():
        row = distances.masked_fill(sizes[labels] < 2, -torch.inf).argmax()
        sizes[labels[row]] -= 1
        sizes[cluster] += 1
        labels[row] = cluster
