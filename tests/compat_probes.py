"""Observe RecBole in a fresh process, mended or not: prints one observation a fault as JSON.

Usage: ``python compat_probes.py mended|unmended FOLDER URL`` with an empty working folder, a
folder to write data into and the address of a zip file named ``served.zip``.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recbole_darec import compat

N_USERS, N_ITEMS = 12, 90
PAIRS = sorted({(u, (7 * u + 11 * k) % N_ITEMS) for u in range(N_USERS) for k in range(15)})


def write_tiny_dataset(folder: Path) -> None:
    """Few users and many items, with an item file."""
    target = folder / "tiny"
    target.mkdir()
    rows = [f"u{u}\ti{i}\t{k}" for k, (u, i) in enumerate(PAIRS)]
    (target / "tiny.inter").write_text(
        "user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(rows) + "\n"
    )
    items = [f"i{i}\t{1900 + i if i % 3 else ''}\ta b" for i in range(N_ITEMS)]
    (target / "tiny.item").write_text(
        "item_id:token\tyear:float\tclass:token_seq\n" + "\n".join(items) + "\n"
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def configure(model: str, folder: Path, **keys: Any) -> Any:
    from recbole.config import Config

    keys = {"gpu_id": "", "epochs": 1, "show_progress": False, "data_path": str(folder), **keys}
    return Config(model, "tiny", config_dict=keys)


def build(model: str, folder: Path, **keys: Any) -> tuple[Any, Any]:
    """A model of RecBole and the data it trains on."""
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, init_seed

    config = configure(model, folder, **keys)
    init_seed(1, True)
    train, _, _ = data_preparation(config, create_dataset(config))
    return get_model(model)(config, train._dataset), train


def probe_numpy(folder: Path) -> Any:
    import numpy as np

    configure("BPR", folder)
    names = ("bool", "int", "float", "complex", "object", "str", "long", "unicode")
    return {name: np.dtype(getattr(np, name)).kind for name in names}


def probe_dok_matrix(folder: Path) -> Any:
    """Largest difference of LightGCN's graph from one made by hand."""
    import numpy as np

    model, train = build("LightGCN", folder)
    n_users = model.n_users
    adjacency = np.zeros((n_users + model.n_items,) * 2)
    matrix = train._dataset.inter_matrix(form="coo")
    for user, item in zip(matrix.row, matrix.col, strict=True):
        adjacency[user, n_users + item] = adjacency[n_users + item, user] = 1
    scale = (adjacency.sum(1) + 1e-7) ** -0.5
    expected = scale[:, None] * adjacency * scale[None, :]
    return float(np.abs(model.norm_adj_matrix.to_dense().numpy() - expected).max())


def probe_dgcf(folder: Path) -> Any:
    import torch

    model, train = build("DGCF", folder, train_batch_size=4096)
    return bool(torch.isfinite(sum(model.calculate_loss(next(iter(train))))))


def probe_ngcf(folder: Path) -> Any:
    """Whether two forward passes agree, in evaluation and in training."""
    model, _ = build("NGCF", folder, message_dropout=0.5, node_dropout=0.0)

    def agree() -> bool:
        return all(bool((a == b).all()) for a, b in zip(model(), model(), strict=True))

    return {"training": agree(), "evaluation": (model.eval(), agree())[1]}


def probe_diffrec_predict(folder: Path) -> Any:
    """Shape of the scores of pairs, and whether they are those of the full ranking."""
    import torch
    from recbole.data.interaction import Interaction

    found = {}
    for name in ("DiffRec", "LDiffRec"):
        model, _ = build(name, folder)
        model.eval()
        pairs = Interaction({"user_id": torch.arange(1, 6), "item_id": torch.arange(11, 16)})
        scores = model.predict(pairs)
        full = model.full_sort_predict(pairs).view(5, -1)
        expected = torch.stack([full[k, 11 + k] for k in range(5)])
        found[name] = [list(scores.shape), torch.equal(scores, expected)]
    return found


def probe_diffrec_noise(folder: Path) -> Any:
    import torch

    found = {}
    for name in ("DiffRec", "LDiffRec"):
        model, train = build(name, folder, noise_scale=0)
        loss = model.calculate_loss(next(iter(train)))
        found[name] = [bool(torch.isfinite(loss)), model.reweight]
    return found


