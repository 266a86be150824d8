"""RecBole's configuration with our models, our yaml files and strict checks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np

from recbole_darec import compat

compat.install()

from recbole.config import Config as RecBoleConfig  # noqa: E402
from recbole.model.abstract_recommender import AutoEncoderMixin  # noqa: E402
from recbole.utils import InputType, get_model  # noqa: E402

from recbole_darec.backbone.recbole_models import (  # noqa: E402
    READING_TABLES,
    SCORING_OTHERWISE,
    SERVING,
    why_refused,
)
from recbole_darec.command_line import parse_command_line, value_of  # noqa: E402
from recbole_darec.embedding.keys import KEYS as EMBEDDING_KEYS  # noqa: E402
from recbole_darec.embedding.keys import check_key_variable  # noqa: E402
from recbole_darec.fit import require_fit  # noqa: E402
from recbole_darec.keys import ConfigError, Key, nearest  # noqa: E402
from recbole_darec.known_keys import (  # noqa: E402
    OWN_KEYS,
    RECBOLE_KEYS,
    RECBOLE_MODEL_KEYS,
    RECOMMENDER_KEYS,
    USER_SOURCES,
    all_key_names,
    declared_keys,
    general_keys,
    keys_of,
    keys_of_users,
    part_keys,
    readers,
    recbole_model_keys,
)
from recbole_darec.paths import properties_dir  # noqa: E402
from recbole_darec.recbole_values import (  # noqa: E402
    check_recbole_values,
    computed_metrics,
    interaction_columns,
)
from recbole_darec.registry import ADAPTED, BARE, Part, backbone_part, parts  # noqa: E402
from recbole_darec.yaml_file import Loader, read_yaml  # noqa: E402

_TYPED = (bool, int, float, list, dict)
# Keys that frameworks often have, and what stands in their place here.
_INSTEAD = {
    "device": "set use_gpu, and gpu_id for one of several",
    "neg_sampling": "RecBole calls it train_neg_sample_args since version 1.1",
}
_PATH_KEYS = (
    "data_path",
    "checkpoint_dir",
    "embedding_dir",
    "item_text_file",
    "user_text_file",
    "item_embedding_file",
    "user_embedding_file",
    "resume",
)


class Config(RecBoleConfig):  # type: ignore[misc]
    """The configuration of one run.

    Priority, as in RecBole: command line > ``config_dict`` > config files > yaml of the package.
    Unlike RecBole, only the given ``command_line`` is read, never ``sys.argv``; an unknown key,
    model or dataset is an error; strings are parsed as literals, never evaluated; and the
    environment of the process is not changed.

    Args:
        model: name of a model; default ``DaRec``.
        dataset: name of a dataset; default ``ml-100k``.
        config_file_list: yaml files, later ones win.
        config_dict: parameters by key.
        command_line: arguments of the form ``--key=value``.

    Raises:
        ConfigError: if a key, name or value is wrong; the message names the remedy.
    """

    def __init__(
        self,
        model: str | None = None,
        dataset: str | None = None,
        config_file_list: Sequence[str | os.PathLike[str]] | None = None,
        config_dict: Mapping[str, Any] | None = None,
        command_line: Sequence[str] = (),
    ) -> None:
        self._command_line = list(command_line)
        if isinstance(config_file_list, (str, os.PathLike)):
            config_file_list = [config_file_list]
        try:
            super().__init__(model, dataset, config_file_list, dict(config_dict or {}))
        except ConfigError:
            raise
        except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError) as error:
            raise ConfigError(f"RecBole refuses the configuration: {error}") from error
        self.final_config_dict["data_path"] = os.path.normpath(self["data_path"])
        self._check_metrics()
        self._keep_direction()
        if self["enable_scaler"] and self["clip_grad_norm"]:
            raise ConfigError(
                "keys 'enable_scaler' and 'clip_grad_norm' exclude each other: RecBole clips the "
                "gradients while they are scaled, to next to nothing; leave one of them out"
            )
        if self["train_neg_sample_args"]["distribution"] == "none":
            self._check_without_negatives()

    @property
    def alignment_part(self) -> Part | None:
        """The registered alignment of this run, None for a bare backbone or RecBole's models."""
        return parts("alignment").get(self.model)

    @property
    def is_ours(self) -> bool:
        """Whether the model is one of this package or of its registry, not RecBole's."""
        return self.has_backbone or self.standalone_part is not None

    @property
    def has_backbone(self) -> bool:
        """Whether the model is a backbone, aligned or bare."""
        return self.model == BARE or self.alignment_part is not None

    @property
    def standalone_part(self) -> Part | None:
        """The registered model of this run that has no backbone, None for all others."""
        return parts("standalone").get(self.model)

    @property
    def uses_text(self) -> bool:
        """Whether the model needs side embeddings."""
        return self.alignment_part is not None or self.standalone_part is not None

    def resolved(self) -> dict[str, Any]:
        """Every parameter as plain values; given as a config file, it makes the same run."""
        return {key: _plain(value) for key, value in sorted(self._resolved.items())}

    def _init_parameters_category(self) -> None:
        super()._init_parameters_category()
        # RecBole appends to these lists, which are module-level.
        self.parameters: dict[str, list[str]] = {
            name: list(keys) for name, keys in self.parameters.items()
        }

    def _build_yaml_loader(self) -> type[Loader]:
        return Loader

    def _load_config_files(self, file_list: Iterable[str] | None) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for file in file_list or ():
            merged.update(read_yaml(file, "config file"))
        return merged

    def _convert_config_dict(self, config_dict: Mapping[str, Any]) -> dict[str, Any]:
        plain = {key: _from_python(value) for key, value in config_dict.items()}
        return {k: value_of(k, v) if isinstance(v, str) else v for k, v in plain.items()}

    def _load_cmd_line(self) -> dict[str, Any]:
        return self._convert_config_dict(parse_command_line(self._command_line))

    def _get_model_and_dataset(
        self, model: str | None, dataset: str | None
    ) -> tuple[str, type[Any], str]:
        given = self.external_config_dict
        for key, value in (("model", model), ("dataset", dataset)):
            if value == "" or (value is None and given.get(key, ".") in (None, "")):
                raise ConfigError(f"key '{key}' is empty: give a name, or leave the key out")
        name = str(model or given.get("model") or "DaRec")
        model_class = self._model_class(name)
        self._check_names_of_keys()
        return (
            name,
            model_class,
            str(dataset or given.get("dataset") or "ml-100k"),
        )

    def _model_class(self, name: str) -> type[Any]:
        if name == BARE or name in parts("alignment"):
            from recbole_darec.model.aligned_recommender import AlignedRecommender

            return AlignedRecommender
        if name in parts("standalone"):
            if "backbone" in self.external_config_dict:
                raise ConfigError(f"model '{name}' has no backbone; leave key 'backbone' out")
            return parts("standalone")[name].load()
        recboles = compat.general_recommenders()
        if name not in recboles:
            known = [BARE, *parts("alignment"), *parts("standalone"), *recboles]
            if name in parts("backbone"):
                raise ConfigError(
                    f"model '{name}' is a backbone: --model={BARE} --backbone={name} trains it "
                    f"alone, --model=DaRec --backbone={name} under an alignment"
                )
            if (plain := name.removeprefix(ADAPTED)) in recboles:
                raise ConfigError(
                    f"model '{name}' is a backbone: --model={BARE} --backbone={name} trains it "
                    f"alone, --model={plain} as RecBole does"
                )
            raise ConfigError(
                f"model '{name}' {_absence(name, name, known)}; "
                "ours and RecBole's general recommenders are: " + ", ".join(known)
            )
        loaded: type[Any] = get_model(name)
        return loaded

    def _load_internal_config_dict(self, model: str, model_class: type[Any], dataset: str) -> None:
        super()._load_internal_config_dict(model, model_class, dataset)
        root = properties_dir()
        files = [root / "overall.yaml"]
        if self.has_backbone:
            files.append(root / "recommender.yaml")
        if self.uses_text:
            files.append(root / "embedding.yaml")
        alone = self.alignment_part or self.standalone_part
        files += [alone.properties()] if alone else []
        for file in files:
            self._update_internal_config_dict(file)
        if self.has_backbone:
            self._refuse_shared_keys()
            self._update_internal_config_dict(self._backbone_part().properties())
        self._apply_protocol(root / "protocol" / f"{self._early('protocol')}.yaml")
        of_dataset = root / "dataset" / f"{dataset}.yaml"
        if of_dataset.is_file():
            values = self._load_config_files([str(of_dataset)])
            foreign = {} if self.uses_text else EMBEDDING_KEYS
            self.internal_config_dict |= {k: v for k, v in values.items() if k not in foreign}

    def _refuse_shared_keys(self) -> None:
        """One value would reach both parts, and one part's default the other."""
        alignment, backbone = self.alignment_part, self._backbone_part()
        of_backbone = {*backbone.load().keys, *self._recbole_model_keys()}
        shared = of_backbone.intersection(alignment.load().keys) if alignment else ()
        if shared:
            raise ConfigError(
                f"{alignment} and {backbone} both have a key '{min(shared)}', of which one value "
                "would reach both; rename it in one of them"
            )

    def _apply_protocol(self, file: Path) -> None:
        """Set a protocol's keys; those of parts only where a chosen part has them."""
        if not file.is_file():
            return  # the check of key 'protocol' names the nearest one
        values = self._load_config_files([str(file)])
        by_part = values.pop("parts", {})
        for name in (self._early("backbone"), self.model):
            values |= by_part.get(name, {})
        foreign = part_keys().keys() - self._declared_keys().keys()
        self.internal_config_dict |= {k: v for k, v in values.items() if k not in foreign}

    def _early(self, key: str) -> Any:
        """A value that decides which yaml files are read."""
        return self.external_config_dict.get(key, self.internal_config_dict.get(key))

    def _backbone_part(self) -> Part:
        name = str(self._early("backbone"))
        part = backbone_part(name)
        known = [*parts("backbone"), *(ADAPTED + model for model in SERVING)]
        if part is None and name in compat.general_recommenders():
            raise ConfigError(
                f"backbone '{name}' does not exist, but RecBole has a model of that name, which "
                f"is written {ADAPTED}{name}"
                + (f": it cannot serve, for {why}" if (why := why_refused(name)) else "")
            )
        if name.startswith(ADAPTED):
            reason = why_refused(name.removeprefix(ADAPTED))
            if reason is not None:
                raise ConfigError(
                    f"backbone '{name}' cannot serve: {reason}; these can: {', '.join(known)}"
                )
            if name.removeprefix(ADAPTED) not in compat.general_recommenders():
                part = None
        if part is None:
            raise ConfigError(
                f"backbone '{name}' {_absence(name.removeprefix(ADAPTED), name, known)}; "
                "known are: " + ", ".join(known)
            )
        return part

    def _get_final_config_dict(self) -> dict[str, Any]:
        final: dict[str, Any] = super()._get_final_config_dict()
        self._refuse_unread_arguments()
        self._accept_recboles_spellings(final)
        self._require_defaults(final)
        for name, key in self._checked_keys().items():
            if name in final:
                final[name] = key.check(name, final[name])
        check_recbole_values(final)
        check_key_variable(final.get("api_key_env"))
        if self.alignment_part:
            self.alignment_part.load().check_keys(final)
            self._require_fit(self.alignment_part, final)
        for name in keys_of_users(self.standalone_part) & USER_SOURCES:
            final[name] = None
        for name in _PATH_KEYS:
            if final.get(name):
                final[name] = str(Path(final[name]).expanduser().absolute())
        encoder = Path(final.get("text_encoder") or os.devnull).expanduser()
        if encoder.is_dir():
            final["text_encoder"] = str(encoder.absolute())
        self._refuse_unsafe(final)
        left_out = {"MODEL_TYPE", *keys_of_users(self.standalone_part)}
        self._resolved = {k: v for k, v in final.items() if k not in left_out}
        self._resolved |= {"model": self.model, "dataset": self.dataset}
        self._check_dataset(final)
        return final

    def _require_fit(self, alignment: Part, final: Mapping[str, Any]) -> None:
        """Refuse an alignment and a backbone that are known not to go together.

        A model of a later RecBole is not known; it is examined when it is built.
        """
        backbone, method = self._backbone_part().load(), alignment.load()
        name = str(self._early("backbone"))
        unread = not backbone.fusible or name in {ADAPTED + model for model in READING_TABLES}
        unlike = not backbone.by_product or name in {ADAPTED + m for m in SCORING_OTHERWISE}
        require_fit(
            alignment.name,
            name,
            unread=unread and method.fuses_by(final),
            unlike=unlike and method.widens_by(final),
        )

    def _chosen_parts(self) -> list[Part]:
        backbone = self._backbone_part() if self.has_backbone else None
        return [part for part in (self.alignment_part, backbone, self.standalone_part) if part]

    def _declared_keys(self) -> dict[str, Key]:
        keys = {**RECBOLE_KEYS, **OWN_KEYS}
        keys |= RECOMMENDER_KEYS if self.has_backbone else {}
        if self.standalone_part and "embedding_size" in self.internal_config_dict:
            keys["embedding_size"] = RECOMMENDER_KEYS["embedding_size"]
        keys |= EMBEDDING_KEYS if self.uses_text else {}
        for part in self._chosen_parts():
            keys |= keys_of(part)
        return keys

    def _require_defaults(self, final: Mapping[str, Any]) -> None:
        """Each key that a part declares must have a value, lest it be empty in training."""
        for part in self._chosen_parts():
            for name, key in part.load().keys.items():
                if name not in final and not key.optional:
                    raise ConfigError(
                        f"{part} declares a key '{name}' that has no default: write it into "
                        f"{part.properties()}, or give --{name}=VALUE"
                    )

    def _checked_keys(self) -> dict[str, Key]:
        """Types and ranges: of what this run reads, else of whatever part reads it."""
        defaults = self.internal_config_dict
        recboles = self._recbole_keys() & defaults.keys()
        unread = self.unread_keys()
        return {
            **{name: key for name, key in declared_keys().items() if name in unread},
            **{k: Key(type(defaults[k])) for k in recboles if isinstance(defaults[k], _TYPED)},
            **{name: key for name, key in RECBOLE_MODEL_KEYS.items() if name in recboles},
            **self._declared_keys(),
        }

    def _recbole_keys(self) -> frozenset[str]:
        """Keys that RecBole's part of this run reads."""
        return general_keys() | self._recbole_model_keys()

    def _recbole_model_keys(self) -> frozenset[str]:
        backbone = str(self._early("backbone")) if self.has_backbone else ""
        adapted = backbone.removeprefix(ADAPTED) if backbone.startswith(ADAPTED) else self.model
        return recbole_model_keys(adapted)

    def unread_keys(self) -> list[str]:
        """The given keys that nothing in this run reads, such as those of another backbone."""
        read = self._recbole_keys().union(self._declared_keys(), self.internal_config_dict)
        read -= keys_of_users(self.standalone_part)
        return [key for key in self.external_config_dict if key not in read]

    def unread_message(self, key: str) -> str:
        """That a key is not read by this model, and what reads it."""
        on = f" on {self._early('backbone')}" if self.has_backbone else ""
        return f"key '{key}' is not read by {self.model}{on}; {readers(key)}"

    def warn_of_unread_keys(self) -> None:
        """Log each given key that nothing reads: a file may serve several models."""
        for key in self.unread_keys():
            getLogger().warning(self.unread_message(key))

    def _refuse_unread_arguments(self) -> None:
        if self.external_config_dict.get("resume"):
            return  # the run to resume has a model of its own, whose values they have to be
        for key in self.unread_keys():
            if key in self.cmd_config_dict:
                raise ConfigError(self.unread_message(key))

    @staticmethod
    def _accept_recboles_spellings(final: dict[str, Any]) -> None:
        for key in ("topk", "metrics", "benchmark_filename"):
            if isinstance(final.get(key), str):
                final[key] = [name.strip() for name in final[key].split(",")]
            elif isinstance(final.get(key), int):
                final[key] = [final[key]]
        for key, spell in (("learner", str.lower), ("state", str.upper)):
            if isinstance(final[key], str):
                final[key] = spell(final[key])

    @staticmethod
    def _refuse_unsafe(final: Mapping[str, Any]) -> None:
        for key in ("dataset_save_path", "dataloaders_save_path"):
            if final.get(key) and not final.get("allow_pickle"):
                raise ConfigError(
                    f"key '{key}' makes RecBole read a pickle, which can run code; "
                    "set allow_pickle: True if you made that file yourself"
                )
            if final.get(key) and not Path(final[key]).is_file():
                raise ConfigError(f"key '{key}': {final[key]} does not exist")
        if int(final.get("nproc") or 1) > 1:
            raise ConfigError("key 'nproc': training on several processes is not supported; use 1")

    def _check_names_of_keys(self) -> None:
        known = all_key_names()
        for key in self.external_config_dict:
            if key not in known:
                remedy = f"; {_INSTEAD[key]}" if key in _INSTEAD else nearest(key, known)
                raise ConfigError(f"key '{key}' does not exist{remedy}")

    def _check_dataset(self, final: Mapping[str, Any]) -> None:
        if self.dataset == "ml-100k" or (Path(final["data_path"]) / self.dataset).is_dir():
            return
        downloadable = compat.known_datasets()
        if self.dataset in downloadable:
            return
        parent = Path(final["data_path"])
        local = sorted(p.name for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []
        has_yaml = (properties_dir() / "dataset" / f"{self.dataset}.yaml").is_file()
        similar = "" if has_yaml else nearest(self.dataset, ["ml-100k", *local, *downloadable])
        parts = [f"{self.dataset}.{part}.inter" for part in final["benchmark_filename"] or []]
        files = ", ".join(parts or [f"{self.dataset}.inter"])
        raise ConfigError(
            f"dataset '{self.dataset}' does not exist{similar}; its files belong in "
            f"{parent / self.dataset} ({files}, and {self.dataset}.item for text). "
            "Set data_path to the folder that holds the dataset's folder"
        )

    def _check_without_negatives(self) -> None:
        asked = "key 'train_neg_sample_args' asks for no negative items"
        by_user = issubclass(self.model_class, AutoEncoderMixin)
        if self["MODEL_INPUT_TYPE"] == InputType.PAIRWISE and not by_user:
            raise ConfigError(
                f"{asked}, but '{self.model}' learns from pairs of a positive and a negative item; "
                "leave the key out"
            )
        columns = interaction_columns(self.final_config_dict)
        unlabelled = columns is not None and self["LABEL_FIELD"] not in columns
        learns_labels = "LABEL_FIELD" in recbole_model_keys(self.model)
        if learns_labels and unlabelled and not self["threshold"]:
            raise ConfigError(
                f"{asked}, and no labels are loaded, which '{self.model}' learns from; leave it "
                f"out, set threshold, or load a column '{self['LABEL_FIELD']}'"
            )

    def _check_metrics(self) -> None:
        computed = computed_metrics(self.final_config_dict)
        if self["valid_metric"].lower() not in computed:
            raise ConfigError(
                f"valid_metric '{self['valid_metric']}' is not computed: "
                f"metrics is {self['metrics']} and topk is {self['topk']}, which give "
                + ", ".join(sorted(computed))
            )

    def _keep_direction(self) -> None:
        """RecBole goes by the metric, whatever ``valid_metric_bigger`` says."""
        given, kept = self._resolved["valid_metric_bigger"], self["valid_metric_bigger"]
        self._resolved["valid_metric_bigger"] = kept
        if "valid_metric_bigger" in self.external_config_dict and given != kept:
            getLogger().warning(
                f"valid_metric_bigger {given} has no effect: of {self['valid_metric']} a "
                f"{'larger' if kept else 'smaller'} value is the better one"
            )

    def _init_device(self) -> None:
        """Choose the device without touching ``CUDA_VISIBLE_DEVICES``, which Ray may have set."""
        import torch

        gpu_id = self.final_config_dict["gpu_id"]
        ids = gpu_id if isinstance(gpu_id, (list, tuple)) else str(gpu_id).split(",")
        first = str(ids[0]).strip() if ids else ""
        use_gpu = self.final_config_dict["use_gpu"] and first != "" and torch.cuda.is_available()
        if use_gpu and len(ids) > 1:
            getLogger().warning(f"gpu_id {gpu_id}: a run trains on one GPU, {first}")
        if use_gpu and not (first.isdigit() and int(first) < torch.cuda.device_count()):
            raise ConfigError(
                f"gpu_id '{first}' does not exist: {torch.cuda.device_count()} GPUs are visible"
            )
        self.final_config_dict |= {
            "gpu_id": ",".join(map(str, ids)),
            "single_spec": True,
            "local_rank": 0,
            "use_gpu": use_gpu,
            "device": torch.device("cuda", int(first)) if use_gpu else torch.device("cpu"),
        }


def _absence(model: str, name: str, known: Iterable[str]) -> str:
    """Why a model is not known: another kind of RecBole's, or none at all."""
    kind = compat.other_recommender_kind(model)
    fault = f"is one of RecBole's {kind} recommenders"
    return fault if kind else f"does not exist{nearest(name, known)}"


def _from_python(value: Any) -> Any:
    """A path as text and NumPy's numbers as Python's, as they come from a notebook."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_from_python(entry) for entry in value]
    return {k: _from_python(v) for k, v in value.items()} if isinstance(value, dict) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
