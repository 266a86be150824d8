"""Training epochs, evaluation and start of our models and of RecBole's, side by side.

    python benchmarks/epoch_speed.py --data_path DIR --dataset amazon-book-rlmrec --dim 32

For each backbone: RecBole's own model in RecBole's own trainer and loaders, our bare backbone, and
DaRec on it with its default settings. All run in this process, in turns, after a warm-up epoch;
medians and ratios to RecBole's model are printed as a Markdown table, and where an epoch's time
goes as another. ``DIR/DATASET`` holds
RecBole's atomic files with a split (``DATASET.train.inter``, ``.valid.inter``, ``.test.inter``).
DaRec aligns with random vectors: its cost does not depend on their values. ``--rlmrec PATH`` adds
RLMRec's LightGCN from a copy of its repository. Building the graph is timed by itself as well. At
the end RecBole's weights are put into our model, and the representations that it makes of them into
RecBole's: both evaluations then have to report the same metrics, to the last digit. The threads are
pinned to as many cores, by the environment of this command, which restarts itself for it.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rlmrec_code
import torch

from recbole_darec import compat

compat.install()

from recbole.config import Config as RecBoleConfig  # noqa: E402
from recbole.data import create_dataset as recbole_dataset  # noqa: E402
from recbole.data import data_preparation  # noqa: E402
from recbole.utils import get_model, get_trainer, init_seed  # noqa: E402

from recbole_darec.config import Config  # noqa: E402
from recbole_darec.data.preparation import create_dataset, prepare_data  # noqa: E402
from recbole_darec.graph import BipartiteGraph  # noqa: E402
from recbole_darec.quick_start import build_model  # noqa: E402
from recbole_darec.run_folder import RunFolder  # noqa: E402
from recbole_darec.trainer import make_trainer  # noqa: E402

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
BACKBONES = ("LightGCN", "SGL")  # what both RecBole and this package have
COLUMNS = ("epoch", "loader", "evaluation", "start")
BUILDS = 4
PARTS = ("loader", "forward", "backward", "optimiser")


class Contender:
    """One model with its loaders and trainer, and the seconds that it took.

    Attributes:
        name: heads its row of the table.
        seconds: by column, what was measured.
    """

    def __init__(self, name: str, loaders: Any, build: Callable[[], Any], clock: str) -> None:
        self.name = name
        self._clock = CLOCKS[clock]
        self.train, self.valid, self.test = loaders
        self.seconds: dict[str, list[float]] = {column: [] for column in COLUMNS}
        # What comes first in a process pays for imports and first calls: no model's own start.
        for _ in range(BUILDS):
            self.model, self.trainer = self._timed("start", build)

    def round(self, epoch: int, batches: int | None) -> None:
        """An epoch (or its first ``batches``), its batches alone, and an evaluation."""
        part: Any = First(self.train, batches) if batches else self.train
        self._timed("epoch", lambda: self.trainer._train_epoch(part, epoch))
        self._timed("loader", lambda: sum(1 for _ in part))
        self._timed("evaluation", lambda: self.trainer._valid_epoch(self.test))

    def parts(self, batches: int | None) -> dict[str, float]:
        """Seconds of each part of one more epoch."""
        seconds = dict.fromkeys(PARTS, 0.0)

        def timed(name: str, work: Callable[[], Any]) -> Any:
            started = self._clock()
            result = work()
            synchronise()
            seconds[name] += self._clock() - started
            return result

        autocast = torch.autocast(self.trainer.device.type, enabled=self.trainer.enable_amp)

        def losses_of(batch: Any) -> Any:
            with autocast:
                return self.model.calculate_loss(batch)

        self.model.train()
        whole = First(self.train, batches) if batches else self.train
        part = timed("loader", lambda: iter(whole))
        while (batch := timed("loader", lambda: next(part, None))) is not None:
            self.trainer.optimizer.zero_grad()
            there = batch.to(self.trainer.device)
            losses = timed("forward", lambda: losses_of(there))  # noqa: B023
            loss = sum(losses) if isinstance(losses, tuple) else losses
            timed("backward", loss.backward)
            timed("optimiser", self.trainer.optimizer.step)
        return seconds

    def metrics(self) -> dict[str, float]:
        """Test metrics of the weights as they stand."""
        return dict(self.trainer.evaluate(self.test, load_best_model=False))

    def median(self, column: str) -> float:
        """Median over the rounds, or the builds, after the first."""
        return statistics.median(self.seconds[column][1:])

    def _timed(self, column: str, work: Callable[[], Any]) -> Any:
        synchronise()
        started = self._clock()
        result = work()
        synchronise()
        self.seconds[column].append(self._clock() - started)
        return result


class First:
    """The first batches of a loader."""

    def __init__(self, loader: Iterable[Any], count: int) -> None:
        self.loader, self.count = loader, count

    def __iter__(self) -> Any:
        return islice(iter(self.loader), self.count)


def pin(threads: int) -> None:
    """Restart with the number of threads in the environment; keep to as many cores."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    wanted = dict.fromkeys(names, str(threads)) | {"TQDM_DISABLE": "1"}
    if wanted.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)  # noqa: S606
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    torch.set_num_threads(threads)


