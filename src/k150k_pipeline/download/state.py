"""The download-progress file: one state per clip, in JSON that a user may read and edit."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

from k150k_pipeline.durable import describe, write_text
from k150k_pipeline.errors import InputError
from k150k_pipeline.storage import fetched

FILE_NAME = ".download-progress.json"

_FLUSH_EVERY_CLIPS = 50
_FLUSH_EVERY_S = 5.0


class DownloadState:
    """Which clips are downloaded, and which are given up and why.

    It is written atomically: not before 50 clips and 5 s have passed since the last time, and at
    the end.

    Args:
        path: The file.

    Raises:
        InputError: The file exists but cannot be read, or is not a download-progress file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._states = _read(path)
        self._pending = 0
        self._flushed_at = time.monotonic()

    def given_up(self, retry: Iterable[str]) -> dict[str, str]:
        """Return the reasons of the clips that are given up, by name.

        Args:
            retry: Clips with these reasons (the part before the colon) are left out, and all
                clips with ``all``.
        """
        again = set(retry)
        return {
            name: reason
            for name, state in self._states.items()
            if state["state"] == "failed"
            and not again & {"all", (reason := state.get("reason", "")).partition(":")[0]}
        }

    def done(self, name: str) -> None:
        """Note a clip that is downloaded."""
        self._set(name, {"state": "done"})

    def failed(self, name: str, reason: str) -> None:
        """Note a clip that is given up, with a reason such as ``not_found: HTTP 404 …``."""
        self._set(name, {"state": "failed", "reason": reason})

    def flush(self) -> None:
        """Write the file if there are new states.

        Raises:
            InputError: The file cannot be written.
        """
        if self._pending:
            self._write(json.dumps(self._states, indent=1, ensure_ascii=False) + "\n")
            self._pending = 0
            self._flushed_at = time.monotonic()

    def _write(self, text: str) -> None:
        try:
            write_text(self.path, text)
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written: {describe(error)}. ingest.progress_path names "
                "another path"
            ) from error

    def _set(self, name: str, state: dict[str, str]) -> None:
        if self._states.get(name) == state:
            return
        self._states[name] = state
        self._pending += 1
        due = time.monotonic() - self._flushed_at >= _FLUSH_EVERY_S
        if self._pending >= _FLUSH_EVERY_CLIPS and due:
            self.flush()


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        states = json.loads(fetched(path).read_text("utf-8"))
        for name, state in states.items():
            if state["state"] not in ("done", "failed"):
                raise ValueError(f"{name} has state {state['state']!r}")
            if not isinstance(state.get("reason", ""), str):
                raise ValueError(f"{name} has reason {state['reason']!r}")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Make it readable, or name another path with "
            "ingest.progress_path"
        ) from error
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a download-progress file: {error}. Correct it, or remove it to start "
            "from the clips that are on the disk"
        ) from error
    return dict(states)
