"""RecBole 1.2.0 and 1.2.1 on current NumPy, SciPy, pandas, PyTorch and Ray.

One function per upstream fault; :func:`install` applies all of them once. Importing this module
imports neither RecBole nor PyTorch. ``torch.load`` stays as it is: our trainer writes checkpoints
that load with ``weights_only=True``.

Faults of RecBole that need no mending here: ``logger.warnning`` (1.2.0) is reached only by
shuffled evaluation loaders, which RecBole never builds; the collector of 1.2.0 moves every batch
of results to the CPU, which is slower but equal; pandas 3 ignores ``fillna(inplace=True)`` on a
column, which is why this package asks for ``pandas<3``.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from recbole_darec.keys import ConfigError


@cache
def install() -> None:
    """Mend RecBole in this process. Call before RecBole is used; later calls do nothing."""
    restore_numpy_aliases()
    restore_dok_matrix_update()
    mend_dataset_download()
    put_tensorboard_beside_log()
    limit_dgcf_sample()
    read_item_vectors_without_pickles()
    silence_deprecations()
    if _recbole_version() == "1.2.0":
        stop_ngcf_dropout_in_evaluation()
        index_diffrec_predictions()
        allow_diffrec_without_noise()
        give_simplex_its_dropout()
        return_predictions_on_device()


def restore_numpy_aliases() -> None:
    """RecBole 1.2.0 and 1.2.1 use ``np.float`` and its like, which NumPy 1.24 removed.

    ``Config.compatibility_settings`` puts them back from ``np.float_``, ``np.complex_`` and
    ``np.unicode_``, which NumPy 2.0 removed in turn, so every ``Config`` raises AttributeError.
    Here only the missing names are added, with the types that RecBole gives them.
    """
    import numpy as np
    from recbole.config import Config

    aliases = {
        "bool": np.bool_,
        "int": np.int_,
        "float": np.float64,
        "complex": np.complex128,
        "object": np.object_,
        "str": np.str_,
        "long": np.int_,
        "unicode": np.str_,
    }
    for name, alias in aliases.items():
        if name not in vars(np):
            setattr(np, name, alias)
    Config.compatibility_settings = lambda self: None


def restore_dok_matrix_update() -> None:
    """RecBole 1.2.0 and 1.2.1 build graphs by ``dok_matrix._update``, removed in SciPy 1.13.

    Concerns LightGCN, NGCF, NCL, GCMC and SpectralCF (and the knowledge-aware KGIN and MCCLK).
    """
    import scipy.sparse as sp

    if not hasattr(sp.dok_matrix, "_update"):
        sp.dok_matrix._update = lambda self, entries: self._dict.update(entries)


def mend_dataset_download() -> None:
    """``Dataset._download`` waits at a barrier of process groups that a single process lacks.

    RecBole 1.2.0 and 1.2.1 raise ``ValueError: Default process group has not been initialized``
    after the download, and without a network leave the reader with a bare ``URLError``.
    """
    import torch.distributed
    from recbole.data.dataset import Dataset

    def _download(self: Any) -> None:
        if self.config["local_rank"] == 0:
            url = self._get_download_url("url", allow_none=True)
            download_dataset(self.dataset_name, Path(self.dataset_path), url)
        if torch.distributed.is_initialized():
            torch.distributed.barrier()

    Dataset._download = _download


def put_tensorboard_beside_log() -> None:
    """The trainers of RecBole 1.2.0 and 1.2.1 write ``log_tensorboard/`` in the working folder.

    Here the events lie in ``tensorboard/`` beside the log file, and nowhere without a log file.
    """
    import recbole.trainer.trainer
    from torch.utils.tensorboard import SummaryWriter

    def get_tensorboard(logger: logging.Logger) -> Any:
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler) and handler.baseFilename != os.devnull:
                return SummaryWriter(str(Path(handler.baseFilename).parent / "tensorboard"))
        return _NoTensorBoard()

    recbole.trainer.trainer.get_tensorboard = get_tensorboard


class _NoTensorBoard:
    """Takes what RecBole's trainers write to TensorBoard, and drops it."""

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        """Drop a scalar."""

    def add_hparams(self, *args: Any, **kwargs: Any) -> None:
        """Drop the hyper-parameters."""


