"""Propagation of a LightGCN step, forward and backward: RecBole's uncoalesced COO against ours.

    python benchmarks/propagation.py [--inter FILE] [--dim 64] [--layers 3] [--threads 2]

``FILE`` is a RecBole ``.inter`` file whose first two columns are user and item; without it a
synthetic graph with power-law item popularity is used. Both sides run in this process, in turns,
after a warm-up, on the same graph and input; medians, their ratio and the largest difference are
printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_darec.graph import BipartiteGraph


def read_pairs(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Users and items of an atomic file, numbered from 0."""
    table = pd.read_csv(path, sep="\t", usecols=[0, 1])
    users, items = (pd.factorize(table[column])[0] for column in table.columns)
    return users, items


def synthetic_pairs(n_interactions: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Uniform users and items whose popularity falls off as a power law, in no order of ids."""
    draw = np.random.default_rng(seed)
    n_users, n_items = max(2, n_interactions // 100), max(2, n_interactions // 200)
    users = draw.integers(0, n_users, n_interactions)
    items = (draw.power(0.4, n_interactions) * n_items).astype(np.int64)
    return users, np.random.default_rng(0).permutation(n_items)[items]


def recbole_step(graph: BipartiteGraph, n_layers: int) -> Callable[[Tensor], Tensor]:
    """RecBole's LightGCN: COO products, a stack of the layers, their mean."""
    matrix = graph.adjacency.matrix
    indices = matrix.to_sparse_coo().indices()
    coo = torch.sparse_coo_tensor(indices, matrix.values(), matrix.shape, is_coalesced=False)

    def propagate(x: Tensor) -> Tensor:
        layers = [x]
        for _ in range(n_layers):
            layers.append(torch.sparse.mm(coo, layers[-1]))
        return torch.stack(layers, dim=1).mean(dim=1)

    return propagate


def our_step(graph: BipartiteGraph, n_layers: int) -> Callable[[Tensor], Tensor]:
    """Ours: symmetric CSR, the layers summed on the way."""
    return lambda x: graph.smooth(x / (n_layers + 1), n_layers)


def timed(step: Callable[[Tensor], Tensor], x: Tensor, upstream: Tensor) -> float:
    """Seconds of one forward and backward pass."""
    _wait(x.device)
    start = time.perf_counter()
    torch.autograd.grad(step(x), x, upstream)
    _wait(x.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inter", type=Path, help="RecBole .inter file; synthetic by default")
    parser.add_argument("--interactions", type=int, default=700_000, help="of the synthetic graph")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch sees no GPU here")
    return args


def main() -> None:
    """Measure and print."""
    args = arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    users, items = read_pairs(args.inter) if args.inter else synthetic_pairs(args.interactions)
    start = time.perf_counter()
    graph = BipartiteGraph(users, items, int(users.max()) + 1, int(items.max()) + 1)
    built = time.perf_counter() - start
    graph = graph.to(args.device)
    x = torch.randn(graph.n_nodes, args.dim, device=args.device, requires_grad=True)
    upstream = torch.randn_like(x)
    steps = {"RecBole": recbole_step(graph, args.layers), "ours": our_step(graph, args.layers)}
    difference = (steps["RecBole"](x) - steps["ours"](x)).abs().max().item()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(args.repeats + 1):
        for name, step in steps.items():
            seconds[name].append(timed(step, x, upstream))
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    print(f"{graph.n_users} users, {graph.n_items} items, {graph.n_edges} edges, dim {args.dim}")
    print(f"{args.layers} layers, {args.threads} threads, {args.device}, torch {torch.__version__}")
    print(f"graph built in {built * 1e3:.0f} ms; largest difference {difference:.1e}")
    for name, median in medians.items():
        print(f"{name:8} {median * 1e3:9.2f} ms forward + backward")
    print(f"ratio    {medians['RecBole'] / medians['ours']:9.2f}")


if __name__ == "__main__":
    main()
