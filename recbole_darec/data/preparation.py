"""From a configuration to RecBole's dataset and dataloaders."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole.data.dataset as recbole_datasets
import recbole.data.utils as recbole_data
import torch
from recbole.data.dataloader import FullSortEvalDataLoader, TrainDataLoader
from recbole.utils import ModelType

from recbole_darec.config import Config
from recbole_darec.data.dataset import SideEmbeddingDataset
from recbole_darec.data.full_sort_loader import UserBatchLoader
from recbole_darec.data.sampler import PHASES, PairSampler, create_samplers
from recbole_darec.data.train_loader import TrainLoader
from recbole_darec.data.user_items import UserItems
from recbole_darec.interaction_files import are_empty, check_headers, check_value_lists
from recbole_darec.keys import ConfigError
from recbole_darec.recbole_values import has_part


def create_dataset(config: Config) -> Any:
    """The filtered dataset; with side embeddings where the model aligns.

    Raises:
        ConfigError: if a file is missing or malformed, or nothing is left after filtering.
    """
    check_headers(config)
    check_value_lists(config)
    _warn_of_own_ml_100k(config)
    with _refused(config):
        dataset = _recboles_dataset(config)
    if isinstance(dataset, SideEmbeddingDataset) != config.uses_text:
        kind = "without texts" if config.uses_text else "of a model with texts"
        raise ConfigError(
            f"key 'dataset_save_path': {config['dataset_save_path']} holds a dataset {kind}, which "
            f"does not serve {config.model}; leave the key out"
        )
    if config["dataset_save_path"] and dataset.config is config:
        getLogger().warning(
            f"{config['dataset_save_path']} is not used: the keys of its dataset or seed are others"
        )
    if config["save_dataset"] and dataset.config is config:
        dataset.save()
    if len(dataset.inter_feat) == 0:
        raise ConfigError(_empty(config))
    _check_interactions(config, dataset)
    return dataset


def _warn_of_own_ml_100k(config: Config) -> None:
    own = Path(config.resolved()["data_path"]) / "ml-100k"
    if config.dataset == "ml-100k" and own.is_dir() and not own.samefile(config["data_path"]):
        getLogger().warning(
            f"{own} is not read: RecBole takes its own copy of ml-100k, whatever data_path says; "
            "to use yours, give the folder and its files another name"
        )


def _check_interactions(config: Config, dataset: Any) -> None:
    """What RecBole leaves unsaid where the parts of the split are files: it filters nothing."""
    inter = dataset.inter_feat
    unknown = int(((inter[dataset.uid_field] == 0) | (inter[dataset.iid_field] == 0)).sum())
    if unknown:
        raise ConfigError(
            f"{unknown} interactions of '{config.dataset}' have no user or no item id; take these "
            "rows out of its files"
        )
    ignored = _filters(config)
    if config["benchmark_filename"] and ignored:
        getLogger().warning(
            "RecBole filters nothing where benchmark_filename gives the parts, without effect: "
            f"{', '.join(ignored)}; filter the files themselves"
        )
    _warn_of_repeated(config, dataset)
    _check_labels(config, inter)


def _warn_of_repeated(config: Config, dataset: Any) -> None:
    """The same pair in two parts of the split makes the evaluation look better than it is."""
    if config["benchmark_filename"] or config["repeatable"]:
        return
    inter = dataset.inter_feat
    repeated = int(inter.duplicated([dataset.uid_field, dataset.iid_field]).sum())
    if repeated:
        getLogger().warning(
            f"{repeated} of {len(inter)} interactions of '{config.dataset}' repeat an earlier one "
            "of the same user and item: a pair may be trained on and be tested; rm_dup_inter: "
            "first keeps the first of each"
        )


def _check_labels(config: Config, inter: Any) -> None:
    mode, label = config["eval_args"]["mode"], config["LABEL_FIELD"]
    labeled = "labeled" in (mode.values() if isinstance(mode, dict) else (mode,))
    drawn = (config["train_neg_sample_args"] or {}).get("distribution", "none") != "none"
    if config["threshold"] and drawn and not labeled:
        getLogger().warning(
            "threshold has no effect: it makes labels, and a model that draws negatives takes "
            "every interaction for a positive one; val_interval leaves interactions out"
        )
    if labeled and label not in inter:
        raise ConfigError(
            f"key 'eval_args': mode is labeled, but the interactions of '{config.dataset}' have no "
            f"column '{label}': set LABEL_FIELD to it, or threshold, which makes it of another"
        )


@contextmanager
def _refused(config: Config) -> Iterator[None]:
    """Name the dataset and the keys where RecBole cannot make use of the files."""
    try:
        yield
    except ConfigError:
        raise
    except (pickle.UnpicklingError, EOFError) as error:
        raise ConfigError(
            f"key 'dataset_save_path': {config['dataset_save_path']} cannot be read: {error}"
        ) from error
    except (ValueError, KeyError, IndexError, OSError, TypeError, AttributeError) as error:
        if "is empty" in str(error) or are_empty(config):
            raise ConfigError(_empty(config)) from error
        absent = "no field " if isinstance(error, KeyError) else ""
        raise ConfigError(
            f"dataset '{config.dataset}' in {config['data_path']} cannot be used: "
            f"{absent}{str(error).rstrip('.')}. {_remedy(str(error))}"
        ) from error


def _remedy(error: str) -> str:
    if "Unable to convert column" in error:
        return "A value of that column is no number (times are numbers too, such as seconds)"
    return (
        "Check load_col, unused_col, val_interval, threshold, seq_len, field_separator and the "
        "interval filters against the header of its files, and that no row lacks an id"
    )


def _recboles_dataset(config: Config) -> Any:
    """RecBole's dataset; it would unpickle one that it finds in ``checkpoint_dir``, unasked."""
    kept = {key: config[key] for key in ("checkpoint_dir", "save_dataset")}
    config["checkpoint_dir"], config["save_dataset"] = os.devnull, False
    # RecBole's way to a class of its own for a model: one of that name in its module.
    own = f"{config.model}Dataset"
    if config.uses_text and not hasattr(recbole_datasets, own):
        setattr(recbole_datasets, own, SideEmbeddingDataset)
    try:
        dataset = recbole_data.create_dataset(config)
    finally:
        for key, value in kept.items():
            config[key] = value
    return dataset


