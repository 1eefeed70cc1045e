"""The VMAF model that ``vmaf.model`` names: one built into libvmaf, or a model file."""

from __future__ import annotations

import errno
from pathlib import Path

from k150k_pipeline.errors import EngineError
from k150k_pipeline.schemas.parameters import BUILT_IN_MODEL
from k150k_pipeline.vmaf.digest import file_digest


def is_model_file(model: str) -> bool:
    """Return whether the model is a file."""
    return model != BUILT_IN_MODEL


def model_option(model: str) -> str:
    """Return the model as an option of ``vmaf --model`` and of ffmpeg's filter."""
    return f"path={model}" if is_model_file(model) else f"version={model}"


def model_label(model: str) -> str:
    """Return what identifies the model: its name, and for a file its digest too.

    Raises:
        EngineError: The file cannot be read.
    """
    if not is_model_file(model):
        return model
    path = Path(model)
    try:
        if not path.is_file():  # Reading a FIFO would never end.
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return f"{path.name} (sha256 {file_digest(path)})"
    except OSError as error:
        raise EngineError(
            f"vmaf.model {model} cannot be read: {error.strerror}. Name a model file of libvmaf, "
            f"or {BUILT_IN_MODEL}"
        ) from error
