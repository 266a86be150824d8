"""Answers of a chat model behind an endpoint that speaks OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recbole_darec.embedding.api_encoder import PREFIX
from recbole_darec.embedding.endpoint import AnswerError, Endpoint, EndpointError, ExhaustedError
from recbole_darec.embedding.generator import Answer, judged
from recbole_darec.embedding.prompt import Prompt
from recbole_darec.embedding.tokens import estimated_tokens
from recbole_darec.keys import ConfigError

# Statuses that speak of this one prompt: too long, or against the provider's rules.
_OF_THE_PROMPT = {400, 413, 422}
_ATTEMPTS = 3
# So many prompts in a row that fail to the last speak of the endpoint rather than of the prompts.
_LOST = 5


class ChatGenerator:
    """A prompt is one request to ``/chat/completions``.

    A prompt at which the endpoint fails to the last is given up; five in a row are an error.

    Args:
        config: the keys ``api_*`` of ``properties/embedding.yaml``.
        name: ``openai:MODEL``.
        max_tokens: of an answer.
        temperature: 0 for the likeliest answer.
        accept_cut: whether an answer that reached ``max_tokens`` counts.
        options: more entries of the request; None removes one.

    Raises:
        ConfigError: if the configuration is wrong.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        name: str,
        max_tokens: int,
        temperature: float,
        accept_cut: bool,
        options: Mapping[str, Any],
    ) -> None:
        model = name.removeprefix(PREFIX)
        if not model:
            raise ConfigError(f"--profile_model is '{name}'; expected {PREFIX}MODEL")
        self.name = name
        self.batch, self.concurrency, self.counts_exactly = 1, config["api_concurrency"], False
        self._endpoint, self._lost = Endpoint(config), 0
        self._max_tokens, self._accept_cut = max_tokens, accept_cut
        request = {"model": model, "max_tokens": max_tokens, "temperature": temperature, **options}
        self._request = {key: value for key, value in request.items() if value is not None}
        self.settings: Mapping[str, Any] = {"api_base": self._endpoint.base, **self._request}

    def generate(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """Answers in the order of the prompts; one request each.

        Raises:
            EndpointError: if the endpoint refuses whatever it is asked, or fails to the last at
                five prompts in a row.
        """
        return [self._one(prompt) for prompt in prompts]

    def token_counts(self, prompts: Sequence[Prompt]) -> list[int]:
        """Estimated tokens of each prompt."""
        return [estimated_tokens(prompt.system + prompt.user) for prompt in prompts]

    def _one(self, prompt: Prompt) -> Answer:
        messages = [{"role": "user", "content": prompt.user}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        body = {**self._request, "messages": messages}
        try:
            answer = self._endpoint.post("/chat/completions", body, self._read, _ATTEMPTS)
        except ExhaustedError as error:
            self._lost += 1
            if self._lost >= _LOST:
                raise
            return Answer(problem=str(error))
        except AnswerError as error:
            answer = Answer(problem=str(error))
        except EndpointError as error:
            if error.status not in _OF_THE_PROMPT:
                raise
            answer = Answer(problem=str(error))
        self._lost = 0
        return answer

    def _read(self, answer: Any) -> Answer:
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"]
            cut = choice.get("finish_reason") == "length"
        except (LookupError, TypeError, AttributeError):
            raise AnswerError("the answer holds no message") from None
        if not isinstance(text, str) or not (text.strip() or cut):
            raise AnswerError("the answer is empty")
        if not text.isascii() and text != text.encode("utf-8", "ignore").decode():
            raise AnswerError("the answer holds half a character")
        return judged(text, cut, self._max_tokens, self._accept_cut)