_FILTERS = ("val_interval", "user_inter_num_interval", "item_inter_num_interval", "rm_dup_inter")


def _empty(config: Config) -> str:
    filters = _filters(config)
    if not filters or are_empty(config):
        return f"dataset '{config.dataset}' is empty: its files hold no interactions"
    return f"dataset '{config.dataset}' is empty after filtering: relax {', '.join(filters)}"


def _filters(config: Config) -> list[str]:
    """The keys by which RecBole leaves interactions out."""
    return [key for key in _FILTERS if config[key] and config[key] != "[0,inf)"]


def prepare_data(config: Config, dataset: Any) -> tuple[Any, Any, Any]:
    """RecBole's ``data_preparation`` with full-sort batches counted in users.

    Returns:
        Loaders of training, validation and test data; None for an empty part.

    Raises:
        ConfigError: if the split leaves no interactions to train on, or mask_valid_at_test is
            False with saved dataloaders.
    """
    if config["dataloaders_save_path"] or config["save_dataloaders"]:
        if not config["mask_valid_at_test"]:
            raise ConfigError(
                "key 'mask_valid_at_test' is False, but saved dataloaders leave validation items "
                "out of the test ranking; do without dataloaders_save_path and save_dataloaders"
            )
        loaders = _recboles_loaders(config, dataset)
        _warn_of_empty_parts(config, loaders)
        return loaders
    splits = _splits(config, dataset)
    if len(splits[0].inter_feat) == 0:
        raise ConfigError(f"the training part of '{config.dataset}' is empty; check eval_args")
    samplers = create_samplers(config, dataset, splits)
    if not config["mask_valid_at_test"] and isinstance(samplers[2], PairSampler):
        samplers[2].used_ids = UserItems.of(splits[0]) | UserItems.of(splits[2])
    shuffles = (config["shuffle"] or config["MODEL_TYPE"] == ModelType.KNOWLEDGE, False, False)
    train, valid, test = (
        _loader_class(config, phase)(config, split, sampler, shuffle=shuffle)
        if len(split.inter_feat)
        else None
        for phase, split, sampler, shuffle in zip(PHASES, splits, samplers, shuffles, strict=True)
    )
    getLogger().info(
        f"[Training]: train_batch_size = [{config['train_batch_size']}] "
        f"train_neg_sample_args: [{config['train_neg_sample_args']}]"
    )
    getLogger().info(
        f"[Evaluation]: eval_batch_size = [{config['eval_batch_size']}] "
        f"eval_args: [{config['eval_args']}]"
    )
    _warn_of_empty_parts(config, (train, valid, test))
    return train, valid, test


