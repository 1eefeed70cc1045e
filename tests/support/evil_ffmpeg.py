"""An ffmpeg that does to a clip what the clip's name asks for, and is the real one otherwise.

``poison`` kills the process that started it with a segmentation fault, ``killed`` is killed,
``once`` is killed for as long as a note does not exist, ``hanging`` never ends and has its command
line in the variable ``CLIP``.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from k150k_pipeline.media.ffmpeg import find_ffmpeg
from tests.support.binaries import write_script


def write_evil_ffmpeg(path: Path) -> Path:
    """Write the executable."""
    return _write(path, f'exec {shlex.quote(find_ffmpeg())} "$@"')


def write_evil_ffprobe(path: Path) -> Path:
    """Write an ffprobe that is as evil, and says the same of every other clip."""
    facts = json.dumps(
        {
            "streams": [
                {
                    "index": 0,
                    "width": 256,
                    "height": 256,
                    "pix_fmt": "yuv420p",
                    "codec_name": "h264",
                    "avg_frame_rate": "25/1",
                    "disposition": {"attached_pic": 0},
                }
            ],
            "format": {"duration": "0.24"},
        }
    )
    return _write(path, f"echo {shlex.quote(facts)}")


def _write(path: Path, otherwise: str) -> Path:
    note = shlex.quote(f"{path}.once")
    script = f"""case "$*" in
*poison*) kill -SEGV $PPID; exec sleep 600;;
*killed*) kill -KILL $$;;
*once*) test -e {note} || {{ touch {note}; kill -TERM $$; }};;
*hanging*) CLIP="$*" exec sleep 600;;
esac
{otherwise}"""
    return write_script(path, script)
