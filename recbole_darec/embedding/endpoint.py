"""An HTTP endpoint that speaks OpenAI's API."""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from logging import getLogger
from typing import Any, NoReturn, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from recbole_darec import __version__
from recbole_darec.keys import ConfigError

Answer = TypeVar("Answer")
_LONGEST_BACK_OFF = 60.0
_LONGEST_RETRY_AFTER = 600.0
_TEMPORARY = {408, 409, 425, 429}
_SHOWN = 300
_SHORTEST_SECRET = 16


class EndpointError(ConfigError):
    """The endpoint refuses, or fails again and again.

    Attributes:
        status: the HTTP status of a refusal.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ExhaustedError(EndpointError):
    """A request failed as often as it may be sent; others may fare better."""


class AnswerError(ValueError):
    """An answer is not what was asked for; asking again may help."""


class Endpoint:
    """Sends requests, and sends them again where that may help.

    The key is read from the environment when a request is sent. It is never an attribute, so that
    no copy of the object carries it, and it is cut out of whatever the server says.

    Args:
        config: the keys ``api_*`` of ``properties/embedding.yaml``.

    Raises:
        ConfigError: if ``api_base`` is not a plain http(s) address.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.base: str = config["api_base"].rstrip("/")
        parts = urlsplit(self.base)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"key 'api_base' is '{self.base}'; expected http(s)://host[:port]/path"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigError(
                "key 'api_base' must not hold a user, a password or a query; the key belongs in "
                "the environment variable that 'api_key_env' names"
            )
        self._allowed: bool = config["api_allowed"]
        self._key_env: str | None = config["api_key_env"]
        self._timeout: float = config["api_timeout"]
        self._retries: int = config["api_retries"]
        self._back_off: float = config["api_backoff"]

    def post(
        self,
        path: str,
        body: Any,
        read: Callable[[Any], Answer],
        most_answers: int | None = None,
    ) -> Answer:
        """Send ``body`` as json and return what ``read`` makes of the answer.

        Timeouts, broken connections, broken json, statuses 408, 409, 425, 429 and 5xx and an
        ``AnswerError`` of ``read`` are tried again, after ``Retry-After`` or an exponentially
        growing time with jitter.

        Args:
            path: below ``api_base``, with a slash in front.
            body: fit for json.
            read: raises ``AnswerError`` where the answer is of no use.
            most_answers: how many useless answers to pay for; default as many as failures.

        Raises:
            AnswerError: if ``read`` refuses the last answer too.
            EndpointError: if the endpoint refuses.
            ExhaustedError: if it fails to the last.
            ConfigError: if the key is missing from the environment, or nothing may be sent.
        """
        if not self._allowed:
            raise ConfigError(
                f"texts would have to be sent to {self.base}, which is off: key 'api_allowed' is "
                "False, as in any run loaded from a folder. If you trust that address, give both "
                "api_base and api_key_env (none: no key) beside the run"
            )
        attempt = useless = 0
        while True:
            try:
                return read(self._send(path, body))
            except (_TemporaryError, AnswerError) as error:
                useless += isinstance(error, AnswerError)
                last = attempt == self._retries
                if isinstance(error, AnswerError) and (last or useless == most_answers):
                    raise
                if last:
                    raise ExhaustedError(
                        f"{self.base}{path} failed {attempt + 1} times, at last: {error}"
                    ) from None
                wait = self._wait(attempt, error)
                attempt += 1
                getLogger().warning(
                    f"{self.base}{path}: {error}; attempt {attempt + 1} of {self._retries + 1} "
                    f"in {wait:.1f} s"
                )
                time.sleep(wait)

    def _wait(self, attempt: int, error: Exception) -> float:
        asked = getattr(error, "retry_after", None)
        if asked is not None:
            return float(asked)
        # An own generator: the global one belongs to the training.
        jitter = random.SystemRandom().uniform(0.5, 1.5)
        return min(_LONGEST_BACK_OFF, self._back_off * 2.0**attempt) * jitter

    def _send(self, path: str, body: Any) -> Any:
        request = Request(  # noqa: S310
            self.base + path,
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"recbole-darec/{__version__}",
            },
        )
        key = self._key()
        if key:
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        try:
            with build_opener(_NoRedirect).open(request, timeout=self._timeout) as response:
                content = response.read()
        except HTTPError as error:
            self._refused(error, path, key)
        except (URLError, http.client.HTTPException, OSError) as error:
            raise _TemporaryError(
                _clean(str(getattr(error, "reason", error)) or repr(error), key)
            ) from None
        try:
            return _without(json.loads(content), key)
        except (ValueError, RecursionError):
            raise _TemporaryError(f"{len(content)} bytes that are not json") from None

    def _refused(self, error: HTTPError, path: str, key: str | None) -> NoReturn:
        try:
            content = error.read()
        except (OSError, http.client.HTTPException):
            content = b""
        said, code = _server_message(content)
        message = f"status {error.code}: {_clean(said, key)}"
        if (error.code in _TEMPORARY or error.code >= 500) and code != "insufficient_quota":
            wait = _retry_after(error.headers.get("Retry-After"))
            if wait is None or wait <= _LONGEST_RETRY_AFTER:
                raise _TemporaryError(message, wait) from None
            message += f" (it asks to wait {wait:.0f} s; run again later)"
        hint = "; check the key" if error.code in {401, 403} else ""
        raise EndpointError(f"{self.base}{path} refuses: {message}{hint}", error.code) from None

    def _key(self) -> str | None:
        if self._key_env is None:
            return None
        key = os.environ.get(self._key_env, "").strip()
        if not key:
            raise ConfigError(
                f"environment variable {self._key_env} is not set; put the key of {self.base} "
                "there, name another variable by 'api_key_env', or set that to ~ if the endpoint "
                "wants no key"
            )
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ConfigError(f"environment variable {self._key_env} does not hold a key")
        return key


class _TemporaryError(Exception):
    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _NoRedirect(HTTPRedirectHandler):
    """Reports a redirect as a refusal: the request must not go to another server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _server_message(content: bytes) -> tuple[str, str | None]:
    """What the server says, and OpenAI's code of the error."""
    text = content.decode("utf-8", "replace").strip()
    try:
        error = json.loads(text)["error"]
        return str(error["message"]), error.get("code")
    except (ValueError, LookupError, TypeError, AttributeError):
        return text or "(empty)", None


def _clean(text: str, key: str | None) -> str:
    text = text.replace(key, "***") if key else text
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _without(answer: Any, key: str | None) -> Any:
    """An answer as json gives it, with the key blanked in every value.

    A short key is no secret but what a local server asks for, and may be a word of the text.
    """
    if key is None or len(key) < _SHORTEST_SECRET:
        return answer
    if isinstance(answer, str):
        return answer.replace(key, "***")
    if isinstance(answer, list):
        return [_without(each, key) for each in answer]
    if isinstance(answer, dict):
        return {name: _without(each, key) for name, each in answer.items()}
    return answer


def _retry_after(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for; None without a readable one."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=timezone.utc)
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
