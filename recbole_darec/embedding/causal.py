"""Answers of a causal language model on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from recbole_darec.embedding.encoder_folder import fingerprint, locate_encoder
from recbole_darec.embedding.generator import Answer, judged
from recbole_darec.embedding.huggingface import quiet_transformers
from recbole_darec.embedding.prompt import Prompt
from recbole_darec.embedding.random_state import preserved_random_state
from recbole_darec.keys import ConfigError

_OPTION = "--profile_model"


class CausalGenerator:
    """Any causal model of the transformers library, with its own chat template if it has one.

    The weights are loaded when the first prompt is answered.

    Args:
        config: keys ``text_dtype``, ``text_device``, ``device`` and ``seed``.
        name: on the hub, or a folder.
        max_tokens: of an answer.
        temperature: 0 for the likeliest answer; else answers are drawn by ``seed``.
        accept_cut: whether an answer that reached ``max_tokens`` counts.
        batch: prompts at once.

    Raises:
        ConfigError: if the model cannot be found.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        name: str,
        max_tokens: int,
        temperature: float,
        accept_cut: bool,
        batch: int,
    ) -> None:
        self.name = name
        self.batch, self.concurrency, self.counts_exactly = batch, 1, True
        self._folder = locate_encoder(name, key=_OPTION)
        self._max_tokens, self._accept_cut = max_tokens, accept_cut
        self._temperature, self._seed = temperature, int(config["seed"])
        self._dtype: str = config["text_dtype"]
        device = config["device"] if config["text_device"] == "auto" else config["text_device"]
        self._device = torch.device(device or "cpu")
        self._tokenizer: Any = None
        self._model: Any = None
        self.settings: Mapping[str, Any] = {
            "fingerprint": fingerprint(self._folder),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "dtype": self._dtype,
            "seed": self._seed if temperature else None,
        }

    def generate(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """Answers in the order of the prompts; the global random generators stay as they were."""
        with preserved_random_state():
            self._load()
            texts = [self._as_text(prompt) for prompt in prompts]
            limit = getattr(self._model.config, "max_position_embeddings", None) or 10**9
            lengths = self.token_counts(prompts)
            fits = [length + self._max_tokens <= limit for length in lengths]
            answers = iter(self._answers([t for t, fit in zip(texts, fits, strict=True) if fit]))
            return [
                next(answers)
                if fit
                else Answer(
                    problem=f"a prompt of {length} tokens and an answer of {self._max_tokens} do "
                    f"not fit into the model's {limit}; shorten the texts, or lower --max_tokens"
                )
                for length, fit in zip(lengths, fits, strict=True)
            ]

    def token_counts(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt, with those of the chat template."""
        tokenizer = self._load_tokenizer()
        texts = [self._as_text(prompt) for prompt in prompts]
        ids = tokenizer(texts, add_special_tokens=not tokenizer.chat_template)["input_ids"]
        return [len(row) for row in ids]

    @torch.inference_mode()
    def _answers(self, texts: Sequence[str]) -> list[Answer]:
        if not texts:
            return []
        tokenizer = self._tokenizer
        batch = tokenizer(
            list(texts),
            add_special_tokens=not tokenizer.chat_template,
            padding=True,
            return_token_type_ids=False,
            return_tensors="pt",
        ).to(self._device)
        drawn = {"do_sample": True, "temperature": self._temperature}
        torch.manual_seed(self._seed)
        output = self._model.generate(
            **batch,
            max_new_tokens=self._max_tokens,
            pad_token_id=tokenizer.pad_token_id,
            **(drawn if self._temperature else {"do_sample": False}),
        )[:, batch["input_ids"].shape[1] :]
        return [self._judged(row.tolist()) for row in output]

    def _judged(self, ids: list[int]) -> Answer:
        ends = self._model.generation_config.eos_token_id
        ended = bool(set(ids) & set(ends if isinstance(ends, list) else [ends]))
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        return judged(text, not ended, self._max_tokens, self._accept_cut)

    def _as_text(self, prompt: Prompt) -> str:
        if not self._load_tokenizer().chat_template:
            return f"{prompt.system}\n\n{prompt.user}".strip()
        from jinja2 import TemplateError

        user = {"role": "user", "content": prompt.user}
        try:
            return self._chat([{"role": "system", "content": prompt.system}, user])
        except TemplateError:
            # Some models' templates know no system message.
            joined = f"{prompt.system}\n\n{prompt.user}".strip()
            return self._chat([{"role": "user", "content": joined}])

    def _chat(self, messages: list[dict[str, str]]) -> str:
        text: str = self._tokenizer.apply_chat_template(
            [message for message in messages if message["content"]],
            tokenize=False,
            add_generation_prompt=True,
        )
        return text

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            with quiet_transformers(), _explained(self._folder):
                self._tokenizer = AutoTokenizer.from_pretrained(self._folder)
            # The answer follows the last token: padding belongs in front.
            self._tokenizer.padding_side = "left"
            if self._tokenizer.pad_token is None:
                self._tokenizer.pad_token = self._tokenizer.eos_token
        return self._tokenizer

    def _load(self) -> None:
        self._load_tokenizer()
        if self._model is None:
            from transformers import AutoModelForCausalLM

            dtype = getattr(torch, self._dtype)
            with quiet_transformers(), _explained(self._folder):
                model = AutoModelForCausalLM.from_pretrained(self._folder, torch_dtype=dtype)
            self._model = model.to(self._device).eval()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{_OPTION}: transformers cannot load {folder}: {error}") from error