def limit_dgcf_sample() -> None:
    """DGCF of RecBole 1.2.0 and 1.2.1 draws more users than there are on small datasets.

    The size of its sample for the distance correlation follows the larger of users and items, so
    that ``random.sample`` raises ``Sample larger than population`` where one batch holds many of
    the interactions.
    """
    from recbole.model.general_recommender import dgcf

    sample = dgcf.sample_cor_samples

    def sample_cor_samples(n_users: int, n_items: int, cor_batch_size: int) -> Any:
        return sample(n_users, n_items, min(cor_batch_size, n_users, n_items))

    dgcf.sample_cor_samples = sample_cor_samples


def read_item_vectors_without_pickles() -> None:
    """LDiffRec of RecBole 1.2.0 and 1.2.1 loads ``item_emb.npy`` with ``allow_pickle=True``.

    A dataset's folder from a stranger then runs code when ``n_cate`` is above 1.
    """
    import numpy as np
    from recbole.model.general_recommender import ldiffrec

    class NumPyWithoutPickles:
        """NumPy as the module uses it, but for ``load``."""

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        @staticmethod
        def load(file: str, allow_pickle: bool = False) -> Any:
            try:
                return np.load(file, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"{file} must hold the vectors of the items, numbers alone: {error}"
                ) from error

    ldiffrec.np = NumPyWithoutPickles()


def silence_deprecations() -> None:
    """RecBole 1.2.0 and 1.2.1 use calls that pandas 2 and PyTorch 2 keep, with a warning.

    These are ``fillna(inplace=True)`` on a column, ``torch.sparse.FloatTensor`` and
    ``torch.cuda.amp.GradScaler``; they work in the versions that this package asks for. So does
    SpectralCF's tensor of a list of arrays, made once, which PyTorch calls slow.
    """
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=r"recbole\.")
    for message in (r"torch\.sparse\.SparseTensor", "Creating a tensor from a list of numpy"):
        warnings.filterwarnings("ignore", message=message, module=r"recbole\.")


def stop_ngcf_dropout_in_evaluation() -> None:
    """NGCF of RecBole 1.2.0 makes its dropout inside ``forward``, so it stays on in evaluation.

    Validation and test then score randomly thinned embeddings; 1.2.1 mended it.
    """
    from recbole.model.general_recommender.ngcf import NGCF

    thinned = NGCF.forward

    def forward(self: Any) -> Any:
        if self.training:
            return thinned(self)
        rate, self.message_dropout = self.message_dropout, 0.0
        try:
            return thinned(self)
        finally:
            self.message_dropout = rate

    NGCF.forward = forward


def index_diffrec_predictions() -> None:
    """``predict`` of DiffRec and LDiffRec in RecBole 1.2.0 scores every user with every item.

    It returns a square instead of one score a pair, which corrupts sampled evaluation; 1.2.1
    mended it.
    """
    import torch
    from recbole.model.general_recommender.diffrec import DiffRec
    from recbole.model.general_recommender.ldiffrec import LDiffRec

    def predict(self: Any, interaction: Any) -> torch.Tensor:
        item = interaction[self.ITEM_ID]
        scores: torch.Tensor = self.full_sort_predict(interaction)
        return scores[torch.arange(len(item), device=scores.device), item]

    DiffRec.predict = predict
    LDiffRec.predict = predict


def allow_diffrec_without_noise() -> None:
    """DiffRec and LDiffRec of RecBole 1.2.0 raise AttributeError for ``noise_scale: 0``.

    They read the noise schedule that this value leaves out; as in 1.2.1, there is then neither a
    schedule nor a reweighting by it.
    """
    from recbole.model.general_recommender.diffrec import DiffRec

    calculate = DiffRec.calculate_for_diffusion

    def calculate_for_diffusion(self: Any) -> None:
        if self.noise_scale == 0:
            self.reweight = False
        else:
            calculate(self)

    DiffRec.calculate_for_diffusion = calculate_for_diffusion


def give_simplex_its_dropout() -> None:
    """SimpleX of RecBole 1.2.0 ignores ``dropout_prob``: its dropout is 0.1 whatever is asked.

    1.2.1 mended it, with 0.1 as the default.
    """
    from recbole.model.general_recommender.simplex import SimpleX

    initialise = SimpleX.__init__

    def __init__(self: Any, config: Any, dataset: Any) -> None:  # noqa: N807
        initialise(self, config, dataset)
        if config["dropout_prob"] is not None:
            self.dropout.p = config["dropout_prob"]

    SimpleX.__init__ = __init__


