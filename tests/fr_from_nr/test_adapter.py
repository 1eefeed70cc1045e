"""The adapter's own promises: its API, its seams, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from k150k_pipeline.errors import ClipError, EngineError, InputError
from k150k_pipeline.fr_from_nr import CorpusOptions, NrInputRow, NrToFrAdapter
from k150k_pipeline.fr_from_nr.source import probe_source
from k150k_pipeline.media.tools import run_tool
from k150k_pipeline.schemas.fr import FR_COLUMNS
from k150k_pipeline.schemas.parameters import VmafParameters
from tests.fr_from_nr.conftest import numbers, rows_of_clip
from tests.support.binaries import write_hanging_tool, write_script, write_stand_in


def test_keys_are_those_of_the_issue_in_their_order():
    six = ["adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2"]
    assert list(FR_COLUMNS) == [
        "schema_version", "run_id", "timestamp", "src", "src_sha256", "width", "height", "pix_fmt",
        "framerate", "duration_s", "encoder", "encoder_version", "preset", "crf", "extra_params",
        "encode_path", "encode_size_bytes", "bitrate_kbps", "encode_time_ms", "vmaf_score",
        "vmaf_model", "score_time_ms", "ffmpeg_version", "vmaf_binary_version", "exit_status",
        "clip_mode", "hdr_transfer", "hdr_primaries", "hdr_forced", "shot_count",
        "shot_avg_duration_sec", "shot_duration_std_sec",
        *(f"{f}_mean" for f in six), *(f"{f}_std" for f in six),
        "enc_internal_qp_mean", "enc_internal_qp_std", "enc_internal_bits_mean",
        "enc_internal_bits_std", "enc_internal_mv_mean", "enc_internal_mv_std",
        "enc_internal_itex_mean", "enc_internal_ptex_mean", "enc_internal_intra_ratio",
        "enc_internal_skip_ratio",
        "nr_source", "nr_mos", "fr_from_nr",
    ]  # fmt: skip


def test_row_of_a_corpus(clips):
    line = {"src": clips["eight_bit"].name, "mos": 3.4, "src_sha256": "", "n_ratings": 5}
    row = NrInputRow.from_dict(line, clips["eight_bit"].parent)
    assert (row.path, row.mos) == (clips["eight_bit"], 3.4)
    adapter = NrToFrAdapter(crf_sweep=(30,), preset="ultrafast", run_id="mine")
    (fr_row,) = adapter.run(row)
    assert fr_row["nr_source"] == fr_row["src"] == "eight_bit.mp4"
    assert (fr_row["nr_mos"], fr_row["fr_from_nr"], fr_row["run_id"]) == (3.4, True, "mine")
    assert fr_row["schema_version"] == 3 and fr_row["clip_mode"] == "full"
    assert fr_row["shot_count"] == 0 and fr_row["exit_status"] == 0
    (without,) = adapter.run(NrInputRow.from_dict({"src": str(clips["eight_bit"])}))
    assert without["nr_mos"] is None


def test_digest_in_capitals_is_the_same_digest():
    assert NrInputRow.from_dict({"src": "a.mp4", "src_sha256": "0AF"}).src_sha256 == "0af"


@pytest.mark.parametrize("line", [{}, {"src": ""}, {"src": "a.mp4", "mos": "good"}])
def test_rows_that_are_none(line):
    with pytest.raises(InputError):
        NrInputRow.from_dict(line)


def test_many_rows(clips):
    adapter = NrToFrAdapter((20, 40), "ultrafast")
    inputs = [NrInputRow(name, clips[name], 2.0) for name in ("one_frame", "eight_bit")]
    rows = list(adapter.run_many(inputs))
    assert [(row["src"], row["crf"]) for row in rows] == [
        ("one_frame", 20), ("one_frame", 40), ("eight_bit", 20), ("eight_bit", 40),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"crf_sweep": ()}, "crf_sweep is empty"),
        ({"crf_sweep": (18, 28, 18)}, r"\[18\] more than once"),
        ({"crf_sweep": (18, 52)}, r"\[52\] is out of range; libx264 accepts 0 to 51"),
        ({"crf_sweep": (-1,)}, r"\[-1\] is out of range"),
        ({"preset": "quick"}, "libx264 has no preset 'quick'; choose ultrafast"),
        ({"options": CorpusOptions(encoder="h264_nvenc")}, "encoder 'h264_nvenc' is unknown"),
        ({"options": CorpusOptions(encoder="libsvtav1")}, "libsvtav1 has no preset 'medium'"),
        ({"options": CorpusOptions(encoder="libvpx-vp9"), "preset": "9"}, "no preset '9'"),
        (
            {"options": CorpusOptions(strategy="loopback"), "vmaf": VmafParameters(backend="cpu")},
            "loopback scores inside ffmpeg",
        ),
    ],
)
def test_bad_settings_are_refused_at_once(changes, expected):
    with pytest.raises(InputError, match=expected):
        NrToFrAdapter(**changes)


def test_the_four_seams_are_used(clips):
    calls: dict[str, int] = {}

    def counting(seam, run):
        def call(*arguments, **keywords):
            calls[seam] = calls.get(seam, 0) + 1
            return run(*arguments, **keywords)

        return call

    steps = {seam: counting(seam, run_tool) for seam in ("decode", "encode", "score")}
    rows = rows_of_clip(
        clips["eight_bit"],
        probe_runner=counting("probe", probe_source),
        **{f"{seam}_runner": runner for seam, runner in steps.items()},
    )
    assert calls == {"probe": 1, "decode": 1 + 3, "encode": 3, "score": 3}
    assert numbers(rows) == numbers(rows_of_clip(clips["eight_bit"], strategy="loopback"))


def test_strategies_that_backends_and_seams_ask_for(clips, tmp_path):
    assert rows_of_clip(clips["one_frame"])[0]["score_time_ms"] == 0.0
    assert rows_of_clip(clips["one_frame"], encode_runner=run_tool)[0]["score_time_ms"] > 0.0
    binary = write_stand_in(tmp_path / "vmaf")
    vmaf = VmafParameters(backend="cpu", cpu_binary=binary)
    assert rows_of_clip(clips["one_frame"], vmaf=vmaf)[0]["score_time_ms"] > 0.0


def failure_of(*arguments, **options) -> ClipError:
    with pytest.raises(ClipError) as caught:
        rows_of_clip(*arguments, **options)
    return caught.value


@pytest.mark.parametrize("strategy", ["loopback", "stepwise"])
def test_broken_clips_fail_with_their_reason(clips, tmp_path, strategy):
    whole = clips["eight_bit"].read_bytes()
    cut = tmp_path / "cut.mp4"
    moved = subprocess.run(
        [
            *(os.fspath(NrToFrAdapter()._strategy._ffmpeg), "-v", "error", "-i"),
            *(clips["eight_bit"], "-c", "copy", "-movflags", "+faststart", cut),
        ]
    )
    assert moved.returncode == 0
    cut.write_bytes(cut.read_bytes()[: len(whole) // 2])
    assert failure_of(cut, strategy=strategy).reason == "truncated"
    nothing = tmp_path / "nothing.mp4"
    nothing.write_bytes(b"nothing")
    assert failure_of(nothing, strategy=strategy).reason == "not_media"
    assert failure_of(tmp_path / "missing.mp4", strategy=strategy).reason == "missing"


def test_clip_that_the_corpus_does_not_describe(clips):
    row = NrInputRow("eight_bit", clips["eight_bit"], 3.0, src_sha256="0" * 64)
    with pytest.raises(ClipError, match="the corpus says 000") as caught:
        list(NrToFrAdapter((30,), "ultrafast").run(row))
    assert (caught.value.stage, caught.value.reason) == ("probe", "changed")


def test_encode_that_loses_frames_is_a_failure(clips):
    def lazy_encoder(command, **keywords):
        return run_tool([*command[:-4], "-frames:v", "4", *command[-4:]], **keywords)

    error = failure_of(clips["eight_bit"], encode_runner=lazy_encoder)
    assert (error.stage, error.reason) == ("encode", "frame_count")
    assert "10 frames decoded, 4 encoded" in error.detail


def test_loopback_that_loses_frames_is_a_failure(clips, tmp_path):
    """An ffmpeg that stops every encode early; the trial before the first clip it passes."""
    real = NrToFrAdapter()._strategy._ffmpeg
    ffmpeg = write_script(
        tmp_path / "ffmpeg",
        'for a; do shift; [ "$a" = -stats_enc_post:v ] && set -- "$@" -frames:v 4; '
        f'set -- "$@" "$a"; done; exec {real} "$@"',
    )
    error = failure_of(clips["eight_bit"], vmaf=VmafParameters(ffmpeg=ffmpeg))
    assert (error.stage, error.reason) == ("encode", "frame_count")


@pytest.mark.parametrize(
    ("misbehaviour", "reason"),
    [
        ({"loses_frames": 1}, "frame_count"),
        ({"drops": ["vmaf", 0]}, "missing_feature"),
        ({"log": "none"}, "no_log"),
        ({"exit_status": 3}, "vmaf_failed"),
    ],
)
def test_scores_that_are_not_whole_are_a_failure(clips, tmp_path, misbehaviour, reason):
    good = write_stand_in(tmp_path / "good/vmaf")
    adapter = NrToFrAdapter((30,), "ultrafast", vmaf=VmafParameters(backend="cpu", cpu_binary=good))
    assert adapter.identity.engine.backend == "cpu"
    write_stand_in(good, **misbehaviour)
    with pytest.raises(ClipError) as caught:
        list(adapter.run(NrInputRow("x", clips["eight_bit"])))
    assert (caught.value.stage, caught.value.reason) == ("score", reason)
    assert "eight_bit.mp4" in caught.value.detail


def test_encoder_that_hangs_is_ended(clips, tmp_path):
    vmaf = VmafParameters(backend="embedded", clip_timeout_s=1.0)
    adapter = NrToFrAdapter((30,), "ultrafast", vmaf=vmaf)
    assert adapter.identity
    adapter._strategy._ffmpeg = str(write_hanging_tool(tmp_path / "ffmpeg", tmp_path / "pid"))
    with pytest.raises(ClipError) as caught:
        list(adapter.run(NrInputRow("x", clips["eight_bit"])))
    assert caught.value.reason == "timeout"


def test_encoder_that_the_ffmpeg_lacks_is_reported_before_the_first_clip(clips, tmp_path):
    real = NrToFrAdapter()._strategy._ffmpeg
    ffmpeg = write_script(
        tmp_path / "ffmpeg",
        f'case "$*" in *libx265*) echo "Unknown encoder" >&2; exit 8;; esac\nexec {real} "$@"',
    )
    for strategy in ("loopback", "stepwise"):
        options = CorpusOptions(encoder="libx265", strategy=strategy)
        adapter = NrToFrAdapter(options=options, vmaf=VmafParameters(ffmpeg=ffmpeg))
        with pytest.raises(EngineError, match="cannot encode with libx265"):
            _ = adapter.identity


def test_only_files_that_the_options_name_are_kept(clips, tmp_path):
    for strategy in ("loopback", "stepwise"):
        scratch, encodes = tmp_path / strategy / "scratch", tmp_path / strategy / "encodes"
        rows = rows_of_clip(
            clips["eight_bit"],
            strategy=strategy,
            scratch_dir=scratch,
            keep_intermediate_yuv=True,
            keep_encodes=True,
            encode_dir=encodes,
        )
        yuv = scratch / "eight_bit.yuv"
        assert list(scratch.iterdir()) == [yuv]
        assert yuv.stat().st_size == 10 * 128 * 96 * 3 // 2
        assert [Path(row["encode_path"]).name for row in rows] == sorted(
            path.name for path in encodes.iterdir()
        )
        for row in rows:
            assert Path(row["encode_path"]).stat().st_size == row["encode_size_bytes"]
    for kind in ("scratch/*", "encodes/*"):
        pairs = zip(
            sorted(tmp_path.glob(f"loopback/{kind}")),
            sorted(tmp_path.glob(f"stepwise/{kind}")),
            strict=True,
        )
        for one, other in pairs:
            assert one.read_bytes() == other.read_bytes(), one.name


_SWEEP = """
import json, sys
from pathlib import Path
from k150k_pipeline.fr_from_nr import CorpusOptions, NrInputRow, NrToFrAdapter
clip, strategy, scratch, keep = sys.argv[1:]
options = CorpusOptions(strategy=strategy, keep_encodes=bool(keep), encode_dir=Path(scratch))
adapter = NrToFrAdapter((5, 38), "ultrafast", Path(scratch), bool(keep), options)
def written():
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])
adapter.identity
before = written()
rows = list(adapter.run(NrInputRow("x", Path(clip))))
print(json.dumps({"rows": len(rows), "written": written() - before}))
"""


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the kernel counts no writes")
@pytest.mark.parametrize("strategy", ["loopback", "stepwise"])
def test_nothing_is_written_to_a_disk(clips, tmp_path, strategy):
    """Nobody, not even root, can make a folder below a file. What went to disks is counted."""
    (tmp_path / "file").touch()
    nowhere, empty = tmp_path / "file/scratch", tmp_path / "empty"
    empty.mkdir()
    environment = {**os.environ, "TMPDIR": str(empty), "HOME": str(empty)}

    def sweep(scratch: Path, keep: str) -> dict[str, int]:
        run = subprocess.run(
            [sys.executable, "-B", "-c", _SWEEP, clips["eight_bit"], strategy, scratch, keep],
            cwd=empty, env=environment, check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return json.loads(run.stdout)

    assert sweep(nowhere, "") == {"rows": 2, "written": 0}
    assert list(empty.iterdir()) == []
    assert sorted(tmp_path.iterdir()) == [empty, tmp_path / "file"]
    if sweep(tmp_path / "kept", "yes")["written"] == 0:
        pytest.skip(f"{tmp_path} is no disk: writes to it are not counted")
