"""The errors of the project: of one clip, of the engine, of the input, of a run."""

from __future__ import annotations

KILLED = "killed"
"""Reason of a failure that is not the clip's: somebody ended the process that worked on it."""

UNFETCHED = "not_fetched"
"""Reason of a failure that is not the clip's: its store does not give it."""

CHANGED = "changed"
"""Reason of a failure that is not the clip's: its file is not the one that the corpus names."""


class ClipError(Exception):
    """One clip cannot be processed; the run goes on without it.

    Attributes:
        stage: Where it happened, such as ``download``, ``probe``, ``decode`` or ``score``.
        reason: Class of the failure, such as ``truncated``, by which failures are counted.
        detail: Details for a person: values, the command, the end of stderr.
    """

    def __init__(self, stage: str, reason: str, detail: str) -> None:
        super().__init__(stage, reason, detail)
        self.stage = stage
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}: {self.detail}"


class EngineError(Exception):
    """The engine is missing, too old or broken: no clip can be scored."""


class InputError(ValueError):
    """A file or value of the user cannot be used; the message names it and what to do."""


class FailureRateError(RuntimeError):
    """More clips failed than ``max_failure_rate`` allows; all outputs are written."""


class UnfetchedClipsError(RuntimeError):
    """Clips could not be fetched from their store; everything good is written."""


class PersistentKillsError(RuntimeError):
    """Processes that worked on clips were killed again and again; everything good is written."""


class WorkerDiedError(RuntimeError):
    """Worker processes ended without a word (killed, out of memory, crashed), too many times."""


class ClusterError(RuntimeError):
    """A cluster cannot be used: scheduler or workers are missing, lost, or of other versions."""


class JournalError(RuntimeError):
    """A finished clip cannot be recorded, so more work would be lost."""


class LostRowsError(RuntimeError):
    """Rows of finished clips are missing; no checkpoint or output is replaced."""
