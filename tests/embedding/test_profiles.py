"""``embed profile`` against a real chat server on loopback, and with a tiny local model."""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_server import KEY, OpenAIServer, profile_of

from recbole_darec.embedding import command
from recbole_darec.embedding.endpoint import EndpointError
from recbole_darec.embedding.prompt import PromptTemplate
from recbole_darec.embedding.text import file_source
from recbole_darec.keys import ConfigError

N_ITEMS = 24
Profile = Callable[..., int]
CHILD = """
import argparse, json, sys
from recbole_darec.embedding import command
parser = argparse.ArgumentParser(allow_abbrev=False)
command.add_arguments(parser)
args, args.keys = parser.parse_known_args(json.load(sys.stdin))
sys.exit(command.main(args))
"""


@pytest.fixture
def arguments(tmp_path: Path, server: OpenAIServer) -> list[str]:
    """Command line for a shop of 24 items and 6 users who took items at known times."""
    folder = tmp_path / "shop"
    folder.mkdir()
    head = "user_id:token\titem_id:token\ttimestamp:float\n"
    parts = {
        "train": "".join(
            f"u{u}\ti{(3 * u + k) % N_ITEMS}\t{k}\n" for u in range(6) for k in range(4)
        ),
        "valid": "u0\ti9\t9\n",
        "test": "u1\ti20\t9\n",
    }
    for name, rows in parts.items():
        (folder / f"shop.{name}.inter").write_text(head + rows)
    items = "".join(f"i{k}\tThing {k}\n" for k in range(N_ITEMS))
    (folder / "shop.item").write_text("item_id:token\ttitle:token_seq\n" + items)
    return [
        "profile",
        "--dataset=shop",
        "--profile_model=openai:chat",
        f"--data_path={tmp_path}",
        f"--embedding_dir={tmp_path / 'store'}",
        "--item_template={title}",
        "--benchmark_filename=['train','valid','test']",
        "--load_col={'inter': ['user_id', 'item_id', 'timestamp']}",
        "--val_interval=None",
        "--use_gpu=False",
        f"--api_base={server.base}",
        "--api_backoff=0.01",
        "--api_retries=3",
        "--api_concurrency=2",
    ]


@pytest.fixture
def profile(arguments: list[str]) -> Profile:
    def run(*more: str) -> int:
        parser = argparse.ArgumentParser(allow_abbrev=False)
        command.add_arguments(parser)
        given = {word.partition("=")[0] for word in more}
        kept = [word for word in arguments if word.partition("=")[0] not in given]
        args, args.keys = parser.parse_known_args([*kept, *more])
        return command.main(args)

    return run


def output(tmp_path: Path, side: str = "item") -> Path:
    return tmp_path / "store" / "profiles" / f"shop.{side}.jsonl"


def rows(tmp_path: Path, side: str = "item") -> dict[str, str]:
    lines = output(tmp_path, side).read_text("utf-8").splitlines()
    made = {row[f"{side}_id"]: row["profile"] for row in map(json.loads, lines)}
    assert len(made) == len(lines)
    return made


def item_prompt(number: int) -> str:
    return PromptTemplate("item").fill(f"Thing {number}").user


EXPECTED = {f"i{k}": profile_of(item_prompt(k)) for k in range(N_ITEMS)}


