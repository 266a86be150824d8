"""The endpoint's client against a real server on loopback."""

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai_server import KEY, OpenAIServer, vector_of

from recbole_darec.embedding.api_encoder import ApiEncoder
from recbole_darec.embedding.encode import embed_texts
from recbole_darec.embedding.encoders import create_encoder
from recbole_darec.embedding.endpoint import EndpointError
from recbole_darec.embedding.store import list_store
from recbole_darec.keys import ConfigError

TEXTS = [f"text {i}" for i in range(10)]


@pytest.fixture
def api(settings: dict[str, Any], server: OpenAIServer) -> dict[str, Any]:
    return settings | {
        "text_encoder": "openai:small",
        "api_base": server.base,
        "api_batch_texts": 4,
        "api_concurrency": 1,
        "api_retries": 2,
        "api_backoff": 0.01,
        "api_timeout": 20.0,
    }


def expected(texts: list[str], dim: int = 6) -> np.ndarray:
    return np.array([vector_of(text, dim) for text in texts], dtype=np.float32)


def test_batches_and_what_is_sent(api: dict[str, Any], server: OpenAIServer) -> None:
    assert np.array_equal(embed_texts(api, TEXTS), expected(TEXTS))
    assert server.asked == [TEXTS[:4], TEXTS[4:8], TEXTS[8:]]
    assert server.bodies[0] == {"model": "small", "input": TEXTS[:4], "encoding_format": "float"}
    assert server.authorizations == [f"Bearer {KEY}"] * 3
    assert np.array_equal(embed_texts(api, TEXTS[::-1]), expected(TEXTS[::-1]))
    embed_texts(api, [*TEXTS, "one more"])
    assert server.asked[3:] == [["one more"]]


def test_a_store_that_cannot_be_written_is_named_before_anything_is_asked(
    api: dict[str, Any], server: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"cannot be written: .*file is no folder .* set embedding_dir"
    ):
        embed_texts(api | {"embedding_dir": str(tmp_path / "file")}, TEXTS)
    assert server.asked == []


def test_dimensions_prefix_and_length(api: dict[str, Any], server: OpenAIServer) -> None:
    api |= {"api_dimensions": 3, "text_prefix": "query: ", "text_normalize": "unit"}
    raw = expected(["query: a"], 3)
    assert np.allclose(embed_texts(api, ["a"]), raw / np.linalg.norm(raw), atol=1e-7)
    assert server.bodies[0]["dimensions"] == 3


@pytest.mark.parametrize(
    "change",
    [
        {"api_dimensions": 3},
        {"text_prefix": "q"},
        {"text_normalize": "unit"},
        {"text_encoder": "openai:large"},
        {"text_encoder_revision": "2024-02"},
        {"api_base": "http://127.0.0.1:1/v1"},
    ],
)
def test_another_encoder_is_told_apart(api: dict[str, Any], change: dict[str, Any]) -> None:
    assert create_encoder(api | change).specification != create_encoder(api).specification
    slash = api | {"api_base": api["api_base"] + "/"}
    assert create_encoder(slash).specification == create_encoder(api).specification


def test_retry_after_is_obeyed(api: dict[str, Any], server: OpenAIServer) -> None:
    server.faults = [lambda handler, _: handler.reply({}, 429, {"Retry-After": "1"})]
    assert np.array_equal(embed_texts(api, ["a"]), expected(["a"]))
    assert server.times[1] - server.times[0] >= 1


def test_retry_after_as_a_date(api: dict[str, Any], server: OpenAIServer) -> None:
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    server.faults = [lambda handler, _: handler.reply({}, 503, past)]
    api["api_backoff"] = 60.0
    assert np.array_equal(embed_texts(api, ["a"]), expected(["a"]))


def test_waiting_for_hours_is_an_error(api: dict[str, Any], server: OpenAIServer) -> None:
    server.faults = [lambda handler, _: handler.reply(b"busy", 429, {"Retry-After": "7200"})]
    with pytest.raises(EndpointError, match=r"status 429: busy \(it asks to wait 7200 s; run"):
        embed_texts(api, ["a"])


