"""Many command lines in one process that has imported Kedro: each in a fork of its own.

Reads a JSON list from stdin, each entry a folder and arguments. Writes a list whose
entries are exit code and output.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

from kedro.framework.cli.cli import KedroCLI

import k150k_pipeline.cli  # noqa: F401 - so that no fork has to


def run(folder: str, arguments: list[str]) -> tuple[int, str]:
    """Run ``kedro`` in a folder; return its exit code, and stdout and stderr together."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os.chdir(folder)
            os._exit(_main(arguments))
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read().decode()


def _main(arguments: list[str]) -> int:
    code = 1
    try:
        KedroCLI(Path.cwd()).main(arguments, prog_name="kedro")
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    json.dump([run(folder, arguments) for folder, *arguments in json.load(sys.stdin)], sys.stdout)
