from __future__ import annotations

import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.encode import encoder_failed, read_encodes
from k150k_pipeline.media.tools import ToolResult


def logged(number: int, qp: float, size: int, skipped: int = 0) -> str:
    return (
        f"frame={number:4d} QP={qp:.2f} NAL=2 Slice:P Poc:{number:<3d} "
        f"I:{1:<4d} P:{3:<4d} SKIP:{skipped:<4d} size={size} bytes\n"
    )


def account(*sizes: int, frames: int = 2) -> str:
    lines = (
        f"[out#{n}/null @ 0x1] [verbose]   Output stream #{n}:0 (video): {frames} frames encoded; "
        f"{frames} packets muxed ({size} bytes); \n"
        for n, size in enumerate(sizes)
    )
    return "".join(lines)


def result(stderr: str, returncode: int = 0) -> ToolResult:
    return ToolResult(("ffmpeg",), returncode, b"", stderr)


LINE = "[libx264 @ 0x5] [debug] "


def test_lines_of_two_encodes_are_matched_by_the_bytes_of_each_frame():
    stderr = (
        LINE + logged(0, 20, 900) + LINE + logged(0, 30, 500) + LINE + logged(1, 32, 40, skipped=4)
        + LINE + logged(1, 22, 100) + account(1000, 540)
    )  # fmt: skip
    first, second = read_encodes(result(stderr), (18, 28), [b"900\n100\n", b"500\n40\n"])
    assert (first.frames, first.size_bytes, second.size_bytes) == (2, 1000, 540)
    assert (first.statistics.qp_mean, second.statistics.qp_mean) == (21.0, 31.0)
    assert first.statistics.bits_mean == 4000 and first.statistics.bits_std == 3200
    assert second.statistics.intra_ratio == 2 / 12 and second.statistics.skip_ratio == 4 / 12


def test_another_threads_unfinished_line_before_it_does_no_harm():
    stderr = LINE + logged(0, 20, 9) + "[info]     encoder         : " + logged(1, 24, 7)
    (encode,) = read_encodes(result(stderr + "[info] Lavf\n" + account(16)), (18,))
    assert encode.statistics.qp_mean == 22.0


def test_of_frames_of_equal_size_the_higher_crf_has_the_higher_qp():
    stderr = LINE + logged(0, 40, 9) + LINE + logged(0, 30, 9) + account(9, 9, frames=1)
    low, high = read_encodes(result(stderr), (38, 28), [b"9\n", b"9\n"])
    assert (low.statistics.qp_mean, high.statistics.qp_mean) == (40.0, 30.0)


@pytest.mark.parametrize("lost", [LINE + logged(1, 22, 7), LINE + logged(0, 20, 9)])
def test_a_line_that_is_missing_is_noticed(lost):
    whole = LINE + logged(0, 20, 9) + LINE + logged(0, 30, 5) + LINE + logged(1, 22, 7)
    whole += LINE + logged(1, 33, 3) + account(16, 8)
    sizes = [b"9\n7\n", b"5\n3\n"]
    assert len(read_encodes(result(whole), (18, 28), sizes)) == 2
    with pytest.raises(ClipError, match="not whole"):
        read_encodes(result(whole.replace(lost, "")), (18, 28), sizes)


def test_an_encoder_without_statistics_has_zeros():
    (encode,) = read_encodes(result(account(16)), (30,), [b"9\n7\n"])
    assert encode.statistics.qp_mean == 0.0 and encode.size_bytes == 16


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (account(16), "failed"),
        ("Incompatible pixel format, auto-selecting format 'yuv420p'", "pixel_format"),
    ],
)
def test_what_is_no_account(stderr, reason):
    with pytest.raises(ClipError) as caught:
        read_encodes(result(stderr), (18, 28))
    assert (caught.value.stage, caught.value.reason) == ("encode", reason)


def test_who_failed_first():
    decoder, encoder = "[h264 @ 0x1] [error] corrupt\n", "[libx264 @ 0x2] [error] no\n"
    assert encoder_failed(result(encoder + decoder, 1))
    assert not encoder_failed(result(decoder + encoder, 1))
    assert not encoder_failed(result(encoder, 0))
