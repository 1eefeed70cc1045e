"""Sound clips in several containers and codecs, and damaged files made from them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.conftest import encode

FRAMES = 20
_SOURCE = f"testsrc2=s=256x256:r=10:d={FRAMES / 10},noise=alls=10:allf=t"
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-bf", "2", "-pix_fmt", "yuv420p")
_VPX = ("-cpu-used", "8", "-deadline", "realtime", "-g", "5", "-b:v", "300k")
_FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"

SOUND: Mapping[str, tuple[str, ...]] = {
    "plain.mp4": _X264,
    "faststart.mp4": (*_X264, "-movflags", "+faststart"),
    "fragments.mp4": (*_X264, "-movflags", _FRAGMENTS),
    "indexed.mp4": (*_X264, "-movflags", f"{_FRAGMENTS}+global_sidx"),
    "hevc.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    "plain.mkv": _X264,
    "mpeg4.mkv": ("-c:v", "mpeg4", "-g", "5"),
    "vp8.webm": ("-c:v", "libvpx", *_VPX),
    "vp9.webm": ("-c:v", "libvpx-vp9", *_VPX),
    "plain.avi": _X264,
    "mjpeg.avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
    "plain.flv": _X264,
    "sorenson.flv": ("-c:v", "flv", "-g", "5"),
    "plain.mov": _X264,
    "stream.ts": (*_X264, "-f", "mpegts"),
}
_MARKERS: Mapping[str, tuple[bytes, ...]] = {
    "mp4": (b"moov", b"mdat", b"moof", b"stsz", b"stco", b"stsc", b"stts", b"trun", b"sidx"),
    "mkv": (b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b", b"\x1c\x53\xbb\x6b"),
    "avi": (b"movi", b"strh", b"idx1", b"00dc"),
    "flv": (b"onMetaData", b"duration", b"filesize"),
    "ts": (b"G",),
}
_FAMILY = {"mov": "mp4", "webm": "mkv"}

Draw = random.Random
Mutation = Callable[[bytearray, Draw, str, list[bytes]], bytes]


def make_sound(folder: Path) -> dict[str, bytes]:
    """Encode the sound clips; return their contents by name."""
    folder.mkdir(parents=True)
    return {
        name: encode(folder / name, _SOURCE, *options).read_bytes()
        for name, options in SOUND.items()
    }


def mutant(sound: Mapping[str, bytes], number: int) -> tuple[str, str, bytes]:
    """Return the name of the sound clip, the name of the mutation and the damaged bytes.

    Clips and mutations take turns, so that a few numbers show many kinds of both.
    """
    draw = random.Random(f"mutant {number}")
    base = list(sound)[number % len(sound)]
    title = list(MUTATIONS)[(number + number // len(sound)) % len(MUTATIONS)]
    family = base.rpartition(".")[2]
    family = _FAMILY.get(family, family)
    others = [content for name, content in sound.items() if name != base]
    body = MUTATIONS[title](bytearray(sound[base]), draw, family, others)
    return base, title, bytes(body)


def _flip_bits(body: bytearray, draw: Draw, *_: object) -> bytes:
    for _ in range(draw.choice((1, 1, 3, 30))):
        body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
    return body


def _flip_in_header(body: bytearray, draw: Draw, *_: object) -> bytes:
    for _ in range(draw.choice((1, 2, 5))):
        body[draw.randrange(min(len(body), 900))] ^= 1 << draw.randrange(8)
    return body


def _flip_in_tail(body: bytearray, draw: Draw, *_: object) -> bytes:
    for _ in range(draw.choice((1, 2, 5))):
        body[-1 - draw.randrange(min(len(body), 900))] ^= 1 << draw.randrange(8)
    return body


def _overwrite(body: bytearray, draw: Draw, *_: object) -> bytes:
    length = draw.choice((4, 64, 1000, 5000))
    start = draw.randrange(len(body))
    filler = draw.choice((b"\0", b"\xff", None))
    block = draw.randbytes(length) if filler is None else filler * length
    body[start : start + length] = block[: len(body) - start]
    return body


def _cut(body: bytearray, draw: Draw, *_: object) -> bytes:
    return body[: draw.randrange(1, len(body))]


def _remove_block(body: bytearray, draw: Draw, *_: object) -> bytes:
    start = draw.randrange(len(body))
    del body[start : start + draw.choice((1, 188, 2000))]
    return body


def _repeat_block(body: bytearray, draw: Draw, *_: object) -> bytes:
    start = draw.randrange(len(body))
    block = body[start : start + draw.choice((16, 188, 3000))]
    body[start:start] = block
    return body


def _append(body: bytearray, draw: Draw, *_: object) -> bytes:
    return body + draw.randbytes(draw.choice((1, 100, 5000)))


def _append_itself(body: bytearray, *_: object) -> bytes:
    return body + body


def _other_body(body: bytearray, draw: Draw, _family: str, others: list[bytes]) -> bytes:
    other, at = draw.choice(others), draw.choice((12, 48, 400, 1500))
    return body[:at] + other[at:]


def _swap_parts(body: bytearray, draw: Draw, family: str, _others: list[bytes]) -> bytes:
    """Swap two stretches that each begin at a marker of the container."""
    places = _marked(body, family)
    if len(places) < 3:
        return body[len(body) // 2 :] + body[: len(body) // 2]
    a, b, c = sorted(draw.sample(places, 3))
    return body[:a] + body[b:c] + body[a:b] + body[c:]


def _change_size(body: bytearray, draw: Draw, family: str, _others: list[bytes]) -> bytes:
    """Change bytes that stand next to a marker: sizes, counts and offsets."""
    place = draw.choice(_marked(body, family) or [draw.randrange(len(body))])
    for _ in range(draw.choice((1, 2))):
        at = min(max(place + draw.randrange(-4, 24), 0), len(body) - 1)
        body[at] = draw.choice((0, 1, 0x7F, 0xFF, (body[at] + 1) % 256, (body[at] - 1) % 256))
    return body


def _marked(body: bytes, family: str) -> list[int]:
    places = []
    for marker in _MARKERS[family]:
        at = body.find(marker)
        while at >= 0 and len(places) < 500:
            places.append(at)
            at = body.find(marker, at + 1)
    return places


MUTATIONS: Mapping[str, Mutation] = {
    "bits": _flip_bits,
    "bits of the header": _flip_in_header,
    "bits of the tail": _flip_in_tail,
    "overwritten block": _overwrite,
    "cut": _cut,
    "removed block": _remove_block,
    "repeated block": _repeat_block,
    "appended bytes": _append,
    "appended itself": _append_itself,
    "other body": _other_body,
    "swapped parts": _swap_parts,
    "changed size": _change_size,
    "changed size again": _change_size,
}
