"""A KonViD drop becomes a corpus: from a server on loopback, from files, again and again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from k150k_pipeline.journal.lock import RunLock, held
from k150k_pipeline.schemas.corpus import CORPUS_COLUMNS, CorpusRow
from tests.conftest import Project
from tests.support.http_server import Reply, ScriptedServer

KEYS = [
    "src", "src_sha256", "src_size_bytes", "width", "height", "framerate", "duration_s",
    "pix_fmt", "encoder_upstream", "mos", "mos_std_dev", "n_ratings", "corpus",
    "corpus_version", "ingested_at_utc",
]  # fmt: skip
SMALL = "ingest.min_rows=1,ingest.download.allow_private=true,ingest.download.backoff_s=0.01"


class Ingest:
    """A project, its drop, and what ingest makes of it."""

    def __init__(self, project: Project) -> None:
        self.project, self.drop = project, project.drop
        data = project.root / "data"
        self.corpus = data / "02_intermediate/konvid_150k.jsonl"
        self.manifest = data / "02_intermediate/konvid_150k.jsonl.manifest.json"
        self.reports = data / "08_reporting"
        self.progress = self.drop / ".download-progress.json"

    def run(self, params: str = "", *, pipeline: str | None = "ingest", ok: bool = True) -> str:
        chosen = [f"--pipelines={pipeline}"] if pipeline else []
        joined = f"{SMALL},{params}" if params else SMALL
        return self.project.kedro("run", *chosen, f"--params={joined}", ok=ok)

    def rows(self) -> dict[str, dict]:
        lines = self.corpus.read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        assert all(list(row) == KEYS for row in rows)
        assert [row["src"] for row in rows] == sorted({row["src"] for row in rows})
        return {row["src"]: row for row in rows}

    def report(self) -> dict:
        return json.loads((self.reports / "konvid_150k_ingest_report.json").read_text())

    def failures(self) -> dict[str, tuple[str, str]]:
        table = pd.read_csv(self.reports / "konvid_150k_ingest_failures.csv")
        return {r.clip_name: (r.stage, r.reason) for r in table.itertuples()}

    def states(self) -> dict[str, dict]:
        return json.loads(self.progress.read_text())

    def write_manifest(self, urls: dict[str, str]) -> None:
        lines = [f"{name},{url},3.4,0.5,7" for name, url in urls.items()]
        text = "\n".join(["file_name,download_url,MOS,SD,n", *lines]) + "\n"
        (self.drop / "manifest.csv").write_text(text)


@pytest.fixture
def ingest(project):
    return Ingest(project)


class Site:
    """A server with the tiny clips, one page that is no clip, and one clip that is gone."""

    def __init__(self, server: ScriptedServer, clips: Path) -> None:
        self.server = server
        self.clips = {path.name: path for path in sorted(clips.glob("*.mp4"))}
        page = Reply(body=b"<html>Video removed</html>")
        self.urls = {name: server.at(f"/v/{name}", Reply(body=path)) for name, path in self}
        self.urls["page"] = server.at("/v/page", page)
        self.urls["gone.mp4"] = server.url("/v/gone.mp4")

    def __iter__(self):
        return iter(self.clips.items())


@pytest.fixture
def site(tiny_clips):
    with ScriptedServer() as server:
        yield Site(server, tiny_clips)


def test_manifest_to_features(ingest, site):
    """The default pipeline: download, corpus, features."""
    ingest.write_manifest(site.urls)
    output = ingest.run("extract.verify_clips=0", pipeline=None)
    rows = ingest.rows()
    assert sorted(rows) == sorted(site.clips)
    for name, path in site:
        row = CorpusRow.model_validate(rows[name])
        assert row.src_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row.src_size_bytes == path.stat().st_size
        assert (row.width, row.height, row.framerate, row.duration_s) == (256, 256, 25, 0.24)
        assert (row.pix_fmt, row.encoder_upstream, row.n_ratings) == ("yuv420p", "h264", 7)
        assert (row.mos, row.mos_std_dev, row.corpus) == (3.4, 0.5, "konvid-150k")
        assert (ingest.drop / "clips" / name).read_bytes() == path.read_bytes()
    assert "wrote 8 rows, skipped 2 (download-failed), 0 (broken-clip), 0 dedups -> " in output
    assert "20.0 % of the downloads failed, more than ingest.attrition_warn_threshold" in output
    assert ingest.failures() == {
        "gone.mp4": ("download", "not_found"),
        "page.mp4": ("download", "not_video"),
    }
    states = ingest.states()
    assert states["gone.mp4"]["state"] == "failed"
    assert states["gone.mp4"]["reason"].startswith("not_found: HTTP 404 Not Found")
    assert all(states[name] == {"state": "done"} for name in site.clips)
    assert list((ingest.drop / "clips").glob("*.part*")) == []
    status = ingest.project.kedro("ingest-status")
    assert "wanted 10, done 8, failed attempts 2, due 0" in status and "not running" in status
    features = ingest.project.root / "data/04_feature/full_features_konvid_150k.parquet"
    table = pd.read_parquet(features)
    assert table["clip_name"].tolist() == sorted(site.clips) and (table["mos"] == 3.4).all()


def test_again_is_a_no_op_and_new_clips_are_added(ingest, site):
    names = sorted(site.clips)
    ingest.write_manifest({name: site.urls[name] for name in names[:6]})
    ingest.run()
    before, asked = ingest.corpus.read_bytes(), len(site.server.requests)
    output = ingest.run()
    assert ingest.corpus.read_bytes() == before and len(site.server.requests) == asked
    assert "6 done; 0 to download, 0 to probe" in output
    ingest.write_manifest({name: site.urls[name] for name in names})
    ingest.run()
    assert {r.path for r in site.server.requests[asked:]} == {f"/v/{n}" for n in names[6:]}
    assert ingest.corpus.read_bytes().startswith(before)
    assert list(ingest.rows()) == names


def test_what_happens_to_done_and_failed_clips_is_that_of_the_spec(ingest, site):
    name = min(site.clips)
    ingest.write_manifest({name: site.urls[name], "gone.mp4": site.urls["gone.mp4"]})
    ingest.run()

    def asked_by(run) -> list[str]:
        before = len(site.server.requests)
        run()
        return sorted(r.path for r in site.server.requests[before:])

    assert asked_by(ingest.run) == []
    assert ingest.failures() == {"gone.mp4": ("download", "not_found")}
    (ingest.drop / "clips" / name).unlink()
    assert asked_by(ingest.run) == [f"/v/{name}"]
    assert asked_by(lambda: ingest.run("ingest.download.retry_failed=timeout+connection")) == []
    again = asked_by(lambda: ingest.run("ingest.download.retry_failed=timeout+not_found"))
    assert again == ["/v/gone.mp4"]
    states = ingest.states()
    del states["gone.mp4"]
    ingest.progress.write_text(json.dumps(states))
    shutil.rmtree(ingest.project.root / "data/02_intermediate")
    site.server.at("/v/gone.mp4", Reply(body=site.clips[name]))
    assert asked_by(ingest.run) == ["/v/gone.mp4"]
    assert sorted(ingest.rows()) == sorted([name, "gone.mp4"])
    assert ingest.report()["same_content"] == [["gone.mp4", name]]


def test_a_network_that_is_down_gives_no_clip_up(ingest, site, tiny_clips):
    ingest.write_manifest({name: url for name, url in site.urls.items() if name in site.clips})
    port = site.server.port
    site.server.__exit__()
    limits = "ingest.download.attempts=1,ingest.download.unreachable_limit=4"
    output = ingest.run(limits, ok=False)
    assert (
        "4 clips in a row had no answer, or one that stalled" in output
        and "Traceback" not in output
    )
    assert not ingest.progress.exists() or ingest.states() == {}
    with ScriptedServer() as server:
        text = (ingest.drop / "manifest.csv").read_text().replace(f":{port}/", f":{server.port}/")
        (ingest.drop / "manifest.csv").write_text(text)
        for name, path in site:
            server.at(f"/v/{name}", Reply(body=path))
        ingest.run(limits)
    assert sorted(ingest.rows()) == sorted(site.clips)


def test_checksum_of_the_manifest_is_kept(ingest, site):
    (good, path), (bad, _), *_ = site
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    lines = [f"{good},{site.urls[good]},3,{digest}", f"{bad},{site.urls[bad]},3,{digest}"]
    (ingest.drop / "manifest.csv").write_text("\n".join(["name,url,mos,md5", *lines]))
    ingest.run("ingest.download.attempts=2")
    assert list(ingest.rows()) == [good]
    assert ingest.failures() == {bad: ("download", "wrong_checksum")}


def test_private_addresses_get_no_request_unless_allowed(ingest, site):
    ingest.write_manifest(site.urls)
    ingest.run("ingest.download.allow_private=false")
    assert set(ingest.failures().values()) == {("download", "private_address")}
    assert site.server.requests == []


@pytest.fixture
def split_drop(ingest, tiny_clips):
    """Return a drop of both parts with every kind of orphan, twin and damage."""
    clips = sorted(tiny_clips.glob("*.mp4"))
    a, b = ingest.drop / "k150ka_extracted", ingest.drop / "k150kb_extracted"
    b.mkdir()
    for index, path in enumerate(clips):
        os.link(path, (a if index < 5 else b) / path.name)
    shutil.copy(clips[0], b / "twin.mp4")
    shutil.copy(clips[0], a / "unlabelled.mp4")
    (a / "cut.mp4").write_bytes(clips[1].read_bytes()[:-100])
    (a / "notes.txt").write_text("not a clip")
    names = [path.name for path in clips]
    scores_a = [f"{n},{3 + i / 5}" for i, n in enumerate([*names[:5], "cut", "nowhere.mp4"])]
    scores_b = [f"{n},2.5,0.5" for n in [*names[5:], "twin.mp4"]]
    (ingest.drop / "k150ka_scores.csv").write_text("\n".join(["video_name,video_score", *scores_a]))
    (ingest.drop / "k150kb_scores.csv").write_text(
        "\n".join(["video_name,mos,video_score", *scores_b])
    )
    return ingest


def test_split_drop_accounts_for_every_clip(split_drop, tiny_clips):
    output = split_drop.run()
    names = sorted(path.name for path in tiny_clips.glob("*.mp4"))
    assert list(split_drop.rows()) == [*names, "twin.mp4"]
    report = split_drop.report()
    assert report["labels_without_clip"] == ["nowhere.mp4"]
    assert report["clips_without_label"] == ["unlabelled.mp4"]
    assert report["same_content"] == [[names[0], "twin.mp4"]]
    assert split_drop.failures() == {"cut.mp4": ("probe", "truncated")}
    counts = report["counts"]
    assert (counts["wanted"], counts["rows"], counts["broken_clips"]) == (11, 9, 1)
    assert "1 label without clip: nowhere.mp4" in output
    row = split_drop.rows()[names[0]]
    assert (row["mos_std_dev"], row["n_ratings"]) == (0.0, 0)
    assert not split_drop.progress.exists()


def test_replay_manifest_says_how_the_corpus_was_made(split_drop):
    split_drop.run("ingest.corpus_version=mine-1")
    manifest = json.loads(split_drop.manifest.read_text())
    assert manifest["output"]["rows"] == 9
    digest = hashlib.sha256(split_drop.corpus.read_bytes()).hexdigest()
    assert manifest["output"]["sha256"] == digest
    sources = {Path(source["path"]).name: source for source in manifest["sources"]}
    table = split_drop.drop / "k150ka_scores.csv"
    assert sources["k150ka_scores.csv"]["bytes"] == table.stat().st_size
    assert sources["k150ka_scores.csv"]["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert manifest["parameters"]["corpus_version"] == "mine-1"
    assert manifest["run_provenance"]["packages"]["av"]
    assert {row["corpus_version"] for row in split_drop.rows().values()} == {"mine-1"}


def test_a_clip_replaced_under_its_name_is_read_again(split_drop):
    split_drop.run()
    before = split_drop.rows()
    first, second = sorted(before)[:2]
    folder = split_drop.drop / "k150ka_extracted"
    (folder / first).unlink()
    shutil.copy(folder / second, folder / first)
    good = (folder / second).read_bytes()
    (folder / "cut.mp4").write_bytes(good)
    output = split_drop.run()
    assert "2 to probe" in output
    after = split_drop.rows()
    assert after[first]["src_sha256"] == before[second]["src_sha256"]
    assert after["cut.mp4"]["src_sha256"] == before[second]["src_sha256"]
    assert {n: r for n, r in after.items() if n not in (first, "cut.mp4")} == {
        n: r for n, r in before.items() if n != first
    }


def test_a_clip_that_is_looked_at_again_is_what_it_is_now(split_drop):
    """The later look counts, whichever shard made it, and a broken clip loses its row."""
    split_drop.run("ingest.shards=9")
    first, second = sorted(split_drop.rows())[:2]
    folder = split_drop.drop / "k150ka_extracted"
    content = (folder / second).read_bytes()
    for name, body in ((first, content[:-50]), (second, content + b"\0\0\0\x08free")):
        (folder / name).unlink()
        (folder / name).write_bytes(body)
    split_drop.run("ingest.shards=1")
    rows = split_drop.rows()
    assert first not in rows and rows[second]["src_size_bytes"] == len(content) + 8
    assert split_drop.failures()[first] == ("probe", "truncated")
    assert "8 done; 0 to download, 2 to probe" in split_drop.run("ingest.shards=3")


def test_parts_of_other_programs_are_left_alone(ingest, site):
    name = min(site.clips)
    ingest.write_manifest({name: site.urls[name]})
    clips = ingest.drop / "clips"
    clips.mkdir()
    for part in ("rsync.mp4.part", f"{name}.part", f"{name}.part.json"):
        (clips / part).write_bytes(b"x")
    ingest.run()
    assert sorted(path.name for path in clips.iterdir()) == [name, "rsync.mp4.part"]


def test_checksum_of_a_clip_on_the_disk_is_checked_too(ingest, tiny_clips):
    clips = sorted(tiny_clips.glob("*.mp4"))[:2]
    (ingest.drop / "clips").mkdir()
    for path in clips:
        shutil.copy(path, ingest.drop / "clips")
    digest = hashlib.sha1(clips[0].read_bytes()).hexdigest()
    lines = [f"{path.stem},3,{digest}" for path in clips]
    (ingest.drop / "manifest.csv").write_text("\n".join(["name,mos,sha1", *lines]))
    ingest.run()
    assert list(ingest.rows()) == [clips[0].name]
    assert ingest.failures() == {clips[1].name: ("probe", "wrong_checksum")}


def test_other_containers_and_suffixes(ingest, tiny_clips, make_clip):
    clips = ingest.drop / "clips"
    clips.mkdir()
    shutil.copy(min(tiny_clips.glob("*.mp4")), clips / "twin.MP4")
    shutil.copy(make_clip("-c:v", "libvpx-vp9", name="web.webm"), clips)
    (ingest.drop / "manifest.csv").write_text("name,mos\ntwin,3\nweb.webm,4\n")
    (ingest.drop / "votes.csv").write_text("name,vote\ntwin,3\ntwin,3\n")
    ingest.run()
    rows = ingest.rows()
    assert {n: (r["encoder_upstream"], r["n_ratings"]) for n, r in rows.items()} == {
        "twin.MP4": ("h264", 2),
        "web.webm": ("vp9", 0),
    }
    params = "extract.corpus=konvid_150k,extract.verify_clips=0"
    assert "2 of 2 clips have a row" in ingest.run(params, pipeline="extract")


def test_one_download_at_a_time_into_a_drop(ingest, site):
    ingest.write_manifest(site.urls)
    lock = RunLock(ingest.drop / ".download-progress.json.lock")
    with held(lock):
        output = ingest.run(ok=False)
    assert "another run is working on this output" in output and site.server.requests == []
    ingest.run()


def test_drop_named_on_the_command_line_is_followed_by_extract(split_drop, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    split_drop.drop.rename(elsewhere)
    output = split_drop.run(f"drop={elsewhere},extract.verify_clips=0", pipeline=None)
    assert "konvid_150k: 9 of 9 clips have a row" in output


def test_stricter_integrity_reads_again_and_laxer_does_not(split_drop):
    split_drop.run()
    assert "0 done; 0 to download, 10 to probe" in split_drop.run("ingest.integrity=decode")
    assert len(split_drop.rows()) == 9
    # The one broken clip is looked at in every run: it may have been mended.
    assert "9 done; 0 to download, 1 to probe" in split_drop.run()


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe on this machine")
def test_ffprobe_says_the_same(split_drop):
    split_drop.run()
    by_pyav = split_drop.rows()
    split_drop.run("ingest.probe=ffprobe")
    by_ffprobe = split_drop.rows()
    for row in (*by_pyav.values(), *by_ffprobe.values()):
        del row["ingested_at_utc"]
    assert by_ffprobe == by_pyav


def test_without_probing_every_label_is_a_row(split_drop):
    split_drop.run("ingest.probe=none")
    rows = split_drop.rows()
    assert len(rows) == 11 and {row["src_sha256"] for row in rows.values()} == {""}
    before = split_drop.corpus.read_bytes()
    split_drop.run("ingest.probe=none")
    assert split_drop.corpus.read_bytes() == before


def test_limit_leaves_clips_out_and_what_is_known_in(split_drop):
    output = split_drop.run("ingest.limit=3")  # cut.mp4, nowhere.mp4, the first sound clip
    counts = split_drop.report()["counts"]
    assert (counts["rows"], counts["broken_clips"], counts["not_yet_tried"]) == (1, 1, 8)
    assert "8 not yet tried" in output
    split_drop.run()
    assert len(split_drop.rows()) == 9
    split_drop.run("ingest.limit=3")
    assert len(split_drop.rows()) == 9


def test_konvid_1k_becomes_features_by_the_same_commands(ingest, tiny_clips):
    drop = ingest.project.root / "data/01_raw/konvid-1k"
    videos = drop / "KoNViD_1k_videos"
    videos.mkdir(parents=True)
    for index, path in enumerate(sorted(tiny_clips.glob("*.mp4"))):
        os.link(path, videos / f"{1000 + index}.mp4")
    (drop / "KoNViD_1k_metadata").mkdir()
    table = "".join(f"{1000 + i},{2 + i / 4},0.6,{60 + i}\n" for i in range(8))
    attributes = drop / "KoNViD_1k_metadata/KoNViD_1k_attributes.csv"
    attributes.write_text(f"flickr_id,MOS,SD,n\n{table}")
    ingest.run("ingest.corpus=konvid-1k,extract.verify_clips=0", pipeline=None)
    data = ingest.project.root / "data"
    lines = (data / "02_intermediate/konvid_1k.jsonl").read_text().splitlines()
    rows = [CorpusRow.model_validate_json(line) for line in lines]
    assert {row.corpus for row in rows} == {"konvid-1k"}
    assert [row.n_ratings for row in rows] == list(range(60, 68))
    table = pd.read_parquet(data / "04_feature/full_features_konvid_1k.parquet")
    assert table["mos"].tolist() == [2 + i / 4 for i in range(8)]


def test_corpora_can_be_concatenated(split_drop):
    split_drop.run()
    both = [*split_drop.corpus.read_text().splitlines()] * 2
    assert len([CorpusRow.model_validate_json(line) for line in both]) == 18
    assert list(CORPUS_COLUMNS) == KEYS


def test_features_of_k150ka_are_not_scored_again_for_the_whole_corpus(split_drop):
    names = sorted(path.name for path in (split_drop.drop / "k150ka_extracted").glob("orig*"))
    split_drop.project.write_scores(dict.fromkeys(names, 3.0))
    split_drop.project.run()
    split_drop.run()
    output = split_drop.run("extract.corpus=konvid_150k,extract.verify_clips=0", pipeline="extract")
    assert "9 clips with a label: 5 done, 4 due" in output


def test_sample(tmp_path, project):
    params = "--params=sample.seconds=0.4"
    output = project.kedro("run", "--env=sample", "--pipeline=ingest", params)
    assert "wrote 12 rows, skipped 0 (download-failed), 1 (broken-clip), 0 dedups" in output
    corpus = project.root / "data/sample/02_intermediate/konvid_150k.jsonl"
    rows = [CorpusRow.model_validate_json(line) for line in corpus.read_text().splitlines()]
    assert {row.n_ratings for row in rows} == {5}
    assert all(row.mos_std_dev > 0 for row in rows)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("drop=/nowhere/at/all", "the drop /nowhere/at/all does not exist"),
        ("ingest.min_rows=100", "are too few for KonViD-150k"),
        (
            "ingest.probe=guess",
            "ingest.probe: 'guess' is not allowed. Allowed: pyav, ffprobe or none",
        ),
        ("ingest.download.concurrency=0", "ingest.download.concurrency: 0 is not allowed"),
        ("ingest.download.retry_failed=not_fuond", "'not_fuond' is no class of reason"),
        ("ingest.typo=1", "ingest.typo is unknown"),
        ("ingest.probe=ffprobe,ingest.ffprobe=/nope", "/nope (ingest.ffprobe) cannot be run"),
    ],
)
def test_mistakes_are_one_clear_message(split_drop, params, message):
    output = split_drop.run(params, ok=False)
    assert message in output and "Traceback" not in output
    assert not split_drop.corpus.exists()


def test_a_progress_file_that_cannot_be_read_is_named(ingest, site):
    ingest.write_manifest(site.urls)
    ingest.progress.write_text('{"a.mp4": {"state": "perhaps"}}')
    output = ingest.run(ok=False)
    assert ".download-progress.json is not a download-progress file" in output
    assert "'perhaps'" in output and site.server.requests == []


def damaged(path: Path) -> bytes:
    """Return a clip whose boxes are whole and whose pictures are zeros."""
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big") - 8
    return data[:start] + bytes(size) + data[start + size :]


class BrokenSite:
    """A server whose only clip is broken when it is first asked for."""

    def __init__(self, server: ScriptedServer, good: Path, broken_replies: int) -> None:
        self.server, self.name, self.bad = server, good.name, damaged(good)
        self.broken_replies = broken_replies
        replies = [*[Reply(body=self.bad)] * broken_replies, Reply(body=good)]
        self.urls = {good.name: server.at("/v/clip", *replies)}


@pytest.fixture
def broken_site(tiny_clips, request):
    with ScriptedServer() as server:
        yield BrokenSite(server, min(tiny_clips.glob("*.mp4")), request.param)


@pytest.mark.sample(every=2)
@pytest.mark.parametrize("broken_site", [1, 2], indirect=True)
def test_broken_download_is_fetched_again(ingest, broken_site):
    ingest.write_manifest(broken_site.urls)
    for _ in range(broken_site.broken_replies):
        ingest.run()
        assert ingest.failures() == {broken_site.name: ("decode", "corrupt")}
    for _ in range(2):
        ingest.run()
        assert list(ingest.rows()) == [broken_site.name] and not ingest.failures()
        assert len(broken_site.server.requests) == broken_site.broken_replies + 1
    assert ingest.states() == {broken_site.name: {"state": "done"}}


@pytest.mark.parametrize("broken_site", [9], indirect=True)
def test_clip_that_stays_broken_is_fetched_three_times(ingest, broken_site):
    ingest.write_manifest(broken_site.urls)
    for _ in range(5):
        ingest.run()
    assert len(broken_site.server.requests) == 3
    assert ingest.failures() == {broken_site.name: ("decode", "corrupt")}


@pytest.mark.sample(every=2)
@pytest.mark.parametrize("broken_site", [1], indirect=True)
@pytest.mark.parametrize("downloaded_before", [True, False])
def test_broken_file_of_the_user_is_never_replaced(ingest, broken_site, downloaded_before):
    ingest.write_manifest(broken_site.urls)
    clip = ingest.drop / "clips" / broken_site.name
    if downloaded_before:
        ingest.run()
    clip.parent.mkdir(exist_ok=True)
    clip.write_bytes(broken_site.bad[:-1] + b"!")
    asked = len(broken_site.server.requests)
    for _ in range(2):
        ingest.run()
    assert clip.read_bytes()[-1:] == b"!"
    assert len(broken_site.server.requests) == asked == downloaded_before


@pytest.mark.parametrize("broken_site", [1], indirect=True)
def test_broken_download_stays_where_it_is_when_nothing_better_comes(ingest, broken_site):
    ingest.write_manifest(broken_site.urls)
    ingest.run()
    clip = ingest.drop / "clips" / broken_site.name
    broken_site.server.at("/v/clip", Reply(status=404))
    ingest.run()
    assert clip.read_bytes() == broken_site.bad
    assert ingest.failures() == {broken_site.name: ("download", "not_found")}
    ingest.run()
    assert clip.read_bytes() == broken_site.bad
