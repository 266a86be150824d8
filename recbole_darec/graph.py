"""The normalised bipartite graph of the training interactions and its propagation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recbole_darec.blocked_csr import BlockedCsr
from recbole_darec.csr_product import csr_product, product_at_rows, product_of_few_rows
from recbole_darec.edge_pattern import EdgePattern

# Nodes beyond which their representations (at a width of 64, 16 MiB) leave a CPU's cache.
_LARGE = 2**16
# Share of the entries up to which it is faster to gather them than to multiply by all of them.
_FEW = 1 / 4


class _SymmetricProduct(torch.autograd.Function):
    """``A x`` for a symmetric ``A``, whose backward is the same product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, adjacency: Adjacency) -> Tensor:
        ctx.adjacency = adjacency
        return adjacency.product(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _product(grads[0], ctx.adjacency), None


class _SymmetricSmoothing(torch.autograd.Function):
    """``s sum_{k=0..K} A^k x`` by Horner's rule; self-adjoint as ``A`` is symmetric."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        adjacency: Adjacency,
        n_layers: int,
        scale: float,
        rows: Tensor | None = None,
    ) -> Tensor:
        ctx.adjacency, ctx.n_layers, ctx.scale = adjacency, n_layers, scale
        out = x = x.to(adjacency.matrix.dtype)
        for layer in range(n_layers):
            if rows is not None and layer == n_layers - 1:
                out = adjacency.product_at(rows, out, added=x)
            elif layer == 0:
                # Of a gradient, only the rows of the batch are other than 0.
                out = adjacency.product_of_few_rows(out).add_(x)
            else:
                out = adjacency.product(out, added=x)
        return out.mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        whole = _smoothing(grads[0], ctx.adjacency, ctx.n_layers, ctx.scale, None)
        return whole, None, None, None, None


_product: Callable[[Tensor, Adjacency], Tensor] = _SymmetricProduct.apply
_smoothing: Callable[[Tensor, Adjacency, int, float, Tensor | None], Tensor] = (
    _SymmetricSmoothing.apply
)


@dataclass(frozen=True)
class Adjacency:
    """A symmetric weighted adjacency of users above items: the graph itself, or a view of it.

    Attributes:
        matrix: sparse CSR ``(n_users + n_items, n_users + n_items)``.
        blocked: the same matrix block by block, where it is large and on a CPU.
    """

    matrix: Tensor
    blocked: BlockedCsr | None = None

    def product(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """``A x``, or ``A x + added``, without gradients, in the dtype of the matrix."""
        if self.blocked is not None:
            return self.blocked.product(x, added)
        product = csr_product(self.matrix, x)
        return product if added is None else product.add_(added)

    def product_of_few_rows(self, x: Tensor) -> Tensor:
        """``A x`` as ``product``, at the cost of the edges of the rows of ``x`` that are not 0.

        Where these are many, or the matrix is not a large one on a CPU, it is ``product`` itself.
        """
        if self.blocked is None:
            return self.product(x)
        rows = torch.from_numpy(x.detach().numpy().any(1).nonzero()[0])
        if not self._few(rows):
            return self.product(x)
        return product_of_few_rows(self.matrix, x, rows)

    def product_at(self, rows: Tensor, x: Tensor, added: Tensor) -> Tensor:
        """``A x + added`` as ``product``, at the cost of the edges of some rows; 0 elsewhere.

        Where these are many, or the matrix is not a large one on a CPU, it is ``product`` itself.

        Args:
            rows: numbers of rows, each once, ``(k,)``.
            x: ``(n, d)``.
            added: ``(n, d)``.
        """
        if self.blocked is None or not self._few(rows):
            return self.product(x, added)
        out = x.new_zeros(x.shape, dtype=self.matrix.dtype)
        return out.index_copy_(0, rows, product_at_rows(self.matrix, x, rows).add_(added[rows]))

    def _few(self, rows: Tensor) -> bool:
        crow = self.matrix.crow_indices()
        edges = int((crow[rows + 1] - crow[rows]).sum())
        return edges <= _FEW * self.matrix.values().numel()

    def propagate(self, x: Tensor) -> Tensor:
        """One step ``A x``: ``(n_users + n_items, d) -> (n_users + n_items, d)``."""
        return _product(x, self)

    def smooth(
        self, x: Tensor, n_layers: int, scale: float = 1.0, rows: Tensor | None = None
    ) -> Tensor:
        """Scaled sum of all layers ``scale (x + A x + ... + A^n_layers x)``, in the shape of ``x``.

        Args:
            x: ``(n_users + n_items, d)``.
            n_layers: at least 1.
            scale: factor of the sum; it costs nothing.
            rows: numbers of the rows that will be read, each once, ``(k,)``; others may be 0.
        """
        return _smoothing(x, self, n_layers, scale, rows)


class BipartiteGraph(nn.Module):
    """Users above items, joined by the training interactions, with ``D^-1/2 A D^-1/2`` weights.

    An edge is one distinct (user, item) pair; edges are numbered by user, then item. All tensors
    are non-persistent buffers: the graph moves with the model and is in no checkpoint.

    Args:
        users: user id of each interaction, integers ``(n_interactions,)``.
        items: item id of each interaction, integers ``(n_interactions,)``; repeated pairs count
            once.
        n_users: number of users, with or without interactions.
        n_items: number of items, with or without interactions.

    Raises:
        ValueError: if the ids are empty, of different lengths, no integers or out of range.

    Source: the normalisation of NGCF (Wang et al., SIGIR 2019, eq. 8) and LightGCN (He et al.,
    SIGIR 2020, eq. 8).
    """

    crow: Tensor
    col: Tensor
    values: Tensor
    transposed: Tensor

    def __init__(
        self, users: NDArray[Any], items: NDArray[Any], n_users: int, n_items: int
    ) -> None:
        super().__init__()
        users = _validated("user", users, n_users)
        items = _validated("item", items, n_items)
        if users.shape != items.shape:
            raise ValueError(
                f"interactions have {users.size} user ids but {items.size} item ids; "
                "give one of each per interaction"
            )
        self.n_users, self.n_items = n_users, n_items
        self._blocked: BlockedCsr | None = None
        crow, col, values, transposed = _symmetric_csr(users, items, n_users, n_items)
        for name, array in (
            ("crow", crow),
            ("col", col),
            ("values", values),
            ("transposed", transposed),
        ):
            self.register_buffer(name, torch.from_numpy(array), persistent=False)
        with warnings.catch_warnings():
            # PyTorch says once a process that its CSR support is in beta.
            warnings.simplefilter("ignore")
            self._csr(self.values)

    @classmethod
    def from_dataset(cls, dataset: Any) -> BipartiteGraph:
        """The graph of the interactions of RecBole's training dataset."""
        interactions = dataset.inter_feat
        users, items = interactions[dataset.uid_field], interactions[dataset.iid_field]
        return cls(users.numpy(), items.numpy(), dataset.user_num, dataset.item_num)

    @property
    def n_nodes(self) -> int:
        """Number of users and items."""
        return self.n_users + self.n_items

    @property
    def n_edges(self) -> int:
        """Number of distinct (user, item) pairs."""
        return self.transposed.numel()

    @property
    def is_large(self) -> bool:
        """Whether products are formed block by block, and cost less where few rows count."""
        return self.values.device.type == "cpu" and self.n_nodes > _LARGE

    @property
    def adjacency(self) -> Adjacency:
        """The whole graph."""
        return Adjacency(self._csr(self.values), self._blocks())

    def propagate(self, x: Tensor) -> Tensor:
        """One step over the whole graph, see ``Adjacency.propagate``."""
        return self.adjacency.propagate(x)

    def smooth(self, x: Tensor, n_layers: int, scale: float = 1.0) -> Tensor:
        """Sum of all layers over the whole graph, see ``Adjacency.smooth``."""
        return self.adjacency.smooth(x, n_layers, scale)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the users and rows of the items of ``x``."""
        users, items = torch.split(x, [self.n_users, self.n_items])
        return users, items

    def degrees(self) -> Tensor:
        """Number of edges of each node, ``(n_users + n_items,)`` in the dtype of the weights."""
        return self.crow.diff().to(self.values.dtype)

    def edges(self) -> tuple[Tensor, Tensor]:
        """User and item id of each edge, int64 ``(n_edges,)`` each."""
        degrees = self.crow[: self.n_users + 1].diff()
        ids = torch.arange(self.n_users, device=self.crow.device)
        return ids.repeat_interleave(degrees), self.col[: self.n_edges].long() - self.n_users

    def pattern(self) -> EdgePattern:
        """The places of the symmetric matrix, for products with computed weights."""
        lower = self.transposed.long()
        upper = torch.empty_like(lower)
        upper[lower] = torch.arange(self.n_edges, device=lower.device)
        return EdgePattern(self.crow, self.col, torch.cat([upper + self.n_edges, lower]))

    def view(self, kept: Tensor, renormalise: bool) -> Adjacency:
        """The graph with some of its edges.

        Args:
            kept: which edges stay, bool ``(n_edges,)``.
            renormalise: whether weights follow from the degrees that are left, as in SGL;
                otherwise the edges that are left keep their weights, as in RLMRec.
        """
        mask = self._both_ways(kept.to(self.values.dtype))
        if not renormalise:
            return self._adjacency(self.values * mask)
        ones = torch.ones(self.n_nodes, 1, dtype=mask.dtype, device=mask.device)
        scale = csr_product(self._csr(mask), ones).view(-1).clamp_min(1).rsqrt()
        users, items = self.edges()
        weights = scale[users] * scale[items + self.n_users]
        return self._adjacency(self._both_ways(weights) * mask)

    def drop_edges(
        self, ratio: float, renormalise: bool, generator: torch.Generator | None = None
    ) -> Adjacency:
        """A view in which each edge is absent with probability ``ratio``, both ways at once.

        Args:
            ratio: probability in [0, 1).
            renormalise: see ``view``.
            generator: source of random numbers, PyTorch's global one by default.
        """
        _check_ratio(ratio)
        return self.view(self._draw(self.n_edges, generator) >= ratio, renormalise)

    def drop_nodes(
        self, ratio: float, renormalise: bool, generator: torch.Generator | None = None
    ) -> Adjacency:
        """A view in which each node loses all its edges with probability ``ratio``."""
        _check_ratio(ratio)
        users, items = self.split(self._draw(self.n_nodes, generator) >= ratio)
        edge_users, edge_items = self.edges()
        return self.view(users[edge_users] & items[edge_items], renormalise)

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        return torch.rand(n, generator=generator, device=self.values.device)

    def _both_ways(self, per_edge: Tensor) -> Tensor:
        return torch.cat([per_edge, per_edge.index_select(0, self.transposed)])

    def _adjacency(self, values: Tensor) -> Adjacency:
        blocked = self._blocks()
        return Adjacency(self._csr(values), blocked and blocked.with_values(values))

    def _blocks(self) -> BlockedCsr | None:
        """The whole graph block by block, formed when it is first asked for after a move."""
        if not self.is_large:
            self._blocked = None
        elif self._blocked is None or self._blocked.values.dtype != self.values.dtype:
            self._blocked = BlockedCsr.of(self.crow, self.col, self.values)
        return self._blocked

    def _csr(self, values: Tensor) -> Tensor:
        shape = (self.n_nodes, self.n_nodes)
        return torch.sparse_csr_tensor(self.crow, self.col, values, shape, check_invariants=False)


def _validated(what: str, ids: NDArray[Any], n: int) -> NDArray[Any]:
    ids = np.asarray(ids)
    if n < 1:
        raise ValueError(f"n_{what}s is {n}; a graph needs at least one {what}")
    if ids.ndim != 1 or ids.size == 0:
        raise ValueError(
            f"{what} ids have shape {ids.shape}; a graph needs at least one training interaction"
        )
    if not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"{what} ids are of type {ids.dtype}; give integers")
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= n:
        raise ValueError(f"{what} ids lie in [{low}, {high}]; expected [0, {n - 1}]")
    return ids


def _check_ratio(ratio: float) -> None:
    if not 0 <= ratio < 1:
        raise ValueError(f"drop ratio is {ratio}; expected a number in [0, 1)")


def _symmetric_csr(
    users: NDArray[Any], items: NDArray[Any], n_users: int, n_items: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """CSR of the symmetric matrix, and the edge number of each entry of its item rows."""
    ones = np.ones(users.size, dtype=np.int32)
    upper = sp.csr_matrix((ones, (users, items)), shape=(n_users, n_items))
    upper.sum_duplicates()
    n_edges = upper.nnz
    # 32-bit indices are what MKL and cuSPARSE work with; others would be converted each time.
    upper.data = np.arange(n_edges, dtype=np.int32)
    lower = upper.tocsc()
    scale = [1 / np.sqrt(np.maximum(np.diff(m.indptr), 1)) for m in (upper, lower)]
    weights = np.repeat(scale[0], np.diff(upper.indptr)) * scale[1][upper.indices]
    crow = np.concatenate([upper.indptr, n_edges + lower.indptr[1:]]).astype(np.int32)
    col = np.concatenate([upper.indices + n_users, lower.indices]).astype(np.int32)
    values = np.concatenate([weights, weights[lower.data]]).astype(np.float32)
    return crow, col, values, lower.data