def _warn_of_empty_parts(config: Config, loaders: tuple[Any, Any, Any]) -> None:
    """RecBole leaves a user of few interactions none for validation or test, and says nothing."""
    if loaders[1] is None and has_part(config, "valid"):
        getLogger().warning(
            "The validation part is empty: no user has an interaction to spare for it. All epochs "
            "are trained, none is chosen, and the last is kept; change eval_args, or leave out "
            "users of few interactions (user_inter_num_interval)"
        )
    if loaders[2] is None and has_part(config, "test"):
        getLogger().warning(
            "The test part is empty: no user has an interaction to spare for it, and there will be "
            "no test result; change eval_args"
        )


def _recboles_loaders(config: Config, dataset: Any) -> tuple[Any, Any, Any]:
    """RecBole's loaders, read or saved; to save them it has taken out what shuffles them."""
    loaders = recbole_data.data_preparation(config, dataset)
    training = loaders[0]._dataset
    if training.config is config:
        if config["dataloaders_save_path"]:
            getLogger().warning(
                f"{config['dataloaders_save_path']} is not used: the keys of its dataset, seed, "
                "repeatable or eval_args are others"
            )
    else:
        _check_read_loaders(config, loaders[0])
        if config.uses_text:
            training.attach_anew(config)
    for loader in loaders:
        if loader.generator is None:
            loader.generator = torch.Generator().manual_seed(config["seed"])
            loader.sampler.generator = loader.generator
    train, valid, test = (loader if len(loader._dataset.inter_feat) else None for loader in loaders)
    return train, valid, test


def _check_read_loaders(config: Config, train: Any) -> None:
    """Refuse what RecBole keeps of the run that saved the loaders, whatever the keys say now."""
    key, file = "key 'dataloaders_save_path'", config["dataloaders_save_path"]
    if config.uses_text and not isinstance(train._dataset, SideEmbeddingDataset):
        raise ConfigError(
            f"{key}: {file} holds the data of a model without texts, which do not serve "
            f"{config.model}; leave the key out"
        )
    for frozen in ("train_batch_size", "train_neg_sample_args"):
        was = train._dataset.config[frozen]
        if config[frozen] != was:
            raise ConfigError(
                f"{key}: {file} was saved with {frozen} {was}, which RecBole keeps, but it is "
                f"{config[frozen]} now; give the same, or leave the key out"
            )


def _splits(config: Config, dataset: Any) -> Any:
    time = config["TIME_FIELD"]
    ordered = config["eval_args"]["order"] == "TO" and not config["benchmark_filename"]
    if ordered and time not in dataset.inter_feat:
        raise ConfigError(
            f"eval_args orders '{config.dataset}' by time, but its interactions have no column "
            f"'{time}': set TIME_FIELD to the column of times, or order: RO"
        )
    largest = max(config["topk"])
    if largest >= dataset.item_num:
        raise ConfigError(
            f"key 'topk' asks for {largest} items, but '{config.dataset}' has "
            f"{dataset.item_num - 1}: lower topk"
        )
    with _refused(config):
        return dataset.build()


def _loader_class(config: Config, phase: str) -> type[Any]:
    found: type[Any] = recbole_data.get_dataloader(config, phase)
    if found is FullSortEvalDataLoader:
        return UserBatchLoader
    # Worker processes and several machines share out an order in ways of their own.
    alone = config["single_spec"] and not config["worker"]
    return TrainLoader if found is TrainDataLoader and alone else found
