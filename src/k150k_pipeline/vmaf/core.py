"""The C library of ``core/``: cambi and motion of decoded frames, vif and adm of pairs."""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from k150k_pipeline.errors import EngineError

VERSION = 2
"""Version of the library that this module calls."""

_FOLDER = Path(__file__).parent
_FASTEST = -1
_PAIR_SCORES = 5
_ADVICE = (
    "install the package again where there is a C compiler (make --always-make install), or set "
    "vmaf.backend=embedded"
)


class Plane(NamedTuple):
    """A luma plane in memory.

    Attributes:
        address: Address of its first sample.
        stride: Bytes from one row to the next.
    """

    address: int
    stride: int


class FrameScorer:
    """Scores the frames of one clip.

    Args:
        library: The loaded library.
        handle: Its scorer.
    """

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library, self._handle = library, handle

    def cambi(self, luma: Plane) -> float:
        """Return cambi of a frame."""
        return float(self._library.k150k_cambi(self._handle, *luma))

    def motion(self, previous: Plane, luma: Plane) -> float:
        """Return motion between a frame and the one before it."""
        return float(self._library.k150k_motion(self._handle, *previous, *luma))


@contextmanager
def frame_scorer(
    width: int, height: int, depth: int, instruction_set: int = _FASTEST
) -> Iterator[FrameScorer | None]:
    """Make the scorer of a clip; None if the library scores no clip of this size or depth.

    Args:
        width: Width of a frame in pixels.
        height: Height of a frame in pixels.
        depth: Bits per sample.
        instruction_set: Index in :func:`instruction_sets`; by default the fastest one.

    Raises:
        EngineError: There is no library.
    """
    library = load_library()
    handle = library.k150k_scorer_new(width, height, depth, instruction_set)
    try:
        yield FrameScorer(library, handle) if handle else None
    finally:
        library.k150k_scorer_free(handle)


class PairScorer:
    """Scores the distorted frames of one clip against their references.

    Args:
        library: The loaded library.
        handle: Its scorer.
    """

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library, self._handle = library, handle
        self._scores = (ctypes.c_double * _PAIR_SCORES)()

    def set_reference(self, luma: Plane) -> None:
        """Set the reference of the frames that follow."""
        self._library.k150k_pairs_reference(self._handle, *luma)

    def score(self, luma: Plane) -> list[float]:
        """Return vif at four scales, the finest first, and adm2 of a distorted frame.

        adm2 is NaN where libvmaf's value depends on its instruction set.
        """
        self._library.k150k_pairs_distorted(self._handle, *luma, self._scores)
        return list(self._scores)


@contextmanager
def pair_scorer(
    width: int, height: int, instruction_set: int = _FASTEST
) -> Iterator[PairScorer | None]:
    """Make the scorer of the pairs of a clip of 8 bits; None if no clip of this size is scored.

    Args:
        width: Width of a frame in pixels.
        height: Height of a frame in pixels.
        instruction_set: Index in :func:`instruction_sets`; by default the fastest one.

    Raises:
        EngineError: There is no library.
    """
    library = load_library()
    handle = library.k150k_pairs_new(width, height, instruction_set)
    try:
        yield PairScorer(library, handle) if handle else None
    finally:
        library.k150k_pairs_free(handle)


def instruction_sets() -> list[str]:
    """Return the instruction sets that the library has and this machine can run."""
    library = load_library()
    names = itertools.takewhile(bool, map(library.k150k_instruction_set, itertools.count()))
    return [name.decode() for number, name in enumerate(names) if library.k150k_usable(number)]


@functools.cache
def load_library() -> ctypes.CDLL:
    """Return the library.

    Raises:
        EngineError: It is not built, cannot be loaded, or is of another version.
    """
    paths = sorted(_FOLDER.glob("_core*.so"))
    if not paths:
        raise EngineError(f"the scoring core is not built in {_FOLDER}: {_ADVICE}")
    try:
        library = ctypes.CDLL(str(paths[0]))
        version = library.k150k_version()
    except (OSError, AttributeError) as error:
        raise EngineError(f"the scoring core cannot be loaded: {error}: {_ADVICE}") from error
    if version != VERSION:
        raise EngineError(
            f"{paths[0]} is version {version} of the scoring core, and {VERSION} is needed: "
            f"{_ADVICE}"
        )
    _declare(library)
    return library


def _declare(library: ctypes.CDLL) -> None:
    scorer, picture = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_ssize_t)
    functions = {
        "k150k_instruction_set": (ctypes.c_char_p, (ctypes.c_int,)),
        "k150k_usable": (ctypes.c_int, (ctypes.c_int,)),
        "k150k_scorer_new": (scorer, (ctypes.c_int,) * 4),
        "k150k_scorer_free": (None, (scorer,)),
        "k150k_cambi": (ctypes.c_double, (scorer, *picture)),
        "k150k_motion": (ctypes.c_double, (scorer, *picture, *picture)),
        "k150k_pairs_new": (scorer, (ctypes.c_int,) * 3),
        "k150k_pairs_free": (None, (scorer,)),
        "k150k_pairs_reference": (None, (scorer, *picture)),
        "k150k_pairs_distorted": (None, (scorer, *picture, ctypes.POINTER(ctypes.c_double))),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
