"""The Ray engine with two workers writes the bytes that one process writes."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from openai_server import OpenAIServer, vector_of
from tiny_models import WORDS

from recbole_darec.config import Config
from recbole_darec.embedding import command, huggingface
from recbole_darec.embedding.encode import embed_texts, encode_source
from recbole_darec.embedding.encoders import create_encoder
from recbole_darec.embedding.engines import encoding_engine, settings_of
from recbole_darec.embedding.profile_engine import profile_engine
from recbole_darec.embedding.profile_file import ProfileFile
from recbole_darec.embedding.profiles import ProfilePlan, write_profiles
from recbole_darec.embedding.prompt import PromptTemplate
from recbole_darec.embedding.ray_engine import Pool, Work, ray_map
from recbole_darec.embedding.text_source import TextSource
from recbole_darec.keys import ConfigError

TEXTS = [" ".join(WORDS[(i * k) % 60] for k in range(1, 2 + i % 17)) for i in range(120)]
SOURCE = TextSource(lambda _: iter([list(zip(map(str, range(120)), TEXTS, strict=True))]), "t")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A worker takes as many CPUs as this process has threads; two must fit on two CPUs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """One small Ray for these tests."""
    from recbole_darec import ray_cluster

    yield (started := ray_cluster.connect(cpus=2))
    started.shutdown()


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    command.add_arguments(parser)
    return parser.parse_args(list(given))


@pytest.fixture
def tiny(settings: dict[str, Any], bert: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(huggingface, "_CHUNK", 8)
    on_ray = {"text_engine": "ray", "ray_workers": 2}
    return settings | {"text_encoder": str(bert), "seed": 1} | on_ray


def files(root: str) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in Path(root).rglob("*") if p.is_file()}


def worker_pids() -> list[int]:
    family = psutil.Process().children(recursive=True)
    return [p.pid for p in family if "EmbeddingWorker" in " ".join(p.cmdline())]


def test_same_bytes_and_no_lost_rows(
    ray: Any, tiny: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Both workers are killed (9) in the middle; the files are those of one process."""
    local = {"text_engine": "local", "ray_workers": None}
    alone = tiny | local | {"embedding_dir": str(tmp_path / "alone")}
    encode_source(alone, SOURCE)
    expected = files(alone["embedding_dir"])
    assert sum(name.endswith(".keys.npy") for name in expected) > 10
    killed = []

    def interrupted(encoder: Any, chunks: Iterable[list[str]]) -> Iterator[Any]:
        for count, done in enumerate(encoding_engine(tiny)(encoder, chunks)):
            yield done
            if count == 2:
                killed.extend(worker_pids())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)

    encode_source(tiny, SOURCE, engine=interrupted)
    assert len(killed) == 2
    assert files(tiny["embedding_dir"]) == expected
    # With everything stored, no worker is started.
    encode_source(tiny | {"ray_workers": 9999}, SOURCE)


@pytest.mark.slow
def test_profiles(ray: Any, tiny: dict[str, Any], llama: Path, tmp_path: Path) -> None:
    """What a local causal model writes does not depend on where it runs."""
    (tmp_path / "p.txt").write_text("w1 {text}")
    given = options(f"--profile_model={llama}", "--max_tokens=3", "--accept_cut", "--batch=4")
    from recbole_darec.embedding.generators import make_generator

    generator = make_generator(given, tiny)
    plan = ProfilePlan(SOURCE, PromptTemplate("item", tmp_path / "p.txt"), generator, limit=30)
    rows = []
    for engine in ("local", "ray"):
        settings = tiny | {"text_engine": engine, "ray_workers": 2 if engine == "ray" else None}
        with ProfileFile(tmp_path / f"{engine}.jsonl", "item_id") as file:
            assert write_profiles(plan, file, 30, profile_engine(given, settings)) == {}
        lines = (tmp_path / f"{engine}.jsonl").read_text().splitlines()
        rows.append(sorted(lines, key=lambda line: int(json.loads(line)["item_id"])))
    assert rows[0] == rows[1]
    assert len(rows[0]) == 30