def test_waits_grow_exponentially_with_jitter(
    api: dict[str, Any], server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults = [500, 502, 503, 500]
    embed_texts(api | {"api_retries": 4, "api_backoff": 0.02}, ["a"])
    gaps = np.diff(server.times)
    assert len(gaps) == 4
    for attempt, gap in enumerate(gaps):
        assert gap >= 0.5 * 0.02 * 2**attempt
    assert caplog.text.count("attempt") == 4
    assert "status 500: no, ***; attempt 2 of 5 in 0.0 s" in caplog.text


def hang(handler: Any, _: dict[str, Any]) -> None:
    """Headers, half the body, then nothing for longer than the client waits."""
    handler.reply(b'{"data": [', headers={"Content-Length": "100"})
    handler.rfile.read(1)


def truncated(handler: Any, answer: dict[str, Any]) -> None:
    handler.reply(json.dumps(answer).encode()[:-20])


def short_body(handler: Any, answer: dict[str, Any]) -> None:
    handler.reply(json.dumps(answer).encode()[:-20], headers={"Content-Length": "5000"})
    handler.close_connection = True


def hang_up(handler: Any, _: dict[str, Any]) -> None:
    handler.close_connection = True


def one_missing(handler: Any, answer: dict[str, Any]) -> None:
    handler.reply({"data": answer["data"][1:]})


def one_twice(handler: Any, answer: dict[str, Any]) -> None:
    handler.reply({"data": [*answer["data"], answer["data"][0]]})


def not_a_number(handler: Any, answer: dict[str, Any]) -> None:
    answer["data"][0]["embedding"][0] = float("nan")
    handler.reply(answer)


def empty(handler: Any, answer: dict[str, Any]) -> None:
    for row in answer["data"]:
        row["embedding"] = []
    handler.reply(answer)


def ragged(handler: Any, answer: dict[str, Any]) -> None:
    answer["data"][0]["embedding"].pop()
    handler.reply(answer)


def no_data(handler: Any, _: dict[str, Any]) -> None:
    handler.reply({"object": "list"})


@pytest.mark.parametrize(
    "fault",
    [
        hang,
        truncated,
        short_body,
        hang_up,
        one_missing,
        one_twice,
        not_a_number,
        empty,
        ragged,
        no_data,
    ],
)
def test_a_broken_answer_is_asked_for_again(
    api: dict[str, Any], server: OpenAIServer, fault: Any
) -> None:
    server.faults = [fault]
    timeout = {"api_timeout": 0.5} if fault is hang else {}
    assert np.array_equal(embed_texts(api | timeout, TEXTS[:3]), expected(TEXTS[:3]))
    assert server.asked == [TEXTS[:3]] * 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (500, "failed 3 times, at last: status 500"),
        (hang, "failed 3 times, at last: timed out"),
        (truncated, "failed 3 times, at last: [0-9]+ bytes that are not json"),
        (short_body, r"failed 3 times, at last: IncompleteRead"),
        (one_missing, "does not hold 3 vectors of one width"),
        (one_twice, "holds 4 vectors for 3 texts"),
        (not_a_number, "vectors that are empty or not finite"),
        (empty, "vectors that are empty or not finite"),
    ],
)
def test_giving_up(api: dict[str, Any], server: OpenAIServer, fault: Any, message: str) -> None:
    server.faults = [fault] * 3
    timeout = {"api_timeout": 0.3} if fault is hang else {}
    with pytest.raises(EndpointError, match=message):
        embed_texts(api | timeout, TEXTS[:3])
    assert len(server.asked) == 3
    assert list_store(Path(api["embedding_dir"])) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_final(api: dict[str, Any], server: OpenAIServer, status: int) -> None:
    server.faults = [status]
    with pytest.raises(EndpointError, match=rf"embeddings refuses: status {status}: no, \*\*\*"):
        embed_texts(api, ["a"])
    assert len(server.asked) == 1


def test_an_empty_account_is_final(api: dict[str, Any], server: OpenAIServer) -> None:
    error = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    server.faults = [lambda handler, _: handler.reply(error, 429)]
    with pytest.raises(EndpointError, match="refuses: status 429: You exceeded your quota"):
        embed_texts(api, ["a"])
    assert len(server.asked) == 1


def test_a_redirect_is_not_followed(api: dict[str, Any], server: OpenAIServer) -> None:
    with OpenAIServer() as elsewhere:
        target = {"Location": f"{elsewhere.base}/embeddings"}
        server.faults = [lambda handler, _: handler.reply(b"moved", 302, target)]
        with pytest.raises(EndpointError, match="refuses: status 302"):
            embed_texts(api, ["a"])
        assert elsewhere.authorizations == []


def test_no_server_at_all(api: dict[str, Any]) -> None:
    with pytest.raises(EndpointError, match="failed 3 times, at last: .*refused"):
        embed_texts(api | {"api_base": "http://127.0.0.1:9/v1"}, ["a"])


def test_order_is_that_of_index(api: dict[str, Any], server: OpenAIServer) -> None:
    def shuffled(handler: Any, answer: dict[str, Any]) -> None:
        handler.reply({"data": [answer["data"][i] for i in (2, 0, 1)]})

    server.faults = [shuffled]
    assert np.array_equal(embed_texts(api, TEXTS[:3]), expected(TEXTS[:3]))
    assert len(server.asked) == 1


def test_wrong_dimension(api: dict[str, Any], server: OpenAIServer) -> None:
    def ignores_dimensions(handler: Any, _: dict[str, Any]) -> None:
        handler.reply({"data": [{"index": 0, "embedding": [0.0] * 6}]})

    server.faults = [ignores_dimensions]
    with pytest.raises(EndpointError, match="vectors of 6 dimensions, but 'api_dimensions' is 3"):
        embed_texts(api | {"api_dimensions": 3}, ["a"])


