"""The file of profiles: one json object a line, only ever added to."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from recbole_darec.atomic import replacing
from recbole_darec.keys import ConfigError

_FOREIGN = "{}, line {}, is not a profile of this command; choose another --output"


class ProfileFile:
    """Profiles by id, as a text file that training reads (``item_text_file``).

    A line is ``{"<id field>": id, "profile": text, "made": {"by": model, "from": digest}}``. It
    is written at once and reaches the disk before the next: a process that is killed loses what it
    had not been answered, and half a line at the end is removed by the next. The last line of an
    id counts; on entering and leaving, those before it are removed. Use as a context manager;
    meanwhile no other process may write.

    Args:
        path: the file; made if need be.
        id_field: name of the id's column.

    Raises:
        ConfigError: on entering, if the file is not such a file, or another process writes it.
    """

    def __init__(self, path: Path, id_field: str) -> None:
        self.path, self._id_field = path, id_field
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
        self._file = -1
        self.made: dict[str, str] = {}

    def __enter__(self) -> ProfileFile:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._remove_half_line()
            self.made = self._without_old_lines()
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except Timeout:
            raise ConfigError(f"--output: another process is writing {self.path}") from None
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)
        try:
            self._without_old_lines()
        except OSError as failure:
            if error is None:
                raise self._unwritable(failure) from None
        finally:
            self._lock.release()

    def append(self, identity: str, profile: str, model: str, digest: str) -> None:
        """Add a profile.

        Raises:
            ConfigError: if it cannot be written, as on a full disk.
        """
        made = {"by": model, "from": digest}
        row = {self._id_field: identity, "profile": profile, "made": made}
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._unwritable(error) from None
        self.made[identity] = digest

    def forget(self, ids: Collection[str]) -> None:
        """Let some ids count as not made; their profiles stay until others are appended."""
        self.made = {i: digest for i, digest in self.made.items() if i not in ids}

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(f"--output: {self.path} cannot be written: {error.strerror}")

    def _without_old_lines(self) -> dict[str, str]:
        """Remove all but the last line of each id; what the profiles were made from."""
        made, last = {}, {}
        number = -1
        for number, (identity, digest, _) in enumerate(_lines(self.path, self._id_field)):
            made[identity], last[identity] = digest, number
        if len(last) <= number:
            kept = set(last.values())
            with replacing(self.path) as temporary, temporary.open("wb") as file:
                for number, (_, _, line) in enumerate(_lines(self.path, self._id_field)):
                    if number in kept:
                        file.write(line)
                file.flush()
                os.fsync(file.fileno())
        return made

    def _remove_half_line(self) -> None:
        """Cut what a killed process has left; any other end shows that the file is not ours."""
        if not self.path.is_file():
            return
        whole = sum(1 for _ in _lines(self.path, self._id_field))
        with self.path.open("rb+") as file:
            content = file.read()
            end = content.rfind(b"\n") + 1
            if not _may_be_torn(content[end:], self._id_field):
                raise ConfigError(_FOREIGN.format(self.path, whole + 1))
            file.truncate(end)


def made_profiles(path: Path, id_field: str) -> dict[str, str]:
    """What each profile of a file was made from, by id; empty where there is no file.

    Raises:
        ConfigError: if it is not a file of profiles.
    """
    return {identity: digest for identity, digest, _ in _lines(path, id_field)}


def _lines(path: Path, id_field: str) -> Iterator[tuple[str, str, bytes]]:
    """Id, digest and bytes of each whole line; nothing where there is no file."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                identity, digest = _parsed(line, id_field)
            except (ValueError, LookupError, TypeError):
                raise ConfigError(_FOREIGN.format(path, number)) from None
            yield identity, digest, line


def _parsed(line: bytes, id_field: str) -> tuple[str, str]:
    row = json.loads(line)
    return str(row[id_field]), row["made"]["from"]


def _may_be_torn(rest: bytes, id_field: str) -> bool:
    """Whether bytes may be the beginning of a line that ``append`` was writing."""
    try:
        _parsed(rest, id_field)
    except (LookupError, TypeError):
        return False
    except ValueError:
        start = json.dumps({id_field: ""}, ensure_ascii=False).encode()[: -len('"}')]
        return rest.startswith(start) or start.startswith(rest)
    return True
