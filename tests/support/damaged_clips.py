"""Sound H.264 clips in several containers, and damage to them."""

from __future__ import annotations

import random
from pathlib import Path

from tests.conftest import encode

SOURCE = "mandelbrot=s=256x216:r=10,noise=alls=6:allf=t,trim=end_frame=15"
X264 = ("-c:v", "libx264", "-preset", "fast", "-g", "5", "-bf", "2", "-pix_fmt", "yuv420p")
SOUND = {
    "a.mp4": X264,
    "fragments.mp4": (*X264, "-movflags", "frag_keyframe+empty_moov"),
    "a.mkv": X264,
    "a.avi": X264,
    "a.ts": X264,
    "a.flv": X264,
    "cavlc.mp4": (*X264, "-tune", "fastdecode"),
    "slices.mkv": (*X264, "-x264-params", "slices=4"),
    "ten.mp4": (*X264[:-1], "yuv420p10le"),
}


def make_sound(folder: Path) -> dict[str, bytes]:
    """Encode the clips; return their contents by name."""
    return {
        name: encode(folder / name, SOURCE, *options).read_bytes()
        for name, options in SOUND.items()
    }


def damaged(content: bytes, number: int) -> bytes:
    """Return the bytes of a clip with damage that depends on a number alone."""
    draw = random.Random(f"mutant {number}")
    body, at = bytearray(content), draw.randrange(len(content))
    length = draw.choice((1, 16, 188, 2000))
    match draw.randrange(7):
        case 0:
            for _ in range(draw.choice((1, 3, 30))):
                body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
        case 1:
            body[at : at + length] = draw.randbytes(length)
        case 2:
            body[at : at + length] = bytes(length)
        case 3:
            del body[at:]
        case 4:
            del body[at : at + length]
        case 5:
            body[at:at] = body[at : at + length]
        case 6:
            body += draw.randbytes(length)
    return bytes(body)
