"""Encode texts with a model of the transformers library."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recbole_darec.embedding.encoder_folder import fingerprint, locate_encoder, read_recipe
from recbole_darec.embedding.random_state import preserved_random_state
from recbole_darec.keys import ConfigError

_CHUNK = 1024


class TextEncoder:
    """Any encoder or decoder model, with the pooling and normalisation that its files ask for.

    The constructor finds the model and computes its fingerprint; the weights are loaded, and
    transformers is imported, when the first text is encoded.

    Args:
        config: the keys ``text_*`` of ``properties/embedding.yaml``, and ``device``.

    Raises:
        ConfigError: if the model cannot be found or asks for something unsupported.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.name: str = config["text_encoder"]
        self.chunk, self.concurrency, self.counts_exactly = _CHUNK, 1, True
        self._folder = locate_encoder(self.name, config["text_encoder_revision"])
        self._recipe = read_recipe(self._folder)
        recipe = self._recipe
        pooling, normalize = config["text_pooling"], config["text_normalize"]
        self._pooling: str = recipe.pooling if pooling == "auto" else pooling
        self._normalize = recipe.normalize if normalize == "auto" else normalize == "unit"
        prefix = config["text_prefix"]
        self._prefix: str = recipe.prefix if prefix is None else prefix
        self._max_length: int | None = config["text_max_length"] or recipe.max_length
        self._dtype: str = config["text_dtype"]
        self._batch_tokens: int = config["text_batch_tokens"]
        device = config["device"] if config["text_device"] == "auto" else config["text_device"]
        self._device = torch.device(device or "cpu")
        self._tokenizer: Any = None
        self._loaded: tuple[nn.Module, list[nn.Module]] | None = None
        self.specification: Mapping[str, str | int | bool | None] = {
            "fingerprint": fingerprint(self._folder),
            "pooling": self._pooling,
            "normalize": self._normalize,
            "prefix": self._prefix,
            "max_length": self._max_length,
            "dtype": self._dtype,
        }

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of the texts in their order, float32 ``(len(texts), d_L)``.

        Batches hold at most ``text_batch_tokens`` tokens (always at least one text), longest
        texts first. The global random generators are left as they were.
        """
        with preserved_random_state():
            tokenizer = self._load_tokenizer()
            model, dense = self._load()
            tokens = self._tokenize(tokenizer, texts)
            lengths = np.array([len(ids) for ids in tokens])
            vectors: np.ndarray | None = None
            for rows in _batches(lengths, self._batch_tokens):
                batch = tokenizer.pad(
                    {"input_ids": [tokens[row] for row in rows]}, return_tensors="pt"
                )
                encoded = self._forward(model, dense, batch).float().cpu().numpy()
                if vectors is None:
                    vectors = np.empty((len(texts), encoded.shape[1]), dtype=np.float32)
                vectors[rows] = encoded
        return np.empty((0, 0), dtype=np.float32) if vectors is None else vectors

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int | None]:
        """Tokens of each text before any cut, and the limit beyond which they are cut."""
        tokenizer = self._load_tokenizer()
        counts = [len(ids) for ids in self._tokenize(tokenizer, texts, truncation=False)]
        return counts, self._limit(tokenizer)

    def _tokenize(
        self, tokenizer: Any, texts: Sequence[str], truncation: bool = True
    ) -> list[list[int]]:
        prepared = [self._prefix + text for text in texts]
        if self._recipe.lower_case:
            prepared = [text.lower() for text in prepared]
        limit = self._limit(tokenizer)
        cut = {"truncation": True, "max_length": limit} if truncation and limit else {}
        ids: list[list[int]] = (
            tokenizer(prepared, return_attention_mask=False, return_token_type_ids=False, **cut)[
                "input_ids"
            ]
            if prepared
            else []
        )
        # A tokenizer without special tokens turns an empty text into nothing at all.
        return [row or [tokenizer.pad_token_id] for row in ids]

    def _limit(self, tokenizer: Any) -> int | None:
        limit = self._max_length or tokenizer.model_max_length
        return limit if limit < 10**6 else None

    @torch.inference_mode()
    def _forward(
        self, model: nn.Module, dense: list[nn.Module], batch: Mapping[str, Any]
    ) -> Tensor:
        ids, mask = batch["input_ids"].to(self._device), batch["attention_mask"].to(self._device)
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        vector = pool(states, mask, self._pooling)
        for layer in dense:
            vector = layer(vector)
        return nn.functional.normalize(vector, dim=1) if self._normalize else vector

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is None:
            with quiet_transformers():
                self._tokenizer = _load_tokenizer(self._recipe.model_folder, self._max_length)
        return self._tokenizer

    def _load(self) -> tuple[nn.Module, list[nn.Module]]:
        if self._loaded is None:
            dtype = getattr(torch, self._dtype)
            with quiet_transformers():
                model = _load_transformer(self._recipe.model_folder, dtype)
            dense = [_load_dense(folder).to(self._device, dtype) for folder in self._recipe.dense]
            self._loaded = model.to(self._device).eval(), dense
        return self._loaded


def pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """One vector per text from its token states; padding on either side does not matter.

    Args:
        states: ``(batch, length, d)``.
        mask: 1 for tokens, 0 for padding, ``(batch, length)``.
        pooling: ``mean``, ``cls`` (first token), ``last`` (last token) or ``max``.

    Returns:
        ``(batch, d)``.
    """
    rows = torch.arange(len(states), device=states.device)
    if pooling == "cls":
        return states[rows, mask.argmax(dim=1)]
    if pooling == "last":
        return states[rows, mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)]
    if pooling == "max":
        return states.masked_fill(mask.unsqueeze(2) == 0, float("-inf")).amax(dim=1)
    weights = mask.unsqueeze(2).to(torch.float32)
    return ((states * weights).sum(dim=1) / weights.sum(dim=1)).to(states.dtype)


def _batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, budget // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size


def _load_tokenizer(folder: Path, max_length: int | None) -> Any:
    from transformers import AutoConfig, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        settings = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(_NOT_LOADED.format(folder, error)) from error
    # Causal models number their positions from the left: only padding on the right leaves the
    # tokens where they are.
    tokenizer.padding_side = "right"
    positions = getattr(settings, "max_position_embeddings", None) or -1
    if settings.model_type in _NUMBERED_AFTER_PADDING:
        positions -= settings.pad_token_id + 1
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    added = tokenizer.num_special_tokens_to_add()
    if max_length and max_length <= added:
        raise ConfigError(
            f"key 'text_max_length' is {max_length}, but the model in {folder} adds {added} tokens "
            "of its own to each text; give more"
        )
    if positions > 0:
        if max_length and max_length > positions:
            raise ConfigError(
                f"key 'text_max_length' is {max_length}, but the model in {folder} reads "
                f"{positions} tokens at most"
            )
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer


def _load_transformer(folder: Path, dtype: torch.dtype) -> nn.Module:
    from transformers import AutoModel

    try:
        model: Any = AutoModel.from_pretrained(folder, torch_dtype=dtype, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(_NOT_LOADED.format(folder, error)) from error
    module: nn.Module = model.get_encoder() if model.config.is_encoder_decoder else model
    return module


# RoBERTa's kind: the first token stands at the position after the padding's id.
_NUMBERED_AFTER_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "longformer",
        "luke",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
_NOT_LOADED = "key 'text_encoder': transformers cannot load {}: {}"


def _load_dense(folder: Path) -> nn.Module:
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    module, _, activation = settings["activation_function"].rpartition(".")
    if not module.startswith("torch.nn"):
        raise ConfigError(f"key 'text_encoder': {folder} asks for the activation {activation}")
    linear = nn.Linear(settings["in_features"], settings["out_features"], settings["bias"])
    if (folder / "model.safetensors").is_file():
        from safetensors.torch import load_file

        weights = load_file(folder / "model.safetensors")
    else:
        weights = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    linear.load_state_dict({k.removeprefix("linear."): v for k, v in weights.items()})
    return nn.Sequential(linear, getattr(nn, activation)())


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' progress bars and warnings."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
