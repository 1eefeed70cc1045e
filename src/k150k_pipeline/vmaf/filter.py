"""libvmaf as a filter of ffmpeg: its options, and how ffmpeg reports its failure."""

from __future__ import annotations

import re
from collections.abc import Collection

from k150k_pipeline.media.tools import ToolResult
from k150k_pipeline.vmaf.model import model_option

RESTAMP = ("settb=1", "setpts=N")
"""Filters that number the frames, so that two frames with one timestamp are still two."""

_FAILED = re.compile(r"Parsed_libvmaf[^\]]*\] \[(?:error|fatal)\]")


def libvmaf_filter(
    *, model: str | None, extractors: Collection[str] = (), threads: int, log_path: str
) -> str:
    """Return the filter that scores one link against another and writes a JSON log.

    Args:
        model: VMAF model to run; None for none.
        extractors: Further extractors to run, in libvmaf's names.
        threads: Threads of libvmaf.
        log_path: Path of the log.
    """
    features = "|".join(f"name={extractor}" for extractor in extractors)
    return (
        f"libvmaf=model={model_option(model) if model else ''}"
        f"{f':feature={features}' if features else ''}"
        f":n_threads={threads if threads > 1 else 0}:log_fmt=json:log_path={log_path}"
    )


def libvmaf_failed(result: ToolResult) -> bool:
    """Return whether ffmpeg failed because libvmaf did."""
    return bool(result.returncode and _FAILED.search(result.stderr))
