"""Time and memory of training steps on synthetic graphs of growing size.

    python benchmarks/scaling.py [--sizes 1e5 3e5 1e6 3e6] [--figure FILE.png] [--threads 1]

Users are uniform and items popular by a power law, in no order of their ids; 100 interactions a
user and 200 an item. Each size runs in a process of its own, so that its peak of memory is its own.
A step is a batch of our loader, LightGCN forward and backward, and the optimizer. It goes over the
whole graph, as in every implementation of LightGCN, so that a step costs so much per interaction,
and an epoch at a fixed batch size grows with the square of the interactions. DaRec adds
what its terms, in a step that computes them, add to BPR from the backbone's output to the gradient
of that output: in a whole step it would drown in noise.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from propagation import synthetic_pairs

from recbole_darec import compat

compat.install()

from recbole.data.interaction import Interaction  # noqa: E402

from recbole_darec.alignment.darec import DaRec  # noqa: E402
from recbole_darec.backbone.objectives import bpr_loss  # noqa: E402
from recbole_darec.config import BARE, Config  # noqa: E402
from recbole_darec.data.sampler import create_samplers  # noqa: E402
from recbole_darec.data.side_embeddings import SideEmbeddings  # noqa: E402
from recbole_darec.data.train_loader import TrainLoader  # noqa: E402
from recbole_darec.model.aligned_recommender import AlignedRecommender  # noqa: E402

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Synthetic:
    """What loaders and backbone ask of one of RecBole's datasets, without its files."""

    uid_field, iid_field = "user_id", "item_id"
    item_feat = None

    def __init__(self, users: Any, items: Any, user_num: int, item_num: int) -> None:
        columns = {"user_id": torch.from_numpy(users), "item_id": torch.from_numpy(items)}
        self.inter_feat = Interaction(columns)
        self.user_num, self.item_num = user_num, item_num

    def __len__(self) -> int:
        return len(self.inter_feat)

    def num(self, field: str) -> int:
        """Number of users or of items, the padding among them."""
        return self.user_num if field == self.uid_field else self.item_num

    def copy_field_property(self, *names: str) -> None:
        """Nothing to copy."""


