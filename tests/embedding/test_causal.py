"""A tiny random causal model: what it writes, and what it embeds, whatever the padding."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import TEXTS, WORDS

from recbole_darec.embedding.causal import CausalGenerator
from recbole_darec.embedding.huggingface import TextEncoder
from recbole_darec.embedding.prompt import Prompt
from recbole_darec.keys import ConfigError

PROMPTS = [Prompt("w1 w2", text) for text in TEXTS]


@pytest.fixture(params=["decoder", "llama"])
def causal(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


def generator(settings: dict[str, Any], folder: Path, **changes: Any) -> CausalGenerator:
    options = {"max_tokens": 5, "temperature": 0.0, "accept_cut": True, "batch": 5} | changes
    return CausalGenerator(settings | {"seed": 1}, str(folder), **options)


def greedy_alone(folder: Path, prompt: Prompt, steps: int) -> str:
    """The likeliest next token, step by step, without any padding or cache."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = tokenizer(f"{prompt.system}\n\n{prompt.user}", return_tensors="pt")["input_ids"]
    start = ids.shape[1]
    for _ in range(steps):
        with torch.inference_mode():
            following = model(input_ids=ids).logits[0, -1].argmax()
        if following == tokenizer.eos_token_id:
            break
        ids = torch.cat([ids, following.reshape(1, 1)], dim=1)
    text: str = tokenizer.decode(ids[0, start:], skip_special_tokens=True)
    return text


def test_answers_of_a_batch_are_those_without_padding(
    settings: dict[str, Any], causal: Path
) -> None:
    prompts = PROMPTS[:4]
    made = [answer.text for answer in generator(settings, causal).generate(prompts)]
    assert made == [greedy_alone(causal, prompt, 5) for prompt in prompts]
    assert any(made)


def test_last_token_vectors_whatever_the_padding_side(
    settings: dict[str, Any], causal: Path, tmp_path: Path
) -> None:
    """The side that the model's files name does not matter: each row is that of its text alone."""
    from transformers import AutoModel, AutoTokenizer

    vectors = []
    for side in ("left", "right"):
        folder = tmp_path / side
        shutil.copytree(causal, folder)
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"padding_side": side}))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert tokenizer.padding_side == side
        vectors.append(TextEncoder(settings | {"text_encoder": str(folder)}).encode(TEXTS))
    assert np.array_equal(*vectors)
    model = AutoModel.from_pretrained(causal).eval()
    for text, vector in zip(TEXTS, vectors[0], strict=True):
        with torch.inference_mode():
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            assert np.allclose(model(ids).last_hidden_state[0, -1].numpy(), vector, atol=1e-5)


def test_drawn_answers_repeat_and_leave_the_generators_alone(
    settings: dict[str, Any], decoder: Path
) -> None:
    before = torch.get_rng_state()
    drawn = generator(settings, decoder, temperature=2.0)
    first = drawn.generate(PROMPTS[:3])
    assert drawn.generate(PROMPTS[:3]) == first
    assert first != generator(settings, decoder).generate(PROMPTS[:3])
    assert torch.equal(torch.get_rng_state(), before)


def test_prompts_that_do_not_fit(settings: dict[str, Any], decoder: Path) -> None:
    made = generator(settings, decoder, max_tokens=20).generate([PROMPTS[4], PROMPTS[0]])
    assert made[0].problem == (
        "a prompt of 32 tokens and an answer of 20 do not fit into the model's 40; shorten the "
        "texts, or lower --max_tokens"
    )
    assert made[1].text == greedy_alone(decoder, PROMPTS[0], 20)


def test_cut_answers(settings: dict[str, Any], decoder: Path) -> None:
    answer = generator(settings, decoder, accept_cut=False).generate(PROMPTS[:1])[0]
    assert answer.problem.startswith("the answer is cut at 5 tokens; raise --max_tokens")


def test_an_answer_that_ends_by_itself(
    settings: dict[str, Any], llama: Path, tmp_path: Path
) -> None:
    """Where the third word is what ends an answer, it is whole; where the first, it is empty."""
    from transformers import AutoTokenizer

    words = greedy_alone(llama, PROMPTS[0], 5).split()
    assert words[2] not in words[:2]
    tokenizer = AutoTokenizer.from_pretrained(llama)
    folder = tmp_path / "ends"
    shutil.copytree(llama, folder)
    ends = [3, tokenizer.convert_tokens_to_ids(words[2])]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    answer = generator(settings, folder, accept_cut=False).generate(PROMPTS[:1])[0]
    assert answer.text.split() == words[:3]
    first = tokenizer.convert_tokens_to_ids(words[0])
    tokenizer.add_special_tokens({"eos_token": words[0]})
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": first}))
    answer = generator(settings, folder, accept_cut=False).generate(PROMPTS[:1])[0]
    assert answer.problem == "the answer is empty"


def test_chat_template(settings: dict[str, Any], decoder: Path, tmp_path: Path) -> None:
    """The model's own template is used; one that refuses a system message gets one message."""
    from transformers import AutoTokenizer

    shutil.copytree(decoder, tmp_path / "chat")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "chat")
    lines = "{% for m in messages %}w9 {{ m['content'] }} {% endfor %}w10"
    refuse = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    for template, expected in (
        (lines, ["w9", "w1", "w2", "w9", "w3", "w10"]),
        (refuse + lines, ["w9", "w1", "w2", "w3", "w10"]),
    ):
        tokenizer.chat_template = template
        tokenizer.save_pretrained(tmp_path / "chat")
        made = generator(settings, tmp_path / "chat")
        prompt = Prompt("w1 w2", "w3")
        assert made.token_counts([prompt]) == [len(expected)]
        assert made._as_text(prompt).split() == expected
        flat = Prompt("", " ".join(expected))
        plain = generator(settings, decoder).generate([flat])
        assert made.generate([prompt]) == plain


def test_not_a_model(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--profile_model: .* has no config\.json: not a model"):
        generator(settings, tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="--profile_model: transformers cannot load"):
        generator(settings, tmp_path).generate(PROMPTS[:1])


def test_words() -> None:
    """The tiny tokenizer knows the words of the tests."""
    assert set(" ".join(TEXTS).split()) <= set(WORDS)
