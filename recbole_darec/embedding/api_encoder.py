"""Encode texts by an endpoint that speaks OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recbole_darec.embedding.endpoint import AnswerError, Endpoint, EndpointError
from recbole_darec.embedding.tokens import estimated_tokens
from recbole_darec.keys import ConfigError

PREFIX = "openai:"


class ApiEncoder:
    """Vectors of an embeddings endpoint; a chunk of texts is one request.

    Args:
        config: the keys ``text_*`` and ``api_*`` of ``properties/embedding.yaml``.

    Raises:
        ConfigError: if the configuration asks for what an endpoint does not offer.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.name: str = config["text_encoder"]
        self._model = self.name.removeprefix(PREFIX)
        _check(config, self._model)
        self._endpoint = Endpoint(config)
        self._dimensions: int | None = config["api_dimensions"]
        self._prefix: str = config["text_prefix"] or ""
        self._normalize = config["text_normalize"] == "unit"
        self.chunk: int = config["api_batch_texts"]
        self.concurrency: int = config["api_concurrency"]
        self.counts_exactly = False
        self.specification: Mapping[str, str | int | bool | None] = {
            "api_base": self._endpoint.base,
            "model": self._model,
            "revision": config["text_encoder_revision"],
            "dimensions": self._dimensions,
            "prefix": self._prefix,
            "normalize": self._normalize,
        }

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of the texts in their order, float32 ``(len(texts), d_L)``; one request.

        Raises:
            EndpointError: if the endpoint refuses, fails or does not give what was asked for.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "input": [self._prefix + text for text in texts],
            "encoding_format": "float",
        }
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        try:
            vectors = self._endpoint.post("/embeddings", body, lambda a: _vectors(a, len(texts)))
        except AnswerError as error:
            raise EndpointError(f"{self._endpoint.base}/embeddings: {error}") from None
        if self._dimensions not in (None, vectors.shape[1]):
            raise EndpointError(
                f"'{self._model}' at {self._endpoint.base} gave vectors of {vectors.shape[1]} "
                f"dimensions, but 'api_dimensions' is {self._dimensions}; leave it empty or "
                "correct it"
            )
        if self._normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int | None]:
        """Estimated tokens of each text; the endpoint's limit is not known."""
        return [estimated_tokens(self._prefix + text) for text in texts], None


def _check(config: Mapping[str, Any], model: str) -> None:
    if not model:
        raise ConfigError(f"key 'text_encoder' is '{PREFIX}'; expected {PREFIX}MODEL")
    for key, without in (("text_pooling", "auto"), ("text_max_length", None)):
        if config[key] != without:
            raise ConfigError(
                f"key '{key}' is {config[key]!r}, but an endpoint decides that itself; leave it at "
                f"{'~' if without is None else without}"
            )


def _vectors(answer: Any, count: int) -> np.ndarray:
    """The vectors of an answer in the order of their ``index``."""
    try:
        rows = {row["index"]: row["embedding"] for row in answer["data"]}
        vectors = np.array([rows[index] for index in range(count)], dtype=np.float32)
    except (LookupError, TypeError, ValueError) as error:
        raise AnswerError(
            f"the answer does not hold {count} vectors of one width ({type(error).__name__})"
        ) from None
    sound = vectors.ndim == 2 and vectors.size and np.isfinite(vectors).all()
    if len(answer["data"]) != count or not sound:
        raise AnswerError(
            f"the answer holds {len(answer['data'])} vectors for {count} texts, or vectors that "
            "are empty or not finite"
        )
    return vectors