@pytest.mark.slow
def test_a_failure_in_a_worker_keeps_its_message(
    ray: Any, tiny: dict[str, Any], server: OpenAIServer
) -> None:
    tiny |= {
        "text_encoder": "openai:m",
        "api_base": server.base,
        "api_key_env": "NO_SUCH_KEY",
    }
    encoder = create_encoder(tiny)
    calls = encoding_engine(tiny)(encoder, [["a"]])
    with pytest.raises(ConfigError, match="environment variable NO_SUCH_KEY is not set"):
        list(calls)


@pytest.mark.slow
def test_an_endpoint_is_asked_by_as_many_at_once_as_here(
    ray: Any, tiny: dict[str, Any], server: OpenAIServer
) -> None:
    tiny |= {
        "text_encoder": "openai:m",
        "api_base": server.base,
        "api_batch_texts": 1,
        "api_concurrency": 3,
        "api_key_env": None,
        "ray_workers": 1,
    }
    server.free = 0
    opener = threading.Thread(target=lambda: (server.wait_for(3), server.hold.set()))
    opener.start()
    texts = [f"t{i}" for i in range(8)]
    made = embed_texts(tiny, texts)
    opener.join()
    assert np.array_equal(made, np.array([vector_of(text) for text in texts], dtype=np.float32))
    assert server.most_at_once == 3
    assert sorted(text for (text,) in server.asked) == texts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda *_: os.kill(os.getpid(), signal.SIGKILL), r"failed \(Actor.*Error: .*unexpected"),
        (lambda _, item: {}[item], r"failed \(KeyError: 'w1'\). What is done already is kept"),
    ],
)
def test_workers_that_always_die_or_fail(
    ray: Any, tiny: dict[str, Any], call: Any, message: str
) -> None:
    like = create_encoder(tiny)
    make = partial(create_encoder, tiny)
    work = Work(make, call, 1, "specification", like.specification, 1)
    with pytest.raises(ConfigError, match=message):
        list(ray_map(work, ["w1"], Pool(None, 1, on_gpu=False)))


@pytest.mark.slow
def test_another_model_on_a_worker(ray: Any, tiny: dict[str, Any]) -> None:
    encoder = create_encoder(tiny | {"text_pooling": "cls"})
    calls = encoding_engine(tiny)(encoder, [["w1"]])
    with pytest.raises(ConfigError, match="a Ray worker has another model under the name"):
        list(calls)


def test_ray_that_cannot_start_says_what_to_do(tmp_path: Path) -> None:
    """In a process of its own, where no Ray runs yet; its folder for files is a file."""
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from recbole_darec.ray_cluster import connect; connect()",
        ],
        env={**os.environ, "RAY_TMPDIR": str(tmp_path / "file")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ConfigError: Ray could not be started on this machine: " in done.stderr
    assert "give the --ray_address of a running cluster" in done.stderr


@pytest.mark.slow
def test_a_worker_takes_the_gpu_that_ray_gives_it() -> None:
    """It sees no other, so that a number that counts here would name none there."""
    here = Config(config_dict={"text_device": "cuda:1", "gpu_id": ""})
    here["device"] = torch.device("cuda:2")
    assert {k: settings_of(here)[k] for k in ("text_device", "device")} == {
        "text_device": "cuda", "device": "cuda",
    }  # fmt: skip
    on_cpu = Config(config_dict={"gpu_id": ""})
    assert str(settings_of(on_cpu)["device"]) == "cpu"
    assert settings_of(on_cpu)["text_device"] == "auto"


def test_too_many_workers(ray: Any, tiny: dict[str, Any]) -> None:
    calls = encoding_engine(tiny | {"ray_workers": 99})(create_encoder(tiny), [["w1"]])
    with pytest.raises(
        ConfigError, match="key 'ray_workers' is 99, but the Ray cluster has room for"
    ):
        list(calls)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--ray_address=auto"], "key 'ray_address' is set, but 'text_engine' is 'local'"),
        (["--workers=2", "--engine=local"], "key 'ray_workers' is set, but 'text_engine' is"),
        (["--engine=ray", "--workers=0"], r"'ray_workers' is 0; expected an int in \[1, inf\)"),
    ],
)
def test_options_that_do_not_fit(given: list[str], message: str) -> None:
    args = options(*given)
    args.keys = []
    with pytest.raises(ConfigError, match=message):
        command.main(args)
