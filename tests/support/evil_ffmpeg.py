"""An ffmpeg that does to a clip what the clip's name asks for, and is the real one otherwise.

``poison`` kills the process that started it with a segmentation fault, ``killed`` is killed,
``once`` is killed for as long as a note does not exist, ``hanging`` never ends and has its command
line in the variable ``CLIP``.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from k150k_pipeline.media.ffmpeg import find_ffmpeg
from tests.support.binaries import write_script


def write_evil_ffmpeg(path: Path) -> Path:
    """Write the executable."""
    note = shlex.quote(f"{path}.once")
    script = f"""case "$*" in
*poison*) kill -SEGV $PPID; exec sleep 600;;
*killed*) kill -KILL $$;;
*once*) test -e {note} || {{ touch {note}; kill -TERM $$; }};;
*hanging*) CLIP="$*" exec sleep 600;;
esac
exec {shlex.quote(find_ffmpeg())} "$@\""""
    return write_script(path, script)
