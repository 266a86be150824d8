from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recbole_darec.config import Config
from recbole_darec.data.side_configuration import check_side_configuration
from recbole_darec.keys import ConfigError

Make = Callable[..., Config]


def test_sound_configurations_pass(toy: Make) -> None:
    check_side_configuration(toy())
    bare = {"item_embedding_file": None, "use_gpu": False}
    check_side_configuration(Config("Backbone", "ml-100k", config_dict=bare))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"item_embedding_file": None}, r"'toy' has no text and no embeddings .*'item_text_file'"),
        ({"item_text_file": "x.csv"}, "'item_embedding_file' and 'item_text_file' are both set"),
        ({"item_embedding_file": "gone.npy"}, r"'item_embedding_file': the file .* does not exist"),
        ({"user_without_text": "missing"}, "'user_without_text' is 'missing', but no user has"),
        (
            {"item_embedding_file": None, "item_template": "Film {title}"},
            r"toy\.item, which does not",
        ),
        ({"user_template": "Aged {age}"}, r"'user_template' needs the file .*toy\.user"),
        ({"user_text_file": "gone.csv"}, "'user_text_file': the file .* does not exist"),
    ],
)
def test_mistakes_are_found_before_any_data(
    toy: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_side_configuration(toy(**changes))


def test_template_field_of_ml_100k() -> None:
    changes = {"item_template": "A film of {genres}", "use_gpu": False}
    with pytest.raises(ConfigError, match=r"'genres' is not in .*ml-100k\.item \(nearest: "):
        check_side_configuration(Config("DaRec", "ml-100k", config_dict=changes))


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "key 'text_device' is 'gpu', no device of PyTorch; expected auto, cpu, cuda"),
        ("cuda:99", r"key 'text_device' is 'cuda:99', but PyTorch sees \d+ CUDA devices here"),
    ],
)
def test_device_of_the_encoder(toy: Make, tmp_path: Path, device: str, message: str) -> None:
    (tmp_path / "t.csv").write_text("item_id,text\ni1,a\n")
    texts = {"item_embedding_file": None, "item_text_file": str(tmp_path / "t.csv")}
    with pytest.raises(ConfigError, match=message):
        check_side_configuration(toy(**texts, text_device=device))
    check_side_configuration(toy(text_device=device))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_not_there(toy: Make, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("item_id,text\ni1,a\n")
    texts = {"item_embedding_file": None, "item_text_file": str(tmp_path / "t.csv")}
    with pytest.raises(ConfigError, match="'cuda', but PyTorch sees 0 CUDA devices here; set it"):
        check_side_configuration(toy(**texts, text_device="cuda"))


def test_encoder_that_cannot_be_found(toy: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "t.csv").write_text("item_id,text\ni1,a\n")
    texts = {"item_embedding_file": None, "item_text_file": str(tmp_path / "t.csv")}
    with pytest.raises(ConfigError, match=r"'text_encoder': .*empty has no config\.json"):
        check_side_configuration(toy(**texts, text_encoder=str(tmp_path / "empty")))
