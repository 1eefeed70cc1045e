"""Frame rate and dynamic range, as ffprobe's r_frame_rate and the colour tags give them."""

from __future__ import annotations

import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.extra import read_extra

X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")


def tags(transfer: str, primaries: str) -> tuple[str, ...]:
    filtered = f"setparams=color_trc={transfer}:color_primaries={primaries}"
    return ("-vf", filtered, "-color_trc", transfer, "-color_primaries", primaries)


@pytest.mark.parametrize(
    ("options", "is_hdr"),
    [
        ((*X265, "-pix_fmt", "yuv420p10le", *tags("smpte2084", "bt2020")), True),
        ((*X265, "-pix_fmt", "yuv420p10le", *tags("arib-std-b67", "bt709")), True),
        ((*X265, "-pix_fmt", "yuv420p10le", *tags("bt709", "bt2020")), True),
        ((*X265, "-pix_fmt", "yuv420p10le", *tags("bt709", "bt709")), False),
        ((*X265, "-pix_fmt", "yuv420p", *tags("smpte2084", "bt2020")), False),
        ((), False),
    ],
    ids=["PQ", "HLG", "BT.2020", "10 bits, SDR", "8 bits, PQ", "plain"],
)
def test_a_clip_is_hdr_by_its_bits_and_tags(make_clip, options, is_hdr):
    assert read_extra(make_clip(*options)) == {"fps": 30.0, "is_hdr": is_hdr}


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_the_rate_is_the_lowest_that_writes_all_time_stamps(make_clip, name):
    source = "testsrc2=s=64x64:r=60000/1001:d=0.3"
    assert read_extra(make_clip(source=source, name=name))["fps"] == pytest.approx(59.94, abs=0.01)


def test_a_broken_clip_fails_as_when_it_is_probed(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no clip")
    with pytest.raises(ClipError, match="not_media"):
        read_extra(path)