def return_predictions_on_device() -> None:
    """``predict`` of Random, ADMMSLIM and SLIMElastic in RecBole 1.2.0 answers on the CPU.

    Sampled evaluation on a GPU then fails; 1.2.1 mended it.
    """
    from recbole.model.general_recommender import ADMMSLIM, Random, SLIMElastic

    def on_device(predict: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        return lambda self, interaction: predict(self, interaction).to(self.device)

    for model in (ADMMSLIM, Random, SLIMElastic):
        model.predict = on_device(model.predict)


def check_packages(config: Any) -> None:
    """Refuse a run that would miss a package only when training has begun.

    Raises:
        ConfigError: naming the package and the command that installs it.
    """
    needed = []
    if config["model"] == "NCL":
        needed.append(("model 'NCL'", "faiss", "faiss-cpu"))
    if config["model"] == "NNCF" and config["neigh_info_method"] == "louvain":
        needed.append(("neigh_info_method 'louvain'", "community", "python-louvain"))
    if config["log_wandb"]:
        needed.append(("log_wandb", "wandb", "wandb"))
    for what, module, package in needed:
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f"{what} needs the package '{package}': pip install {package}")


def known_datasets() -> dict[str, str]:
    """Names of the datasets that RecBole can download, with their addresses."""
    import yaml

    text = (_recbole_folder() / "properties" / "dataset" / "url.yaml").read_text("utf-8")
    addresses: dict[str, str] = yaml.safe_load(text)
    return addresses


@cache
def general_recommenders() -> dict[str, str]:
    """RecBole's general recommenders, traditional ones included: class name to module name.

    The sources are read, not imported, so that this costs no import of PyTorch. A model is the
    class whose name in lower case is that of its file, as in RecBole's ``get_model``.
    """
    package = "recbole.model.general_recommender"
    folder = _recbole_folder() / "model" / "general_recommender"
    found = {}
    for path in sorted(folder.glob("[!_]*.py")):
        for name in re.findall(r"^class (\w+)", path.read_text("utf-8"), flags=re.MULTILINE):
            if name.lower() == path.stem:
                found[name] = f"{package}.{path.stem}"
    return found


def other_recommender_kind(name: str) -> str | None:
    """Kind of a RecBole model that is no general recommender, as ``"sequential"``."""
    for folder in sorted((_recbole_folder() / "model").glob("*_recommender")):
        if folder.stem != "general_recommender" and (folder / f"{name.lower()}.py").is_file():
            return folder.stem.removesuffix("_recommender").replace("_", "-")
    return None


