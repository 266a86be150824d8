"""Contrast of a step of SGL, forward and backward: RecBole's against ours.

    python benchmarks/contrast.py [--inter FILE] [--batch 4096] [--dim 32] [--tau 0.5] [--threads 2]

``FILE`` is a RecBole ``.inter`` file whose first two columns are user and item; without it
interactions with power-law item popularity are drawn. Random views of all their users and items are
contrasted at a batch of them, by ``calc_ssl_loss`` of RecBole's ``SGL`` and by our
``node_info_nce``, in this process, in turns, after a warm-up. Medians, the least, their ratio and
the largest difference of value and gradients, over their largest entry, are printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from propagation import read_pairs, synthetic_pairs
from torch import Tensor

from recbole_darec import compat
from recbole_darec.backbone.contrast import node_info_nce

compat.install()

from recbole.model.general_recommender.sgl import SGL  # noqa: E402


class Step:
    """Views of all users and items, and a batch of them.

    Attributes:
        views: of the users, twice, and of the items, twice.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        pairs = read_pairs(args.inter) if args.inter else synthetic_pairs(args.interactions)
        rows = np.random.default_rng(0).choice(len(pairs[0]), args.batch)
        self.users, self.items = (torch.from_numpy(ids[rows]) for ids in pairs)
        self.tau: float = args.tau
        self.views = [
            torch.randn(int(ids.max()) + 1, args.dim, requires_grad=True)
            for ids in pairs
            for _ in range(2)
        ]

    def recbole(self) -> Tensor:
        """RecBole's, a sum over the batch."""
        keys = SimpleNamespace(ssl_tau=self.tau, ssl_weight=1.0)
        loss: Tensor = SGL.calc_ssl_loss(keys, self.users, self.items, *self.views)
        return loss / len(self.users)

    def ours(self) -> Tensor:
        """Ours, a mean over the batch."""
        users1, users2, items1, items2 = self.views
        contrast = node_info_nce(users1, users2, self.users, self.tau)
        return contrast + node_info_nce(items1, items2, self.items, self.tau)

    def timed(self, loss: Callable[[], Tensor]) -> tuple[float, list[Tensor]]:
        """Seconds of one forward and backward pass, value and gradients."""
        start = time.perf_counter()
        value = loss()
        gradients = torch.autograd.grad(value, self.views)
        return time.perf_counter() - start, [value.detach(), *gradients]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inter", type=Path, help="RecBole .inter file; synthetic by default")
    parser.add_argument("--interactions", type=int, default=700_000, help="of the synthetic ones")
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--tau", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=11)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    step = Step(args)
    losses = {"RecBole": step.recbole, "ours": step.ours}
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for _ in range(args.repeats + 1):
        found = {name: step.timed(loss) for name, loss in losses.items()}
        for name, (spent, _) in found.items():
            seconds[name].append(spent)
    pairs = zip(*(results for _, results in found.values()), strict=True)
    difference = max(
        ((theirs - ours).abs().max() / theirs.abs().max()).item() for theirs, ours in pairs
    )
    for name, ids, view in (
        ("users", step.users, step.views[0]),
        ("items", step.items, step.views[2]),
    ):
        print(f"{len(view)} {name} of width {args.dim}, {len(set(ids.tolist()))} in the batch")
    print(f"{args.threads} threads, torch {torch.__version__}; largest difference {difference:.1e}")
    for name, values in seconds.items():
        median, least = statistics.median(values[1:]), min(values[1:])
        print(f"{name:8} {median * 1e3:9.2f} ms forward + backward, the least {least * 1e3:.2f}")
    medians = [statistics.median(values[1:]) for values in seconds.values()]
    print(f"ratio    {medians[0] / medians[1]:9.2f}")


if __name__ == "__main__":
    main()