def synchronise() -> None:
    """Wait for a GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def recboles(name: str, args: argparse.Namespace, settings: dict[str, Any]) -> Contender:
    """RecBole's model in RecBole's loaders and trainer."""
    # Its sparse products have no backward pass in half precision.
    config = RecBoleConfig(name, args.dataset, config_dict={**settings, "enable_amp": False})
    init_seed(config["seed"], reproducibility=True)
    loaders = data_preparation(config, recbole_dataset(config))

    def build() -> Any:
        model = get_model(name)(config, loaders[0]._dataset).to(config["device"])
        return model, get_trainer(config["MODEL_TYPE"], name)(config, model)

    return Contender(f"RecBole's {name}", loaders, build, args.clock)


def ours(
    model: str, backbone: str, args: argparse.Namespace, settings: dict[str, Any]
) -> Contender:
    """One of our models on a backbone."""
    config = Config(model, args.dataset, config_dict={**settings, "backbone": backbone})
    init_seed(config["seed"], reproducibility=True)
    loaders = prepare_data(config, create_dataset(config))

    def build() -> Any:
        built = build_model(config, loaders[0]._dataset)
        return built, make_trainer(config, built, RunFolder.create(config))

    return Contender(f"{model}({backbone})", loaders, build, args.clock)


def rlmrecs(args: argparse.Namespace, base: Contender) -> Contender:
    """RLMRec's LightGCN on the split of RecBole's."""
    matrices = {
        part: getattr(base, part)._dataset.inter_matrix(form="coo")
        for part in ("train", "valid", "test")
    }
    data = rlmrec_code.handler(args, matrices)
    loaders = rlmrec_code.Loader(data), None, None
    return Contender("RLMRec's LightGCN", loaders, lambda: rlmrec_code.build(data), args.clock)


def write_vectors(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Random item embeddings of the dataset's items, and the key that names their file."""
    stem = Path(args.data_path) / args.dataset / args.dataset
    columns = [
        pd.read_csv(f"{stem}.{part}.inter", sep="\t", dtype=str).filter(regex="^item_id").iloc[:, 0]
        for part in ("train", "valid", "test")
    ]
    ids = pd.concat(columns).unique()
    vectors = np.random.default_rng(0).normal(size=(len(ids), args.width)).astype(np.float32)
    np.save(folder / "items.npy", vectors)
    (folder / "items.ids.txt").write_text("\n".join(ids))
    return {"item_embedding_file": str(folder / "items.npy")}


