"""What a helper answers: a result, or what stands in the way of one."""

from __future__ import annotations

import errno
import pickle
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from k150k_pipeline.errors import ClipError, EngineError, InputError
from k150k_pipeline.isolation.deaths import CRASHED, MEMORY

READY = b"ready"
BEGUN = b"begun"

_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True)
class Answer:
    """The outcome of one call.

    Attributes:
        result: What the function returned.
        error: What it raised of the errors that callers know; None where it raised no such one.
        reason: Why the process itself could not do it: ``memory`` or ``crashed``; else empty.
        detail: What was seen then.
    """

    result: Any = None
    error: Exception | None = None
    reason: str = ""
    detail: str = ""


def encode_request(function: Callable[..., Any], arguments: Any, keywords: Any) -> bytes:
    """Return a call as bytes; the function goes by its name."""
    return pickle.dumps((function, arguments, keywords))


def answer(request: bytes) -> bytes:
    """Do what a request asks for and return the answer as bytes."""
    try:
        function, arguments, keywords = pickle.loads(request)
        return pickle.dumps(Answer(result=function(*arguments, **keywords)))
    except Exception as error:
        return pickle.dumps(_explain(error))


def _explain(error: Exception) -> Answer:
    if any(_is_want_of_memory(cause) for cause in _causes(error)):
        return Answer(reason=MEMORY, detail=f"no memory: {error}")
    if isinstance(error, ClipError | EngineError | InputError):
        return Answer(error=error)
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        return Answer(error=EngineError(f"this machine cannot work on any clip: {error}"))
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename}:{last.lineno}"
    return Answer(reason=CRASHED, detail=f"{type(error).__name__} at {place}: {error}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_want_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
