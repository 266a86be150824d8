"""A real HTTP server on loopback that speaks OpenAI's API, and misbehaves on demand."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

KEY = "sk-loopback-0123456789"


def vector_of(text: str, dim: int = 6) -> list[float]:
    """What the server gives for a text; exact in float32."""
    digest = hashlib.sha256(text.encode()).digest()
    values: list[float] = (np.frombuffer(digest[:dim], np.uint8) / 256 - 0.5).tolist()
    return values


def profile_of(prompt: str) -> str:
    """What the server writes for a prompt."""
    return f"Profile {hashlib.sha256(prompt.encode()).hexdigest()[:8]}."


class OpenAIServer:
    """Answers ``/v1/embeddings`` and ``/v1/chat/completions``; use as a context manager.

    Attributes:
        faults: what to do with the next requests, one each, before answering well: a status, or a
            function of the handler and the good answer.
        asked: the texts or the prompts of each request, in order of arrival.
        times: when each request came, by ``time.monotonic``.
        hold: while clear, requests beyond the first ``free`` wait.
    """

    def __init__(self) -> None:
        self.faults: list[int | Callable[[Any, dict[str, Any]], None]] = []
        self.asked: list[list[str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.times: list[float] = []
        self.free: int | None = None
        self.hold = threading.Event()
        self.arrived = threading.Condition()
        self.most_at_once = 0
        self._at_once = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> OpenAIServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    def note(self, body: dict[str, Any], authorization: str | None) -> int:
        """Keep a request; its number."""
        with self.arrived:
            messages = body.get("messages")
            texts = body["input"] if messages is None else [messages[-1]["content"]]
            self.asked.append(texts)
            self.bodies.append(body)
            self.authorizations.append(authorization)
            self.times.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.arrived.notify_all()
            return len(self.asked)

    def answered(self) -> None:
        """A request has its answer."""
        with self.arrived:
            self._at_once -= 1

    def wait_for(self, count: int) -> None:
        """Until so many requests have arrived."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.asked) >= count, timeout=300)


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = server.note(body, self.headers.get("Authorization"))
            if server.free is not None and number > server.free:
                server.hold.wait(300)
            try:
                fault = server.faults.pop(0) if server.faults else None
                if isinstance(fault, int):
                    self.reply({"error": {"message": f"no, {KEY}"}}, fault)
                elif fault is not None:
                    fault(self, answer_to(body))
                else:
                    self.reply(answer_to(body))
            except OSError:
                pass
            finally:
                server.answered()

        def reply(
            self, content: Any, status: int = 200, headers: dict[str, str] | None = None
        ) -> None:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if "Content-Length" not in (headers or {}):
                self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            return

    return Handler


def answer_to(body: dict[str, Any]) -> dict[str, Any]:
    """The good answer to a request."""
    if "messages" in body:
        text = profile_of(body["messages"][-1]["content"])
        message = {"role": "assistant", "content": text}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    dim = body.get("dimensions", 6)
    return {
        "data": [
            {"object": "embedding", "index": index, "embedding": vector_of(text, dim)}
            for index, text in enumerate(body["input"])
        ]
    }