def test_dimension_changes_between_requests(api: dict[str, Any], server: OpenAIServer) -> None:
    """Within a run and between two runs; what was stored before stays readable."""

    def wider(handler: Any, answer: dict[str, Any]) -> None:
        for row in answer["data"]:
            row["embedding"].append(0.0)
        handler.reply(answer)

    embed_texts(api, TEXTS[:4])
    server.faults = [wider]
    with pytest.raises(ConfigError, match="7 dimensions after vectors of 6: another model answers"):
        embed_texts(api, TEXTS[:8])
    assert np.array_equal(embed_texts(api, TEXTS[:4]), expected(TEXTS[:4]))


def test_concurrent_requests_and_their_limit(api: dict[str, Any], server: OpenAIServer) -> None:
    api |= {"api_concurrency": 3, "api_batch_texts": 1}
    server.free = 0
    texts = [f"t{i}" for i in range(12)]

    def open_when_three_wait() -> None:
        server.wait_for(3)
        server.hold.set()

    opener = threading.Thread(target=open_when_three_wait)
    opener.start()
    assert np.array_equal(embed_texts(api, texts), expected(texts))
    opener.join()
    assert server.most_at_once == 3
    assert Counter(text for batch in server.asked for text in batch) == Counter(texts)


def test_key_missing(
    api: dict[str, Any], server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="environment variable OPENAI_API_KEY is not set; put"):
        embed_texts(api, ["a"])
    with pytest.raises(ConfigError, match="environment variable OTHER_KEY is not set"):
        embed_texts(api | {"api_key_env": "OTHER_KEY"}, ["a"])
    assert server.asked == []
    embed_texts(api | {"api_key_env": None}, ["a"])
    assert server.authorizations == [None]
    # What is stored is read without any key.
    assert np.array_equal(embed_texts(api, ["a"]), expected(["a"]))


def test_malformed_key_is_not_shown(api: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\nX-Other: 1")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY does not hold a key") as caught:
        embed_texts(api, ["a"])
    assert "secret" not in str(caught.value)


CHILD = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
from recbole_darec.embedding.encode import embed_texts
settings, texts = json.load(sys.stdin)
embed_texts(settings, texts)
"""


def start_child(api: dict[str, Any], texts: list[str]) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdin is not None
    json.dump([api, texts], child.stdin)
    child.stdin.close()
    child.stdin = None
    return child


def test_the_key_appears_nowhere(api: dict[str, Any], server: OpenAIServer, tmp_path: Path) -> None:
    """Not in a log at DEBUG, not in the traceback of a failure, not in any file."""

    def echo(handler: Any, answer: dict[str, Any]) -> None:
        answer["data"][0]["embedding"] = KEY
        handler.reply(answer)

    def inside(handler: Any, answer: dict[str, Any]) -> None:
        answer["data"][0]["embedding"][0] = KEY
        handler.reply(answer)

    well = [lambda handler, answer: handler.reply(answer)]
    server.faults = [*well, 500, truncated, 429, echo, inside, 200, 401]
    child = start_child(api | {"api_retries": 6}, TEXTS)
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 1
    assert "refuses: status 401: no, ***; check the key" in out
    assert "Traceback" in out
    assert server.authorizations == [f"Bearer {KEY}"] * 8
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "encoder.json" for path in files)
    assert KEY not in out
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_killed_and_run_again(api: dict[str, Any], server: OpenAIServer) -> None:
    """Kill -9 with requests under way: only their texts are asked for twice."""
    api |= {"api_concurrency": 2}
    texts = [f"t{i}" for i in range(40)]
    server.free = 5
    child = start_child(api, texts)
    server.wait_for(7)
    # What has been answered is stored before the next request is sent.
    child.kill()
    child.communicate()
    in_flight = [text for batch in server.asked[5:] for text in batch]
    server.hold.set()
    assert np.array_equal(embed_texts(api, texts), expected(texts))
    counts = Counter(text for batch in server.asked for text in batch)
    assert set(counts) == set(texts)
    assert {text for text, count in counts.items() if count > 1} <= set(in_flight)
    assert max(counts.values()) == 2
    assert [entry.rows for entry in list_store(Path(api["embedding_dir"]))] == [40]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"api_base": "localhost:8000"}, r"'api_base' is 'localhost:8000'; expected http\(s\)://"),
        ({"api_base": "http://me:pw@host/v1"}, "'api_base' must not hold a user, a password or"),
        ({"api_base": "http://host/v1?key=x"}, "'api_base' must not hold a user, a password or"),
        ({"text_encoder": "openai:"}, "expected openai:MODEL"),
        ({"text_pooling": "cls"}, "'text_pooling' is 'cls', but an endpoint decides that itself"),
        ({"text_max_length": 9}, "'text_max_length' is 9, but an endpoint decides that itself"),
    ],
)
def test_mistakes(api: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_encoder(api | change)


def test_estimated_tokens(api: dict[str, Any]) -> None:
    encoder = ApiEncoder(api | {"text_prefix": "q: "})
    assert encoder.token_counts(["12345", "1"]) == ([2, 1], None)
    assert not encoder.counts_exactly