def probe_ldiffrec_items(folder: Path) -> Any:
    """What becomes of pickled vectors of the items, and whether plain ones are read."""
    import numpy as np

    file = folder / "tiny" / "item_emb.npy"
    np.save(file, np.array([{"any": "object"}], dtype=object))
    try:
        build("LDiffRec", folder, n_cate=2)
    except Exception as error:
        of_pickle = type(error).__name__
    np.save(file, np.random.default_rng(0).normal(size=(N_ITEMS, 4)).astype(np.float32))
    model, _ = build("LDiffRec", folder, n_cate=2)
    return [of_pickle, sorted(torch_ids(model))]


def torch_ids(model: Any) -> list[int]:
    """Items of all the categories of LDiffRec."""
    return [int(item) for category in model.autoencoder.category_idx for item in category]


def probe_simplex(folder: Path) -> Any:
    default, _ = build("SimpleX", folder)
    asked, _ = build("SimpleX", folder, dropout_prob=0.7)
    return [default.dropout.p, asked.dropout.p]


def probe_device(folder: Path) -> Any:
    import torch
    from recbole.data.interaction import Interaction

    pairs = Interaction({"user_id": torch.arange(1, 6), "item_id": torch.arange(1, 6)})
    found = {}
    for name in ("ADMMSLIM", "Random", "SLIMElastic"):
        model, _ = build(name, folder)
        model.device = torch.device("meta")
        found[name] = model.predict(pairs).device.type
    return found


def probe_tensorboard(folder: Path) -> Any:
    """What a trainer leaves in the working folder and beside the log file."""
    from recbole.trainer import Trainer

    logger = logging.getLogger()
    model, _ = build("BPR", folder)
    keys = {"checkpoint_dir": str(folder / "saved")}
    Trainer(configure("BPR", folder, **keys), model).tensorboard.add_scalar("a", 1.0, 0)
    without_log = names_in(Path())
    run = folder / "run"
    run.mkdir()
    handler = logging.FileHandler(run / "run.log")
    logger.addHandler(handler)
    Trainer(configure("BPR", folder, **keys), model).tensorboard.add_scalar("a", 1.0, 0)
    logger.removeHandler(handler)
    return [without_log, names_in(Path()), names_in(run)]


def probe_warnings(folder: Path) -> Any:
    """Modules of RecBole that warn while a model is built from data with gaps."""
    import torch

    torch.set_warn_always(True)
    with warnings.catch_warnings(record=True) as caught:
        columns = {"inter": ["user_id", "item_id"], "item": ["item_id", "year", "class"]}
        build("LightGCN", folder, load_col=columns)
        build("SpectralCF", folder)
    torch.set_warn_always(False)
    return sorted({Path(w.filename).name for w in caught if "recbole" in w.filename})


def probe_download(folder: Path) -> Any:
    from recbole.data.dataset import Dataset

    class Served(Dataset):
        def _get_download_url(self, url_file: str, allow_none: bool = False) -> str:
            return sys.argv[3]

    config = configure("BPR", folder)
    dataset = Served(config)
    dataset.dataset_name, dataset.dataset_path = "served", str(folder / "served")
    dataset._download()
    return names_in(folder / "served")


def probe_imports(folder: Path) -> Any:
    import torch
    from recbole.data import create_dataset  # noqa: F401
    from recbole.trainer import Trainer  # noqa: F401

    heavy = [m for m in ("ray", "hyperopt", "wandb", "recbole.quick_start") if m in sys.modules]
    return [heavy, torch.load.__module__]


# Without the first two mendings, no later fault could be reached.
PROBES: dict[Callable[[Path], Any], Callable[[], None] | None] = {
    probe_numpy: compat.restore_numpy_aliases,
    probe_dok_matrix: compat.restore_dok_matrix_update,
    probe_dgcf: None,
    probe_ngcf: None,
    probe_diffrec_predict: None,
    probe_diffrec_noise: None,
    probe_ldiffrec_items: None,
    probe_simplex: None,
    probe_device: None,
    probe_tensorboard: None,
    probe_warnings: None,
    probe_download: None,
    probe_imports: None,
}


def main() -> None:
    mended, folder = sys.argv[1] == "mended", Path(sys.argv[2])
    compat.general_recommenders()
    light = [m for m in ("torch", "numpy", "recbole") if m in sys.modules]
    write_tiny_dataset(folder)
    if mended:
        compat.install()
    found: dict[str, Any] = {"light": light}
    for probe, needed_by_later in PROBES.items():
        name = probe.__name__.removeprefix("probe_")
        try:
            found[name] = probe(folder)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
        if needed_by_later is not None and not mended:
            needed_by_later()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