def test_items(
    profile: Profile, server: OpenAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile() == 0
    assert rows(tmp_path) == EXPECTED
    assert f"24 of 24 profiles: {output(tmp_path)}" in capsys.readouterr().out
    body = server.bodies[0]
    assert body["messages"][0] == {
        "role": "system",
        "content": PromptTemplate("item").fill("").system,
    }
    assert {key: body[key] for key in ("model", "max_tokens", "temperature")} == {
        "model": "chat",
        "max_tokens": 300,
        "temperature": 0.0,
    }
    assert server.most_at_once <= 2
    # Nothing is asked twice, and training reads the file as it is.
    assert profile() == 0
    assert len(server.asked) == N_ITEMS
    config: dict[str, Any] = {
        "item_text_file": str(output(tmp_path)),
        "item_text_id_column": None,
        "item_text_column": None,
        "ITEM_ID_FIELD": "item_id",
    }
    assert file_source(config, "item").as_dict() == EXPECTED


def test_users_from_training_items_and_their_profiles(
    profile: Profile, server: OpenAIServer, tmp_path: Path
) -> None:
    profile("--limit=5")
    server.asked.clear()
    assert profile("--side=user", "--user_history_items=3") == 0
    assert set(rows(tmp_path, "user")) == {f"u{u}" for u in range(6)}
    asked = {prompt for (prompt,) in server.asked}
    first = "\n".join(f"- Thing {k}\n  {EXPECTED[f'i{k}']}" for k in (3, 2, 1))
    assert f"The user has chosen:\n{first}" in asked
    assert "The user has chosen:\n- Thing 9\n- Thing 8\n- Thing 7" in asked
    # Held out: u0 took i9, u1 took i20.
    assert not any("Thing 20" in prompt for prompt in asked)
    assert sum("Thing 9" in prompt for prompt in asked) == 1


def test_columns_of_the_items_own_file_are_not_those_of_profiles(
    profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"i{k},Thing {k}" for k in range(N_ITEMS)]
    (tmp_path / "items.csv").write_text("\n".join(["asin,description", *texts]) + "\n")
    keys = [
        "--item_template=~",
        f"--item_text_file={tmp_path / 'items.csv'}",
        "--item_text_id_column=asin",
        "--item_text_column=description",
    ]
    assert profile(*keys) == 0
    said = capsys.readouterr()
    assert f"what is known of the items: item_text_file {tmp_path / 'items.csv'}" in said.err
    told = f"--item_text_file={output(tmp_path)} --item_text_id_column=item_id"
    assert f"to train with them: {told} --item_text_column=profile\n" in said.out
    assert rows(tmp_path) == EXPECTED
    assert profile(*keys, "--side=user") == 0
    assert "prompts of users show 24 profiles of items" in capsys.readouterr().err


def test_a_file_beside_the_template_is_told_of(
    profile: Profile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "plots.jsonl").write_text('{"item_id": "i1", "text": "A plot."}\n')
    assert profile(f"--item_text_file={tmp_path / 'plots.jsonl'}", "--dry_run") == 0
    said = f"made of item_template; {tmp_path / 'plots.jsonl'} (item_text_file) is not read"
    assert said in caplog.text


def test_other_prompt_refuses_until_replace(
    profile: Profile, server: OpenAIServer, tmp_path: Path
) -> None:
    profile("--limit=4")
    (tmp_path / "p.txt").write_text("What is {text}?")
    before = output(tmp_path).read_bytes()
    with pytest.raises(ConfigError, match="4 profiles in .* were made from another prompt, text"):
        profile(f"--prompt={tmp_path / 'p.txt'}")
    assert output(tmp_path).read_bytes() == before
    profile(f"--prompt={tmp_path / 'p.txt'}", "--replace", "--limit=6")
    assert rows(tmp_path) == {f"i{k}": profile_of(f"What is Thing {k}?") for k in range(6)}
    messages = [body["messages"] for body in server.bodies]
    assert [{"role": "user", "content": "What is Thing 5?"}] in messages


@pytest.mark.parametrize("fault", ["no key", 401])
def test_replace_keeps_what_it_cannot_replace(
    profile: Profile,
    server: OpenAIServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
) -> None:
    profile("--limit=4")
    (tmp_path / "p.txt").write_text("What is {text}?")
    again = (f"--prompt={tmp_path / 'p.txt'}", "--replace", "--limit=4", "--api_concurrency=1")
    before = rows(tmp_path)
    if fault == "no key":
        monkeypatch.delenv("OPENAI_API_KEY")
    else:
        server.faults = [lambda handler, answer: handler.reply(answer), fault]
        before["i0"] = profile_of("What is Thing 0?")
    with pytest.raises(ConfigError, match=r"is not set|status 401"):
        profile(*again)
    assert rows(tmp_path) == before
    server.faults = []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert profile(*again) == 0
    assert rows(tmp_path) == {f"i{k}": profile_of(f"What is Thing {k}?") for k in range(4)}


def test_one_changed_text_is_one_request(
    profile: Profile, server: OpenAIServer, tmp_path: Path
) -> None:
    profile()
    file = tmp_path / "shop" / "shop.item"
    file.write_text(file.read_text().replace("Thing 7\n", "Thing seven\n"))
    profile("--replace")
    assert len(server.asked) == N_ITEMS + 1
    seven = profile_of(PromptTemplate("item").fill("Thing seven").user)
    assert rows(tmp_path) == EXPECTED | {"i7": seven}


def test_dry_run_and_preview(
    profile: Profile, server: OpenAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile("--limit=4")
    server.asked.clear()
    capsys.readouterr()
    (tmp_path / "p.txt").write_text("12345678{text}")
    profile(f"--prompt={tmp_path / 'p.txt'}", "--dry_run", "--max_tokens=10")
    out = capsys.readouterr().out
    assert "24 profiles, 0 in " in out
    assert ", 4 made from another prompt, text or model\n" in out
    # "12345678Thing k" has 15 or 16 bytes: 4 tokens.
    tokens = N_ITEMS * 4
    assert f"24 profiles in 24 requests, about {tokens} tokens to read, at most 240 to write" in out
    profile("--preview=1")
    out = capsys.readouterr().out
    assert "--- i0\nYou describe the items" in out
    assert "20 profiles in 20 requests" in out
    assert server.asked == []


def empty(handler: Any, answer: dict[str, Any]) -> None:
    answer["choices"][0]["message"]["content"] = "  "
    handler.reply(answer)


def no_choice(handler: Any, _: dict[str, Any]) -> None:
    handler.reply({"choices": []})


def half_a_character(handler: Any, answer: dict[str, Any]) -> None:
    """What is left of an emoji where a server cuts an answer between its UTF-16 halves."""
    answer["choices"][0]["message"]["content"] = "A toy \ud83d"
    handler.reply(answer)


def deep(handler: Any, _: dict[str, Any]) -> None:
    handler.reply(b"[" * 200_000)


def cut(handler: Any, answer: dict[str, Any]) -> None:
    answer["choices"][0]["finish_reason"] = "length"
    handler.reply(answer)


def broken(handler: Any, answer: dict[str, Any]) -> None:
    handler.reply(json.dumps(answer).encode()[:-9])


@pytest.mark.parametrize(
    "faults", [[429, 500, empty, no_choice, broken, 503], [half_a_character, deep]]
)
def test_faults_are_tried_again(
    profile: Profile, server: OpenAIServer, tmp_path: Path, faults: list[Any]
) -> None:
    server.faults = list(faults)
    assert profile() == 0
    assert rows(tmp_path) == EXPECTED
    assert len(server.asked) == N_ITEMS + len(faults)


def test_answers_of_no_use_are_reported_and_tried_by_the_next_run(
    profile: Profile, server: OpenAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults = [empty, empty, empty, cut, 400]
    assert profile("--api_concurrency=1") == 1
    captured = capsys.readouterr()
    assert "21 of 24 profiles" in captured.out
    assert "3 profiles failed; the same command tries them again:" in captured.err
    assert "i0: the answer is empty" in captured.err
    assert "i1: the answer is cut at 300 tokens; raise --max_tokens" in captured.err
    assert "i2: " in captured.err
    assert "refuses: status 400: no, ***" in captured.err
    assert set(rows(tmp_path)) == set(EXPECTED) - {"i0", "i1", "i2"}
    assert profile() == 0
    assert rows(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (no_choice, "the answer holds no message"),
        (half_a_character, "the answer holds half a character"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(
    profile: Profile,
    server: OpenAIServer,
    capsys: pytest.CaptureFixture[str],
    fault: Any,
    message: str,
) -> None:
    server.faults = [fault] * 3
    assert profile("--api_concurrency=1") == 1
    assert f"i0: {message}\n" in capsys.readouterr().err


@pytest.mark.parametrize("fault", [broken, 503])
def test_a_prompt_at_which_the_endpoint_fails_is_given_up(
    profile: Profile,
    server: OpenAIServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: Any,
) -> None:
    server.faults = [fault] * 4
    assert profile("--api_concurrency=1") == 1
    assert "i0: " in (err := capsys.readouterr().err)
    assert "chat/completions failed 4 times, at last: " in err
    assert rows(tmp_path) == {i: text for i, text in EXPECTED.items() if i != "i0"}


def test_an_endpoint_that_fails_at_all_prompts_is_an_error(
    profile: Profile, server: OpenAIServer, tmp_path: Path
) -> None:
    """At five prompts in a row: four, one that fares well, and five."""
    server.faults = [*[500] * 4, lambda handler, answer: handler.reply(answer), *[500] * 99]
    with pytest.raises(EndpointError, match="failed 1 times, at last: status 500"):
        profile("--api_concurrency=1", "--api_retries=0")
    assert len(server.asked) == 4 + 1 + 5
    assert rows(tmp_path) == {"i4": EXPECTED["i4"]}


def test_many_bad_prompts_in_front_do_not_stop_the_next_run(
    profile: Profile, server: OpenAIServer, tmp_path: Path
) -> None:
    profile("--limit=1")
    server.faults = [400] * 12
    assert profile("--api_concurrency=1") == 1
    assert len(rows(tmp_path)) == N_ITEMS - 12


def test_the_key_is_blanked_in_profiles(
    profile: Profile, server: OpenAIServer, tmp_path: Path
) -> None:
    def echo(handler: Any, answer: dict[str, Any]) -> None:
        answer["choices"][0]["message"]["content"] = f"Made with {KEY}."
        handler.reply(answer)

    server.faults = [echo]
    profile("--limit=1")
    assert rows(tmp_path) == {"i0": "Made with ***."}


def test_a_short_key_is_a_word_like_any_other(
    profile: Profile, server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local server takes any key; 'choices' is a name in every answer."""
    monkeypatch.setenv("OPENAI_API_KEY", "choices")

    def answered(handler: Any, answer: dict[str, Any]) -> None:
        answer["choices"][0]["message"]["content"] = "An index of choices."
        handler.reply(answer)

    server.faults = [answered]
    profile("--limit=1")
    assert rows(tmp_path) == {"i0": "An index of choices."}


def test_cut_answers_may_be_kept(profile: Profile, server: OpenAIServer, tmp_path: Path) -> None:
    server.faults = [cut]
    assert profile("--limit=1", "--accept_cut") == 0
    assert rows(tmp_path) == {"i0": EXPECTED["i0"]}


def test_request_options(profile: Profile, server: OpenAIServer) -> None:
    options = '{"max_tokens": null, "max_completion_tokens": 9}'
    profile("--limit=1", f"--request_options={options}")
    assert "max_tokens" not in server.bodies[0]
    assert server.bodies[0]["max_completion_tokens"] == 9


def test_a_refused_key_stops_at_once(
    profile: Profile, server: OpenAIServer, tmp_path: Path
) -> None:
    server.faults = [lambda handler, answer: handler.reply(answer), 401]
    with pytest.raises(EndpointError, match=r"status 401: no, \*\*\*; check the key"):
        profile("--api_concurrency=1")
    assert rows(tmp_path) == {"i0": EXPECTED["i0"]}
    assert len(server.asked) == 2


def test_hopeless_answers_stop_early(profile: Profile, server: OpenAIServer) -> None:
    server.faults = [400] * N_ITEMS
    with pytest.raises(EndpointError, match="none of the first 10 answers is of use, e.g. that"):
        profile("--api_concurrency=1")
    assert len(server.asked) == 10


def test_key_missing(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="environment variable OPENAI_API_KEY is not set"):
        profile()


def test_killed_and_run_again(
    profile: Profile, arguments: list[str], server: OpenAIServer, tmp_path: Path
) -> None:
    """Kill -9 with two requests under way: they alone are asked again; the key is nowhere."""
    server.free = 9
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert child.stdin is not None
    json.dump(arguments, child.stdin)
    child.stdin.close()
    child.stdin = None
    server.wait_for(11)
    child.kill()
    out, _ = child.communicate()
    in_flight = {prompt for (prompt,) in server.asked[9:]}
    assert len(rows(tmp_path)) == 9
    server.hold.set()
    assert profile() == 0
    assert rows(tmp_path) == EXPECTED
    counts = Counter(prompt for (prompt,) in server.asked)
    assert {prompt for prompt, count in counts.items() if count > 1} == in_flight
    assert max(counts.values()) == 2
    assert KEY not in out
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_local_model_end_to_end(
    profile: Profile, server: OpenAIServer, llama: Path, tmp_path: Path
) -> None:
    """Profiles by a tiny causal model, batched; the same as from a run that was cut in two."""
    (tmp_path / "p.txt").write_text("w1 w2 {text}")
    items = "".join(f"i{k}\tw{k}" + " w3" * (k % 4) + "\n" for k in range(N_ITEMS))
    (tmp_path / "shop" / "shop.item").write_text("item_id:token\ttitle:token_seq\n" + items)
    options = (
        f"--profile_model={llama}",
        f"--prompt={tmp_path / 'p.txt'}",
        "--max_tokens=4",
        "--accept_cut",
        "--batch=3",
    )
    assert profile(*options) == 0
    whole = rows(tmp_path)
    assert len(whole) == N_ITEMS
    assert len(set(whole.values())) > 10
    other = f"--output={tmp_path / 'other.jsonl'}"
    profile(*options, other, "--limit=7")
    profile(*options, other)
    lines = [json.loads(line) for line in (tmp_path / "other.jsonl").read_text().splitlines()]
    assert {line["item_id"]: line["profile"] for line in lines} == whole
    assert server.asked == []


def test_items_of_another_dataset(profile: Profile, server: OpenAIServer, tmp_path: Path) -> None:
    file = tmp_path / "shop" / "shop.item"
    file.write_text(file.read_text().replace("\ni", "\nother"))
    with pytest.raises(
        ConfigError, match="its ids look like other0, other1, other2, the dataset's"
    ):
        profile()
    assert server.asked == []


def test_interactions_without_the_column_of_ids(
    profile: Profile, server: OpenAIServer, tmp_path: Path
) -> None:
    for file in (tmp_path / "shop").glob("*.inter"):
        file.write_text(file.read_text().replace("item_id:token", "thing:token"))
    with pytest.raises(ConfigError, match=r"shop\.train\.inter has no column 'item_id'"):
        profile()
    assert server.asked == []


@pytest.mark.parametrize("options", ["[1]", "{"])
def test_request_options_are_a_json_object(
    profile: Profile, capsys: pytest.CaptureFixture[str], options: str
) -> None:
    with pytest.raises(SystemExit):
        profile(f"--request_options={options}")
    assert f"--request_options: '{options}' is not a json object" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--profile_model="], "--profile_model is missing"),
        (["--profile_model=openai:"], "expected openai:MODEL"),
        (["--profile_model=/no/such"], "--profile_model: '/no/such' is neither a local folder"),
        (["--max_tokens=0"], "--max_tokens is 0; expected at least 1"),
        (["--temperature=-1"], "--temperature is -1.0; expected at least 0"),
        (["--prompt=/no/such.txt"], r"--prompt: /no/such\.txt cannot be read"),
        (["--item_template=~"], "set 'item_template' or 'item_text_file'"),
        (["--side=user", "--item_profiles=/no.jsonl"], r"the file /no\.jsonl does not exist"),
    ],
)
def test_mistakes(profile: Profile, server: OpenAIServer, more: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        profile(*more)
    assert server.asked == []
