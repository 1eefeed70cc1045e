"""Executables for tests: wrappers of the stand-in for ``vmaf``, and tools that never come back."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from k150k_pipeline.media.ffmpeg import find_ffmpeg

STAND_IN = Path(__file__).with_name("stand_in_vmaf.py")


def write_stand_in(path: Path, **misbehaviour: Any) -> Path:
    """Write an executable that is the stand-in with the misbehaviour its docstring names."""
    setting = shlex.quote(json.dumps(misbehaviour))
    # It needs no installed package, and Python starts in half the time where it looks for none.
    program = f"{shlex.quote(sys.executable)} -I -S {shlex.quote(str(STAND_IN))}"
    variables = f"STAND_IN_FFMPEG={shlex.quote(find_ffmpeg())} STAND_IN_VMAF={setting}"
    return write_script(path, f'{variables} exec {program} "$@"')


def write_hanging_tool(path: Path, record: Path) -> Path:
    """Write an executable that writes its process id to a file and hangs."""
    return write_script(path, f"echo $$ > {shlex.quote(str(record))}\nexec sleep 1000")


def write_script(path: Path, commands: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{commands}\n")
    path.chmod(0o755)
    return path
