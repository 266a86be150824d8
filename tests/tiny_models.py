"""Tiny random models in transformers' format, built here."""

from pathlib import Path
from typing import Any

import pytest
import torch

WORDS = [f"w{i}" for i in range(60)]
TEXTS = [" ".join(WORDS[(7 * i + k) % 60] for i in range(k)) for k in (3, 1, 12, 7, 30)]


def save_tokenizer(folder: Path, bert: bool) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: i for i, word in enumerate(special + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names: dict[str, Any] = {"unk_token": "[UNK]", "eos_token": "[SEP]"}
    if bert:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        names |= {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random encoder model."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(
        BertConfig(
            vocab_size=64,
            intermediate_size=32,
            max_position_embeddings=20,
            initializer_range=0.5,
            **shape,
        )
    ).save_pretrained(folder)
    save_tokenizer(folder, bert=True)
    return folder


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random causal model with learned positions and no padding token."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("decoder")
    torch.manual_seed(0)
    shape = GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=40)
    GPT2LMHeadModel(shape).save_pretrained(folder)
    save_tokenizer(folder, bert=False)
    return folder


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random causal model with rotary positions."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=60,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=3,
        pad_token_id=None,
    )
    model = LlamaForCausalLM(shape)
    with torch.no_grad():
        # Special tokens are never the likeliest: every answer has words.
        model.lm_head.weight[:4] = 0
    model.save_pretrained(folder)
    save_tokenizer(folder, bert=False)
    return folder
