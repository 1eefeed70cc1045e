"""Executables for tests: wrappers of the stand-in for ``vmaf``, and tools that never come back."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

STAND_IN = Path(__file__).with_name("stand_in_vmaf.py")


def write_stand_in(path: Path, **misbehaviour: Any) -> Path:
    """Write an executable that is the stand-in with the misbehaviour its docstring names."""
    setting = shlex.quote(json.dumps(misbehaviour))
    program = f"{shlex.quote(sys.executable)} {shlex.quote(str(STAND_IN))}"
    return write_script(path, f'STAND_IN_VMAF={setting} exec {program} "$@"')


def write_hanging_tool(path: Path, record: Path) -> Path:
    """Write an executable that writes its process id to a file and hangs."""
    return write_script(path, f"echo $$ > {shlex.quote(str(record))}\nexec sleep 1000")


def write_script(path: Path, commands: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{commands}\n")
    path.chmod(0o755)
    return path
