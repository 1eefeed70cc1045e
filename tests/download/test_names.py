"""Names of a manifest that would lead out of the clips folder."""

from __future__ import annotations

from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.ingest.nodes import fetch_clips, plan_ingest, read_drop
from k150k_pipeline.schemas.ingest import DownloadParameters, IngestParameters
from tests.download.conftest import QUICK
from tests.support.http_server import Reply

HOSTILE = (
    "../up.mp4", "../../up.mp4", "/up.mp4", "down/up.mp4", "..", "../clips", ".hidden.mp4",
    "..\\up.mp4", "up\x00.mp4", "up\x1b[2J.mp4", "u" * 300 + ".mp4",
)  # fmt: skip
SOUND = ("clip.mp4", "clip #1, again.mp4", "c..lip.mp4", "clíp.mp4")


def test_no_clip_leaves_its_folder(server, clip, tmp_path):
    drop = tmp_path / "outer" / "drop"
    drop.mkdir(parents=True)
    url = server.at("/clip.mp4", Reply(clip))
    lines = [f'"{name}",{url},3.0\n' for name in (*HOSTILE, *SOUND)]
    (drop / "manifest.csv").write_text("name,url,mos\n" + "".join(lines))
    ingest = IngestParameters(min_rows=1, download=DownloadParameters(**QUICK))
    journal = Journal(tmp_path / "journal", tmp_path / "corpus.jsonl")
    before = set(tmp_path.rglob("*"))
    labels = read_drop(drop, ingest)
    fetch_clips(plan_ingest(labels, drop, journal, ingest), labels, drop, journal, ingest)
    made = set(tmp_path.rglob("*")) - before
    assert {path for path in made if path.suffix == ".mp4"} == {
        drop / "clips" / name for name in SOUND
    }
    assert len(server.requests) == len(SOUND)
    assert len(labels.problems) == len(HOSTILE)
