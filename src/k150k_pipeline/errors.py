"""Why a clip could not be processed."""

from __future__ import annotations

KILLED = "killed"
"""Reason of a failure that is not the clip's: somebody ended the process that worked on it."""


class ClipError(Exception):
    """One clip cannot be processed; the run goes on without it.

    Attributes:
        stage: Where it happened: ``probe``, ``decode`` or ``score``.
        reason: A short, countable class of failure, such as ``truncated``.
        detail: What was seen, for a person: values, the command, the end of stderr.
    """

    def __init__(self, stage: str, reason: str, detail: str) -> None:
        super().__init__(stage, reason, detail)
        self.stage = stage
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}: {self.detail}"


class EngineError(Exception):
    """The engine itself is unusable (missing, too old, broken): no clip can be scored."""


class InputError(ValueError):
    """What the user gave cannot be used; the message names file, value and what to do."""


class FailureRateError(RuntimeError):
    """More clips failed than ``max_failure_rate`` allows; everything good is written."""


class PersistentKillsError(RuntimeError):
    """Processes that worked on clips were killed again and again; everything good is written."""


class JournalError(RuntimeError):
    """A finished clip cannot be recorded: going on would lose work."""


class LostRowsError(RuntimeError):
    """Rows that were finished once are not at hand; nothing is confirmed or overwritten."""