def settings_of(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What all contenders share."""
    return {
        "data_path": args.data_path,
        "checkpoint_dir": str(folder / "saved"),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "val_interval": None,
        "embedding_size": args.dim,
        "n_layers": args.layers,
        "train_batch_size": args.batch,
        "topk": [5, 10, 20],
        "metric_decimal_place": 10,
        "enable_amp": args.amp,
        "gpu_id": "0" if args.device == "cuda" else "",
        "use_gpu": args.device == "cuda",
        "state": "ERROR",
        "show_progress": False,
    }


def contenders(backbone: str, args: argparse.Namespace, folder: Path) -> list[Contender]:
    """RecBole's model first: the others are measured against it."""
    settings = settings_of(args, folder)
    vectors = write_vectors(args, folder)
    entered = [
        recboles(backbone, args, settings),
        ours("Backbone", backbone, args, settings),
        ours("DaRec", backbone, args, settings | vectors),
    ]
    if args.rlmrec and backbone == "LightGCN":
        try:
            entered.append(rlmrecs(args, entered[0]))
        except ImportError as error:
            print(f"RLMRec is left out: its code does not import here ({error})", file=sys.stderr)
    return entered


def rows_of(entered: list[Contender]) -> list[str]:
    """Markdown rows: seconds and, where RecBole's is the base, how many times faster."""
    base = entered[0]
    rows = []
    for contender in entered:
        cells = []
        for column in COLUMNS:
            seconds, theirs = contender.median(column), base.median(column)
            cells.append(f"{seconds:.3g} s ({theirs / seconds:.1f})")
        rows.append(f"| {contender.name} | {' | '.join(cells)} |")
    return rows


def overhead(bare: Contender, aligned: Contender) -> str:
    """What the alignment costs."""
    times = aligned.median("epoch") / bare.median("epoch")
    return f"{aligned.name} takes {times:.2f} times the epoch of {bare.name}"


def graphs(theirs: Contender, bare: Contender, clock: str) -> str:
    """Building the graph alone, of the same interactions; medians of 3."""
    if not hasattr(theirs.model, "get_norm_adj_mat"):
        return f"{theirs.name} does not build its graph by itself"
    seconds = []
    dataset = bare.train._dataset
    for work in (theirs.model.get_norm_adj_mat, lambda: BipartiteGraph.from_dataset(dataset)):
        times = []
        for _ in range(3):
            started = CLOCKS[clock]()
            work()
            times.append(CLOCKS[clock]() - started)
        seconds.append(statistics.median(times))
    theirs_s, ours_s = seconds
    return f"graph: RecBole {theirs_s:.3g} s, ours {ours_s:.3g} s ({theirs_s / ours_s:.1f})"


def bandwidth(bare: Contender, clock: str) -> str:
    """What a product with the graph moves in a second, beside what a copy of a large table moves.

    Counted are index and weight of each edge, a row of the input for each edge, as if none were
    cached, and the rows of the result; of the copy what is read and what is written.
    """
    backbone = bare.model.backbone
    x = backbone.ego().detach()
    edges = 2 * backbone.graph.n_edges
    moved = edges * (8 + x.shape[1] * x.element_size()) + x.nbytes
    product = moved / seconds_of(lambda: backbone.graph.propagate(x), clock) / 1e9
    large = torch.zeros(2**27, device=x.device)
    target = torch.empty_like(large)
    copied = 2 * large.nbytes / seconds_of(lambda: target.copy_(large), clock) / 1e9
    return (
        f"product with the graph: {product:.1f} GB/s, {product / copied:.0%} of the {copied:.1f} "
        "GB/s of a copy (above 100 % where rows are found in a cache)"
    )


def seconds_of(work: Callable[[], Any], clock: str) -> float:
    """Median of five times 20 calls after as many: of a single one a launch would take most."""
    seconds = []
    for _ in range(6):
        synchronise()
        started = CLOCKS[clock]()
        for _ in range(20):
            work()
        synchronise()
        seconds.append((CLOCKS[clock]() - started) / 20)
    return statistics.median(seconds[1:])


def parts_table(entered: list[Contender], batches: int | None) -> list[str]:
    """Where an epoch's time goes, as a Markdown table."""
    rows = []
    for contender in entered:
        parts = contender.parts(batches)
        if not rows:
            rows = [f"| model | {' | '.join(parts)} |", f"|---|{'---:|' * len(parts)}"]
        cells = (f"{seconds:.3g} s" for seconds in parts.values())
        rows.append(f"| {contender.name} | {' | '.join(cells)} |")
    return rows


def same_metrics(theirs: Contender, bare: Contender) -> str:
    """Whether both evaluations report the same metrics of the same representations.

    RecBole's weights are put into our model. Propagation adds in another order there, which may
    turn equal scores; so the representations of our model are put into RecBole's as well.
    """
    tables = [theirs.model.user_embedding.weight, theirs.model.item_embedding.weight]
    with torch.no_grad():
        bare.model.backbone.embedding.copy_(torch.cat(tables))
        by_itself = theirs.metrics()
        found, output = bare.metrics(), bare.model.eval()()
    theirs.model.restore_user_e, theirs.model.restore_item_e = output.users, output.items
    expected = theirs.metrics()
    largest = max(abs(by_itself[name] - value) for name, value in found.items())
    own = f"those of RecBole's own representations differ by {largest:.1e} at most"
    if expected == found:
        return f"same metrics of the same representations: {show(found)}; {own}"
    return f"METRICS DIFFER: RecBole {show(expected)}; ours {show(found)}; {own}"


def show(metrics: dict[str, float]) -> str:
    """Metrics in one line."""
    return ", ".join(f"{name} {value:.10g}" for name, value in metrics.items())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_path", required=True)
    parser.add_argument("--dataset", default="amazon-book-rlmrec")
    parser.add_argument("--backbones", nargs="+", default=["LightGCN"], choices=BACKBONES)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--width", type=int, default=384, help="of the semantic embeddings")
    parser.add_argument("--epochs", type=int, default=5, help="measured after one to warm up")
    parser.add_argument("--batches", type=int, help="of an epoch; all by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu, with one thread, leaves out the time that other processes had the core",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--amp", action="store_true", help="mixed precision, for ours")
    parser.add_argument("--rlmrec", type=Path, metavar="PATH", help="a copy of RLMRec's repository")
    args = parser.parse_args()
    if args.rlmrec and args.batches:
        parser.error("--rlmrec needs whole epochs: RLMRec draws all negative items of one at once")
    if args.device == "cuda" and args.clock == "cpu":
        parser.error("--clock cpu does not see the work of a GPU")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch sees no GPU here")
    if args.rlmrec and "LightGCN" not in args.backbones:
        parser.error("--rlmrec: its LightGCN is measured beside ours, which --backbones leaves out")
    if args.rlmrec and (why := rlmrec_code.why_absent(args.rlmrec)):
        parser.error(f"--rlmrec: {why}")
    return args


def main() -> None:
    """Measure and print."""
    args = arguments()
    pin(args.threads)
    sys.argv = sys.argv[:1]
    warnings.simplefilter("ignore")
    what = f"first {args.batches} batches" if args.batches else "whole epochs"
    cores = sorted(os.sched_getaffinity(0))
    print(
        f"{args.dataset}, dim {args.dim}, {args.layers} layers, batch {args.batch}, {what}, "
        f"median of {args.epochs}; {args.device}{', ours in mixed precision' if args.amp else ''}, "
        f"{args.clock} clock, {args.threads} threads "
        f"pinned to cores {cores} of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}, "
        f"torch {torch.__version__}\n"
    )
    print(f"| model | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}", flush=True)
    notes = []
    for backbone in args.backbones:
        with tempfile.TemporaryDirectory() as folder:
            entered = contenders(backbone, args, Path(folder))
            gc.collect()
            for epoch in range(args.epochs + 1):
                for contender in entered:
                    contender.round(epoch, args.batches)
            print("\n".join(rows_of(entered)), flush=True)
            theirs, bare, aligned = entered[:3]
            notes += ["", *parts_table(entered[:3], args.batches), ""]
            notes += [overhead(bare, aligned), graphs(theirs, bare, args.clock)]
            notes.append(bandwidth(bare, args.clock))
            notes.append(f"{backbone}: {same_metrics(theirs, bare)}")
    print("\nIn brackets: how many times faster than RecBole's model.")
    print("\n".join(notes))


if __name__ == "__main__":
    main()