def make_splits(n: int) -> list[Synthetic]:
    """Training part of ``n`` interactions, and two small parts beside it."""
    parts = [synthetic_pairs(n), synthetic_pairs(n // 10, 1), synthetic_pairs(n // 10, 2)]
    user_num, item_num = (1 + max(2, n // per) for per in (100, 200))
    return [Synthetic(users + 1, items + 1, user_num, item_num) for users, items in parts]


def seconds_of(work: Callable[[], Any], count: int, clock: str) -> float:
    """Median of ``count`` calls after one to warm up."""
    times = []
    for _ in range(count + 1):
        started = CLOCKS[clock]()
        work()
        times.append(CLOCKS[clock]() - started)
    return statistics.median(times[1:])


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def side(n: int, width: int, seed: int) -> SideEmbeddings:
    """Random embeddings of all ids but the padding."""
    table = np.random.default_rng(seed).standard_normal((n, width), dtype=np.float32)
    table[0] = 0
    return SideEmbeddings(table, np.arange(n) > 0)


def alignment_seconds(config: Config, backbone: Any, batch: Any, args: Any) -> float:
    """What DaRec's losses and their gradients add to the backbone's own, a median."""
    sides = side(backbone.n_users, args.width, 0), side(backbone.n_items, args.width, 1)
    darec = DaRec(config, backbone.dim, *sides)
    with torch.no_grad():
        output = backbone()
        nodes = torch.cat([output.users, output.items])
    triples = backbone.triples(batch)

    def seconds(terms: frozenset[str]) -> float:
        started = CLOCKS[args.clock]()
        output = backbone.output(nodes.detach().requires_grad_())
        losses = [bpr_loss(output, triples), *darec(output, triples, terms).values()]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        return CLOCKS[args.clock]() - started

    terms = frozenset(darec.active_weights(config))
    pairs = [(seconds(terms), seconds(frozenset())) for _ in range(4 * args.steps)]
    return statistics.median(with_it - without for with_it, without in pairs[1:])


def measure(n: int, args: argparse.Namespace) -> dict[str, float]:
    """One size, in this process."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        config = empty_run("DaRec", args, Path(folder))
        bare = empty_run(BARE, args, Path(folder))
    empty = peak_bytes()
    started = CLOCKS[args.clock]()
    splits = make_splits(n)
    loader = TrainLoader(config, splits[0], create_samplers(config, None, splits)[0], shuffle=True)
    model = AlignedRecommender(bare, splits[0])
    start = CLOCKS[args.clock]() - started
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    batches = iter(loader)

    def step() -> None:
        optimizer.zero_grad()
        torch.stack(model.calculate_loss(next(batches))).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    seconds = seconds_of(step, args.steps, args.clock)
    peak = peak_bytes()
    return {
        "interactions": n,
        "start": start,
        "step": seconds,
        "epoch": seconds * len(loader),
        "bytes": (peak - empty) / n,
        "alignment": alignment_seconds(config, model.backbone, next(batches), args),
    }


def empty_run(model: str, args: argparse.Namespace, folder: Path) -> Config:
    """Configuration of a run on a dataset of no interactions, whose place others will take."""
    (folder / "synthetic").mkdir(exist_ok=True)
    (folder / "synthetic" / "synthetic.inter").write_text("user_id:token\titem_id:token\n")
    settings = {
        "data_path": str(folder),
        "embedding_size": args.dim,
        "n_layers": args.layers,
        "alignment_every": 1,
        "train_batch_size": args.batch,
        "val_interval": None,
        "load_col": {"inter": ["user_id", "item_id"]},
        "use_gpu": False,
    }
    return Config(model, "synthetic", config_dict=settings)


def in_own_process(n: int, argv: list[str]) -> dict[str, float]:
    """Measure one size in a fresh process."""
    command = [sys.executable, __file__, *argv, "--only", str(n)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def row_of(found: dict[str, float]) -> str:
    """One Markdown row."""
    per_interaction = 1e9 * found["step"] / found["interactions"]
    return (
        f"| {found['interactions']:.0e} | {found['start']:.2f} s | {1e3 * found['step']:.1f} ms "
        f"| {per_interaction:.0f} ns | {found['epoch']:.3g} s | {found['bytes']:.0f} "
        f"| {1e3 * found['alignment']:.1f} ms |"
    )


def draw(results: list[dict[str, float]], file: Path) -> None:
    """Step, alignment and memory over the number of interactions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    times, memory = figure.subplots(1, 2)
    n = [r["interactions"] for r in results]
    times.loglog(n, [r["step"] for r in results], "o-", label="LightGCN, a step")
    times.loglog(n, [r["alignment"] for r in results], "s--", label="DaRec's terms, beside it")
    times.set(xlabel="interactions", ylabel="seconds")
    times.legend()
    memory.loglog(n, [r["bytes"] * r["interactions"] / 2**20 for r in results], "o-")
    memory.set(xlabel="interactions", ylabel="peak memory, MiB")
    figure.savefig(file, dpi=120)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e5, 3e5, 1e6, 3e6])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--width", type=int, default=384, help="of the semantic embeddings")
    parser.add_argument("--steps", type=int, default=7, help="measured after one to warm up")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = arguments()
    argv, sys.argv = sys.argv[1:], sys.argv[:1]
    if args.only:
        print(json.dumps(measure(args.only, args)))
        return
    print(f"dim {args.dim}, {args.layers} layers, batch {args.batch}, {args.clock} clock, "
          f"{args.threads} threads, torch {torch.__version__}\n")  # fmt: skip
    print("| interactions | start | step | per interaction | epoch | bytes per interaction "
          "| DaRec adds |\n|---|---:|---:|---:|---:|---:|---:|", flush=True)  # fmt: skip
    results = []
    for size in args.sizes:
        results.append(in_own_process(int(size), argv))
        print(row_of(results[-1]), flush=True)
    if args.figure:
        draw(results, args.figure)


if __name__ == "__main__":
    main()