@contextmanager
def recboles_refusals(model: str, config: Any) -> Iterator[None]:
    """Say in words that a model of RecBole cannot be built, which asserts or fails deep inside.

    Raises:
        ConfigError: in the place of whatever RecBole's code raises.
    """
    try:
        yield
    except (ConfigError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise ConfigError(
            f"RecBole's {model} cannot be built with these keys (embedding_size: "
            f"{config['embedding_size']}): {type(error).__name__}: {error}; see its yaml in "
            "recbole/properties/model for what it expects"
        ) from error


def keep_clusters(model: Any) -> None:
    """Make the clusters of RecBole's NCL buffers, so that checkpoints hold them.

    A run resumed between two clusterings (``m_step`` above 1) would have none. Other models stay
    as they are.
    """
    import torch

    if not hasattr(model, "user_2cluster"):
        return
    for side, n in (("user", model.n_users), ("item", model.n_items)):
        delattr(model, f"{side}_centroids")
        delattr(model, f"{side}_2cluster")
        model.register_buffer(f"{side}_centroids", torch.zeros(model.k, model.latent_dim))
        model.register_buffer(f"{side}_2cluster", torch.zeros(n, dtype=torch.long))


def require_points(what: str, config: Any, n_users: int, n_items: int) -> None:
    """See that RecBole's NCL has as many users and items, with ``[PAD]``, as clusters.

    Raises:
        ConfigError: if not.
    """
    fewest = min(n_users, n_items)
    if config["num_clusters"] > fewest:
        raise ConfigError(
            f"{what} cannot make {config['num_clusters']} clusters of {fewest} rows (with "
            "RecBole's [PAD]); set key 'num_clusters' to less"
        )


def require_strangers(what: str, model: Any, dataset: Any) -> None:
    """See that each item has a user who does not know it, whom RecBole's LINE draws until found.

    Raises:
        ConfigError: if an item has none, with which training would never end.
    """
    of_all = [item for item, users in enumerate(model.used_ids) if len(users) == model.n_users - 1]
    if of_all:
        token = dataset.id2token(dataset.iid_field, of_all[0])
        raise ConfigError(
            f"{what} draws users who do not know an item, but all users know item '{token}', so "
            f"that it would never end; set item_inter_num_interval to '[0,{model.n_users - 1})', "
            "or take another model"
        )


# Neither parameters nor buffers: annealing of MultiVAE, MacridVAE and LDiffRec, histories of losses
# of DiffRec, the shuffled users of LINE.
_TRAINING_STATE = (
    "update",
    "update_count",
    "update_count_vae",
    "Lt_history",
    "Lt_count",
    "random_list",
    "random_pr",
)


def training_state(model: Any) -> dict[str, dict[str, Any]]:
    """What RecBole's models count while they train, by module and attribute."""
    return {
        name: {key: vars(module)[key] for key in _TRAINING_STATE if key in vars(module)}
        for name, module in model.named_modules()
    }


def set_training_state(model: Any, state: Mapping[str, Mapping[str, Any]]) -> None:
    """Put back what ``training_state`` gave."""
    for name, values in state.items():
        vars(model.get_submodule(name)).update(values)


def require_dataset(config: Any) -> None:
    """Make sure that the interactions of a configured dataset are there; download if need be.

    Args:
        config: a RecBole configuration with ``dataset``, ``data_path`` and, where the split is
            given by files, ``benchmark_filename``.

    Raises:
        ConfigError: if files are missing and cannot be had; nothing has been created then.
    """
    name, folder = config["dataset"], Path(config["data_path"])
    if not folder.exists():
        download_dataset(name, folder)
    parts = config["benchmark_filename"]
    stems = [f"{name}.{part}" for part in parts] if parts else [name]
    missing = [f"{stem}.inter" for stem in stems if not (folder / f"{stem}.inter").is_file()]
    if missing:
        raise ConfigError(
            f"dataset '{name}': {', '.join(missing)} not found in {folder}. "
            "Put the file there, or correct 'dataset' and 'data_path'"
        )


def download_dataset(name: str, folder: Path, url: str | None = None) -> None:
    """Download a dataset as RecBole does, or leave no trace.

    Args:
        name: RecBole's name of the dataset.
        folder: where its atomic files will lie; must not exist yet.
        url: address of the zip file; by default the one that RecBole knows.

    Raises:
        ConfigError: if the name is unknown to RecBole or the download fails; the message says
            which files belong where.
    """
    url = url or known_datasets().get(name)
    if url is None:
        raise ConfigError(
            f"dataset '{name}' is not in {folder}, and RecBole knows no address to download it "
            f"from. {_where_files_belong(name, folder)}"
        )
    try:
        _fetch(name, folder, url)
    except (OSError, RuntimeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"dataset '{name}' is not in {folder}, and its download from {url} failed "
            f"({error}). {_where_files_belong(name, folder)}"
        ) from error


def _fetch(name: str, folder: Path, url: str) -> None:
    from recbole.utils.url import (
        decide_download,
        download_url,
        extract_zip,
        rename_atomic_files,
    )

    if not decide_download(url):
        raise RuntimeError("declined")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as temporary:
        archive = download_url(url, temporary)
        content = Path(temporary) / "content"
        extract_zip(archive, content)
        rename_atomic_files(content, Path(archive).stem, name)
        if not (content / f"{name}.inter").is_file():
            raise RuntimeError(f"the archive holds no {name}.inter")
        content.rename(folder)


def _where_files_belong(name: str, folder: Path) -> str:
    return (
        f"Put the files there yourself: {folder / name}.inter, and where the dataset has them "
        f"{folder / name}.item and {folder / name}.user; or correct 'dataset' and 'data_path'"
    )


def _recbole_version() -> str:
    import recbole

    version: str = recbole.__version__
    return version


def _recbole_folder() -> Path:
    spec = importlib.util.find_spec("recbole")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
