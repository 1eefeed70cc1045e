"""Every answer that a server can give: the right bytes, or a typed failure and nothing at all."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k150k_pipeline.download import Downloader
from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.schemas.ingest import DownloadParameters
from tests.conftest import CHECKOUT, encode
from tests.download.conftest import QUICK, STALL_S, Inbox
from tests.support.http_server import Reply, ScriptedServer, redirect
from tests.support.waiting import HANG_GUARD_S, in_time, wait_until

PATH = "/clip.mp4"
ETAG = {"ETag": '"one"'}
OLD = {"Last-Modified": "Tue, 01 Jan 2019 00:00:00 GMT"}
PACKED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}
HTML = b"<!DOCTYPE html><html><body>This video is no longer available</body></html>"


def cut(body: bytes, at: int, ending: str = "reset", **more) -> Reply:
    return Reply(body, cut=at, ending=ending, **more)


def content_range(start: int, body: bytes) -> dict[str, str]:
    return {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}


def ranges(server) -> list[str | None]:
    return [request.headers["Range"] for request in server.asked()]


class TestWhole:
    @pytest.mark.parametrize("framing", ["length", "chunked", "close"])
    @pytest.mark.parametrize("headers", [{}, ETAG, OLD], ids=["bare", "etag", "last-modified"])
    def test_200(self, server, inbox, clip, framing, headers):
        url = server.at(PATH, Reply(clip, headers=headers, framing=framing))
        assert inbox.receive(url) == clip
        assert ranges(server) == [None]

    def test_in_small_pieces(self, server, inbox, clip):
        url = server.at(PATH, Reply(clip, piece=len(clip) // 50, pause_s=0.001, framing="chunked"))
        assert inbox.receive(url) == clip

    def test_an_older_file_is_replaced(self, server, inbox, clip, other_clip):
        inbox.target.write_bytes(other_clip)
        assert inbox.receive(server.at(PATH, Reply(clip))) == clip

    def test_path_and_query_are_sent_as_written(self, server, inbox, clip):
        path = "/a%20b%23c%2Fd/clip.mp4?sign=a%2Fb%2Bc%3D&name=%C3%A9+x"
        assert inbox.receive(server.at(path, Reply(clip))) == clip

    def test_requests_share_a_connection(self, server, inbox, clip):
        url = server.at(PATH, Reply(clip))
        fetch_many([url] * 10, inbox)
        assert server.connections == 1

    def test_connection_that_the_server_closed_meanwhile(self, server, inbox, clip):
        url = server.at(PATH, cut(clip, len(clip), "close"))
        fetch_many([url] * 5, inbox, attempts=1)
        assert server.connections == 5


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_status(self, server, inbox, clip, status):
        server.at(PATH, Reply(clip))
        assert inbox.receive(server.at("/old", redirect(server.url(), status))) == clip

    def test_chain_of_relative_ones(self, server, inbox, clip):
        server.at("/a/1", redirect("2"))
        server.at("/a/2", redirect("../b/3?x=1", 307))
        server.at("/b/3?x=1", redirect(f"//127.0.0.1:{server.port}/b/4", 308))
        server.at("/b/4", redirect(PATH, 301))
        server.at(PATH, Reply(clip))
        assert inbox.receive(server.url("/a/1")) == clip
        assert len(server.requests) == 5

    def test_to_a_signed_address(self, server, inbox, clip):
        signed = "/signed.mp4?sign=a%2Fb%2Bc%3D"
        server.at(signed, Reply(clip))
        assert inbox.receive(server.at(PATH, redirect(signed))) == clip

    def test_loop(self, server, inbox):
        url = server.at(PATH, redirect(PATH))
        assert inbox.refusal(url, max_redirects=4) == "too_many_redirects"
        assert len(server.requests) == 5

    def test_as_many_as_allowed(self, server, inbox, clip):
        url = server.at(PATH, redirect(PATH), redirect(PATH), Reply(clip))
        assert inbox.receive(url, max_redirects=2) == clip

    @pytest.mark.parametrize(
        "location",
        ["file:/clip.mp4", "ftp://127.0.0.1/clip.mp4", "http://[::1", "data:,x"],
    )
    def test_to_what_is_no_web_address(self, server, inbox, location):
        assert inbox.refusal(server.at(PATH, redirect(location))) == "bad_url"
        assert len(server.requests) == 1

    def test_to_nowhere(self, server, inbox):
        assert inbox.refusal(server.at(PATH, Reply(HTML, status=302))) in ("bad_url", "http_error")
        assert len(server.requests) == 1


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (404, "not_found"),
            (410, "not_found"),
            (401, "forbidden"),
            (403, "forbidden"),
            (400, "http_error"),
            (418, "http_error"),
            (204, "http_error"),
            (304, "http_error"),
        ],
    )
    def test_asked_once(self, server, inbox, clip, status, reason):
        url = server.at(PATH, Reply(b"" if status in (204, 304) else HTML, status), Reply(clip))
        assert inbox.refusal(url) == reason
        assert len(server.requests) == 1

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_passing_trouble(self, server, inbox, clip, status):
        url = server.at(PATH, Reply(HTML, status), Reply(HTML, status), Reply(clip))
        assert inbox.receive(url) == clip
        assert len(server.requests) == 3

    @pytest.mark.parametrize(
        ("status", "reason"), [(429, "rate_limited"), (500, "server_error"), (503, "server_error")]
    )
    def test_lasting_trouble(self, server, inbox, status, reason):
        assert inbox.refusal(server.at(PATH, Reply(HTML, status)), attempts=4) == reason
        assert len(server.requests) == 4

    def test_206_without_a_range_in_the_request(self, server, inbox, clip):
        headers = ETAG | content_range(1000, clip)
        url = server.at(PATH, Reply(clip[1000:], 206, headers, ranges=False))
        assert inbox.refusal(url) == "http_error"


class TestWaiting:
    def test_retry_after_in_seconds(self, server, inbox, clip):
        url = server.at(PATH, Reply(status=429, headers={"Retry-After": "1"}), Reply(clip))
        assert inbox.receive(url) == clip
        first, second = server.asked()
        assert second.at - first.at >= 0.99

    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after_as_a_date(self, server, inbox, clip, status):
        date = formatdate(time.time() + 2, usegmt=True)
        url = server.at(PATH, Reply(status=status, headers={"Retry-After": date}), Reply(clip))
        assert inbox.receive(url) == clip
        assert server.asked()[1].at >= parsedate_to_datetime(date).timestamp() - 0.01

    @pytest.mark.parametrize("value", ["tomorrow", "-5", "", "Mon, 01 Jan 2001 00:00:00 GMT"])
    def test_retry_after_that_means_nothing(self, server, inbox, clip, value):
        url = server.at(PATH, Reply(status=429, headers={"Retry-After": value}), Reply(clip))
        assert inbox.receive(url) == clip

    def test_retry_after_is_limited(self, server, inbox, clip):
        url = server.at(PATH, Reply(status=429, headers={"Retry-After": "3600"}), Reply(clip))
        assert inbox.receive(url, max_retry_after_s=0.3) == clip
        first, second = server.asked()
        assert 0.29 <= second.at - first.at < 3000

    def test_wait_is_no_part_of_the_time_limit(self, server, inbox, clip):
        def fetch(limit: float) -> None:
            busy = Reply(status=429, headers={"Retry-After": f"{math.ceil(limit)}"})
            url = server.at(f"/{limit}.mp4", busy, Reply(clip))
            assert inbox.receive(url, clip_timeout_s=limit) == clip

        in_time(fetch, 0.7)

    def test_the_whole_host_is_left_alone(self, server, inbox, clip):
        async def fetch(limit: float) -> None:
            wait = Reply(status=429, headers={"Retry-After": f"{math.ceil(limit)}"})
            busy = server.at(f"/{limit}/a", wait, Reply(clip))
            other = server.at(f"/{limit}/b", Reply(clip))
            limits = QUICK | {"clip_timeout_s": limit}
            async with Downloader(DownloadParameters(**limits)) as downloader:
                first = asyncio.create_task(downloader.fetch(busy, inbox.folder / "a.mp4"))
                while not any(downloader._not_before.values()):
                    await asyncio.sleep(0.005)
                await downloader.fetch(other, inbox.folder / "b.mp4")
                await first
            wait_s = server.asked(f"/{limit}/b")[0].at - server.asked(f"/{limit}/a")[0].at
            assert wait_s >= math.ceil(limit) - 0.01

        in_time(lambda limit: asyncio.run(fetch(limit)), 0.7)

    def test_backoff_doubles(self, server, inbox, clip):
        url = server.at(PATH, Reply(status=503), Reply(status=503), Reply(clip))
        assert inbox.receive(url, backoff_s=0.2, max_backoff_s=10) == clip
        first, second, third = (request.at for request in server.asked())
        assert second - first >= 0.19
        assert third - second >= 0.39


class TestCutShort:
    @pytest.mark.parametrize("ending", ["reset", "close", "stall"])
    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_resumed_with_the_missing_bytes_alone(self, server, inbox, clip, ending, framing):
        first = cut(clip, len(clip) // 2, ending, headers=ETAG, framing=framing)
        url = server.at(PATH, first, Reply(clip, headers=ETAG, framing=framing))
        limits = {"stall_timeout_s": STALL_S} if ending == "stall" else {}
        assert inbox.receive(url, **limits) == clip
        _, second = server.asked()
        start = int(second.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        assert 0 < start <= len(clip) // 2
        assert second.headers["If-Range"] == ETAG["ETag"]
        assert second.served == len(clip) - start

    def test_resumed_by_an_old_last_modified(self, server, inbox, clip):
        url = server.at(PATH, cut(clip, 90_000, headers=OLD), Reply(clip, headers=OLD))
        assert inbox.receive(url) == clip
        assert server.asked()[1].headers["If-Range"] == OLD["Last-Modified"]
        assert server.asked()[1].served < len(clip)

    @pytest.mark.parametrize("case", ["none", "weak etag", "fresh last-modified", "gzip"])
    def test_started_again_where_resuming_is_not_safe(self, server, inbox, clip, case):
        body, headers = {
            "none": (clip, {}),
            "weak etag": (clip, {"ETag": 'W/"one"'}),
            "fresh last-modified": (clip, {"Last-Modified": formatdate(usegmt=True)}),
            "gzip": (gzip.compress(clip), ETAG | {"Content-Encoding": "gzip"}),
        }[case]
        url = server.at(PATH, cut(body, 90_000, headers=headers), Reply(body, headers=headers))
        assert inbox.receive(url) == clip
        assert ranges(server) == [None, None]

    @pytest.mark.parametrize("ending", ["reset", "close"])
    def test_several_times(self, server, inbox, clip, ending):
        short = cut(clip, len(clip) // 4, ending, headers=ETAG)
        url = server.at(PATH, short, short, short, Reply(clip, headers=ETAG))
        assert inbox.receive(url, attempts=4) == clip
        starts = [int(value.strip("bytes=-")) for value in ranges(server)[1:]]
        assert starts == sorted(starts) and starts[0] > 0

    @pytest.mark.parametrize(
        ("ending", "reason"),
        [("reset", "incomplete"), ("close", "incomplete"), ("stall", "timeout")],
    )
    def test_to_the_end(self, server, inbox, clip, ending, reason):
        url = server.at(PATH, cut(clip, 5000, ending, ranges=False))
        limits = {"stall_timeout_s": STALL_S} if ending == "stall" else {}
        assert inbox.refusal(url, **limits) == reason
        assert len(server.requests) == 3

    def test_end_of_the_connection_as_end_of_the_body(self, server, inbox, clip):
        url = server.at(PATH, cut(clip, 90_000, "close", framing="close"), Reply(clip))
        assert inbox.receive(url) == clip
        assert len(server.requests) == 2

    def test_reset_before_any_answer(self, server, inbox, clip):
        url = server.at(PATH, Reply(raw=b"", ending="reset"), Reply(clip))
        assert inbox.receive(url) == clip

    def test_no_answer_to_the_end(self, server, inbox):
        """aiohttp asks once more by itself where a connection ends without an answer."""
        assert inbox.refusal(server.at(PATH, Reply(raw=b"", ending="reset"))) == "connection"
        assert 3 <= len(server.requests) <= 6

    def test_no_server(self, inbox):
        assert inbox.refusal(f"http://127.0.0.1:{free_port()}{PATH}") == "connection"

    @pytest.mark.parametrize(
        "raw",
        [
            b"This is no HTTP\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nXYZ\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        ],
        ids=["no http", "bad length", "bad chunk", "endless header"],
    )
    def test_garbage(self, server, inbox, clip, raw):
        url = server.at(PATH, Reply(raw=raw, ending="close"))
        assert inbox.refusal(url) in ("connection", "incomplete")
        assert len(server.requests) == 3


class TestResumed:
    """What the server answers when the rest of a clip is asked for."""

    @pytest.fixture
    def begun(self, server, clip):
        return lambda *script: server.at(PATH, cut(clip, 100_000, headers=ETAG), *script)

    def test_200_in_answer_to_a_range(self, server, inbox, clip, begun):
        url = begun(Reply(clip, headers=ETAG, ranges=False))
        assert inbox.receive(url) == clip
        assert len(server.requests) == 2

    @pytest.mark.parametrize("start", [0, 1, 99_999])
    def test_206_with_a_wrong_start(self, server, inbox, clip, begun, start):
        wrong = Reply(clip[start:], 206, ETAG | content_range(start, clip), ranges=False)
        assert inbox.receive(begun(wrong, Reply(clip, headers=ETAG))) == clip
        assert [value is None for value in ranges(server)] == [True, False, True]

    def test_206_without_content_range(self, server, inbox, clip, begun):
        url = begun(Reply(clip[50:], 206, ETAG, ranges=False), Reply(clip, headers=ETAG))
        assert inbox.receive(url) == clip

    def test_206_of_another_etag(self, server, inbox, clip, other_clip, begun):
        def mixed(request):
            start = int(request.headers["Range"].strip("bytes=-"))
            headers = {"ETag": '"two"'} | content_range(start, other_clip)
            return Reply(other_clip[start:], 206, headers, ranges=False)

        assert inbox.receive(begun(mixed, Reply(other_clip))) == other_clip
        assert [value is None for value in ranges(server)] == [True, False, True]

    def test_206_of_another_length(self, server, inbox, clip, begun):
        def mixed(request):
            start = int(request.headers["Range"].strip("bytes=-"))
            longer = {"Content-Range": f"bytes {start}-{len(clip) + 6}/{len(clip) + 7}"}
            return Reply(clip[start:] + b"1234567", 206, longer, ranges=False)

        url = begun(mixed, Reply(clip, headers=ETAG))
        assert inbox.receive(url, hashlib.sha256(clip).hexdigest()) == clip

    @pytest.mark.parametrize("name", ["clip.mp4", "clip.webm"])
    def test_206_with_less_than_the_rest(self, server, inbox, clip, begun, name):
        """Only Content-Range tells: such a WebM has no boxes to count."""
        body = clip if name == "clip.mp4" else as_webm(clip)
        inbox.target = inbox.folder / name

        def some(request):
            start = int(request.headers["Range"].strip("bytes=-"))
            headers = {"Content-Range": f"bytes {start}-{start + 999}/{len(body)}"}
            return Reply(body[start : start + 1000], 206, ETAG | headers, ranges=False)

        first = cut(body, 100_000, headers=ETAG)
        url = server.at(PATH, first, some, Reply(body, headers=ETAG))
        assert inbox.receive(url) == body

    def test_etag_changed_between_parts(self, server, inbox, clip, other_clip, begun):
        url = begun(Reply(other_clip, headers={"ETag": '"two"'}))
        assert inbox.receive(url) == other_clip
        assert server.asked()[1].headers["If-Range"] == ETAG["ETag"]

    def test_416_on_a_complete_part(self, server, inbox, clip):
        lost_its_end = cut(clip, len(clip), "reset", headers=ETAG, framing="chunked")
        url = server.at(PATH, lost_its_end, Reply(clip, headers=ETAG))
        assert inbox.receive(url) == clip
        assert ranges(server) == [None, f"bytes={len(clip)}-"]
        assert server.asked()[1].served == 0

    def test_416_with_a_page_on_a_complete_part_that_is_no_mp4(self, server, inbox, clip):
        body, page = as_webm(clip), ETAG | {"Content-Type": "text/html"}
        lost_its_end = cut(body, len(body), "reset", headers=ETAG, framing="chunked")
        assert inbox.receive(server.at(PATH, lost_its_end, Reply(body, headers=page))) == body

    def test_416_on_a_part_that_is_too_long(self, server, inbox, clip, other_clip):
        long = cut(clip + b"1234567", len(clip) + 7, "reset", headers=ETAG, framing="chunked")
        url = server.at(PATH, long, Reply(clip, headers=ETAG))
        assert inbox.receive(url) == clip
        assert ranges(server) == [None, f"bytes={len(clip) + 7}-", None]

    def test_404(self, server, inbox, begun):
        assert inbox.refusal(begun(Reply(HTML, 404))) == "not_found"

    def test_by_way_of_a_redirect(self, server, inbox, clip):
        first, second = cut(clip, 100_000, headers=ETAG), Reply(clip, headers=ETAG)
        server.at("/mirror", first, second)
        assert inbox.receive(server.at(PATH, redirect("/mirror"))) == clip
        assert server.asked("/mirror")[1].served < len(clip)

    def test_by_way_of_a_redirect_that_leads_elsewhere_now(self, server, inbox, clip, other_clip):
        server.at("/mirror", cut(clip, 100_000, headers=ETAG))
        server.at("/other", Reply(other_clip, headers={"ETag": '"two"'}))
        assert inbox.receive(server.at(PATH, redirect("/mirror"), redirect("/other"))) == other_clip


class TestEarlierRun:
    """What a run that was killed or cancelled leaves behind."""

    CODE = (
        "import asyncio, sys; from pathlib import Path;"
        "from k150k_pipeline.download import Downloader;"
        "from k150k_pipeline.schemas.ingest import DownloadParameters\n"
        "async def main():\n"
        "    async with Downloader(DownloadParameters(allow_private=True)) as downloader:\n"
        "        await downloader.fetch(sys.argv[1], Path(sys.argv[2]))\n"
        "asyncio.run(main())"
    )

    def test_killed(self, server, inbox, clip):
        url = server.at(PATH, cut(clip, 100_000, "stall", headers=ETAG), Reply(clip, headers=ETAG))
        victim = subprocess.Popen([sys.executable, "-c", self.CODE, url, inbox.target])
        wait_until(lambda: inbox.part.is_file() and inbox.part.stat().st_size > 0)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        note = json.loads(inbox.note.read_text())
        assert (note["url"], note["etag"]) == (url, ETAG["ETag"])
        start = inbox.part.stat().st_size
        assert inbox.receive(url) == clip
        assert ranges(server) == [None, f"bytes={start}-"]
        assert server.asked()[1].served == len(clip) - start

    def test_cancelled(self, server, inbox, clip):
        url = server.at(PATH, cut(clip, 100_000, "stall", headers=ETAG), Reply(clip, headers=ETAG))

        async def run() -> None:
            async with Downloader(DownloadParameters(**QUICK)) as downloader:
                fetch = asyncio.create_task(downloader.fetch(url, inbox.target))
                while not (inbox.part.is_file() and inbox.part.stat().st_size > 0):
                    await asyncio.sleep(0.005)
                fetch.cancel()
                await fetch

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(run())
        start = inbox.part.stat().st_size
        assert inbox.receive(url) == clip
        assert ranges(server) == [None, f"bytes={start}-"]

    @pytest.mark.parametrize(
        "note",
        [
            {"url": "http://127.0.0.1/other.mp4", "etag": '"one"'},
            {"url": "URL", "etag": '"two"'},
            {"url": "URL"},
            {"url": "URL", "etag": 7},
            {},
            [],
            None,
            "",
            '{"url": "ht',
            "\0\0\0",
        ],
        ids=str,
    )
    def test_part_that_cannot_be_trusted(self, server, inbox, clip, other_clip, note):
        url = server.at(PATH, Reply(clip, headers=ETAG))
        text = note if isinstance(note, str) else json.dumps(note).replace("URL", url)
        inbox.part.write_bytes(other_clip[:1000])
        inbox.note.write_text(text)
        assert inbox.receive(url) == clip

    def test_part_without_a_note(self, server, inbox, clip, other_clip):
        inbox.part.write_bytes(other_clip[:1000])
        assert inbox.receive(server.at(PATH, Reply(clip, headers=ETAG))) == clip
        assert ranges(server) == [None]

    def test_note_without_a_part(self, server, inbox, clip):
        url = server.at(PATH, Reply(clip, headers=ETAG))
        inbox.note.write_text(json.dumps({"url": url, "etag": ETAG["ETag"]}))
        assert inbox.receive(url) == clip
        assert ranges(server) == [None]

    def test_wrong_bytes_under_the_right_etag(self, server, inbox, clip, other_clip):
        """The checksum finds what no header tells, and the next try begins anew."""
        url = server.at(PATH, Reply(clip, headers=ETAG))
        inbox.part.write_bytes(other_clip[:1000])
        inbox.note.write_text(json.dumps({"url": url, "etag": ETAG["ETag"]}))
        assert inbox.receive(url, hashlib.sha256(clip).hexdigest()) == clip
        assert ranges(server) == ["bytes=1000-", None]


class TestSlow:
    def test_stall_before_the_answer(self, server, inbox):
        url = server.at(PATH, Reply(raw=b"", ending="stall"))
        assert inbox.refusal(url, attempts=2, stall_timeout_s=STALL_S) == "timeout"
        assert len(server.requests) == 2

    def test_stall_after_the_headers(self, server, inbox, clip):
        url = server.at(PATH, cut(clip, 0, "stall"), Reply(clip))
        assert inbox.receive(url, stall_timeout_s=STALL_S) == clip

    def test_slow_loris(self, server, inbox, clip):
        def give_up(limit: float) -> None:
            url = server.at(f"/{limit}", Reply(clip, piece=1, pause_s=0.03, headers=ETAG))
            started = time.monotonic()
            assert inbox.refusal(url, clip_timeout_s=limit) == "timeout"
            assert time.monotonic() - started > limit - 0.1
            (request,) = server.asked(f"/{limit}")
            assert 0 < request.served < len(clip)

        in_time(give_up, 0.6)

    def test_slow_loris_of_headers(self, server, inbox, clip):
        def give_up(limit: float) -> None:
            url = server.at(f"/{limit}", Reply(clip, head_pause_s=0.03 * limit))
            started = time.monotonic()
            assert inbox.refusal(url, clip_timeout_s=limit) == "timeout"
            assert time.monotonic() - started > limit - 0.1
            (request,) = server.asked(f"/{limit}")
            assert request.served == 0

        in_time(give_up, 0.6)

    def test_redirects_share_the_time_limit(self, server, inbox):
        url = server.at(PATH, Reply(status=302, headers={"Location": PATH}, head_pause_s=0.003))
        assert inbox.refusal(url, clip_timeout_s=0.6, max_redirects=100) == "timeout"

    def test_tries_share_the_time_limit(self, server, inbox, clip):
        def give_up(limit: float) -> None:
            url = server.at(f"/{limit}", cut(clip, 1000, "stall"))
            limits = {"stall_timeout_s": limit / 3.5, "clip_timeout_s": limit}
            assert inbox.refusal(url, attempts=100, **limits) == "timeout"
            assert 2 <= len(server.asked(f"/{limit}")) <= 4

        in_time(give_up, 0.7)

    def test_no_process_accepts_the_connection(self, inbox):
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            with socket.create_connection(full.getsockname()):
                url = f"http://127.0.0.1:{full.getsockname()[1]}/clip.mp4"
                assert inbox.refusal(url, attempts=2, connect_timeout_s=0.3) == "timeout"


class TestLength:
    def test_announced_too_long(self, server, inbox, clip):
        url = server.at(PATH, Reply(clip, announced=len(clip) + 100, ending="close"))
        assert inbox.refusal(url) == "incomplete"
        assert len(server.requests) == 3

    def test_announced_too_long_once(self, server, inbox, clip):
        lie = Reply(clip, announced=len(clip) + 100, ending="close", headers=ETAG)
        assert inbox.receive(server.at(PATH, lie, Reply(clip, headers=ETAG))) == clip

    @pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
    def test_announced_too_short(self, server, inbox, clip, part):
        length = int(len(clip) * part)
        url = server.at(PATH, Reply(clip, announced=length, cut=length))
        assert inbox.refusal(url) == "truncated"
        assert len(server.requests) == 3

    @pytest.mark.parametrize("part", [0.1, 0.999])
    def test_more_than_announced(self, server, inbox, clip, part):
        """What comes too much is read as the next answer, or not at all."""
        url = server.at(PATH, Reply(clip, announced=int(len(clip) * part), ending="close"))
        assert inbox.refusal(url) in ("truncated", "connection")

    def test_announced_too_short_once(self, server, inbox, clip):
        lie = Reply(clip, announced=len(clip) - 1, cut=len(clip) - 1, headers=ETAG)
        assert inbox.receive(server.at(PATH, lie, Reply(clip, headers=ETAG))) == clip
        assert ranges(server) == [None, None]

    @pytest.mark.parametrize("index", ["last", "first"])
    def test_cut_at_a_boundary_of_boxes(self, server, inbox, clip, index, tmp_path):
        body = clip if index == "last" else with_index_first(clip, tmp_path)
        lengths = [at + off for at in box_boundaries(body)[:-1] for off in (-3, 0, 5)][1:]
        for length in lengths:
            lie = Reply(body, announced=length, cut=length)
            reason = inbox.refusal(server.at(f"/{index}-{length}", lie), attempts=1)
            assert reason in ("truncated", "incomplete"), length

    @pytest.mark.parametrize("name", ["a.webm", "a.mkv", "a.avi", "a.flv"])
    @pytest.mark.parametrize("framing", ["length", "chunked", "close"])
    def test_half_of_another_container(self, server, inbox, tmp_path, framing, name):
        """The connection ends and nothing says how long the answer should have been."""
        codec = "libvpx" if name.endswith("webm") else "libx264"
        body = encode(
            tmp_path / name, "testsrc2=s=128x96:r=10:d=1", "-c:v", codec, "-pix_fmt", "yuv420p"
        ).read_bytes()
        inbox.target = inbox.folder / name
        half = Reply(body[: len(body) // 2], framing=framing)
        assert inbox.refusal(server.at(PATH, half)) == "truncated"
        assert inbox.receive(server.at("/again", half, Reply(body))) == body

    @pytest.mark.parametrize("framing", ["length", "chunked", "close"])
    def test_nothing(self, server, inbox, framing):
        assert inbox.refusal(server.at(PATH, Reply(b"", framing=framing))) == "incomplete"

    def test_larger_than_allowed_and_announced(self, server, inbox, clip):
        url = server.at(PATH, Reply(clip))
        assert inbox.refusal(url, max_bytes=len(clip) - 1) == "too_large"
        assert len(server.requests) == 1

    def test_as_large_as_allowed(self, server, inbox, clip):
        assert inbox.receive(server.at(PATH, Reply(clip)), max_bytes=len(clip)) == clip

    @pytest.mark.parametrize("framing", ["chunked", "close"])
    def test_endless(self, server, inbox, clip, framing):
        url = server.at(PATH, Reply(clip, framing=framing, endless=True))
        assert inbox.refusal(url, max_bytes=2_000_000) == "too_large"
        assert len(server.requests) == 1

    def test_gzip_bomb(self, server, inbox):
        bomb = gzip.compress(bytes(50_000_000))
        url = server.at(PATH, Reply(bomb, headers={"Content-Encoding": "gzip"}))
        assert inbox.refusal(url, max_bytes=1_000_000) == "too_large"

    def test_too_large_once_resumed(self, server, inbox, clip):
        url = server.at(PATH, cut(clip, 100_000, headers=ETAG), Reply(clip, headers=ETAG))
        assert inbox.refusal(url, max_bytes=len(clip) - 1) == "too_large"


class TestKind:
    @pytest.mark.parametrize("content_type", ["video/mp4", "text/html; charset=utf-8"])
    @pytest.mark.parametrize(
        "page",
        [HTML, b"\xef\xbb\xbf \r\n<HTML>", b'{"error": "gone"}', b'<?xml version="1.0"?><e/>'],
        ids=["html", "bom", "json", "xml"],
    )
    def test_page_instead_of_a_clip(self, server, inbox, page, content_type):
        url = server.at(PATH, Reply(page, headers={"Content-Type": content_type}))
        assert inbox.refusal(url) == "not_video"
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "body",
        [b"PK\x03\x04".ljust(24, b"\0"), b"#EXTM3U\n#EXTINF:5,\nhttp://example.org/a.mp4\n",
         b"ffconcat version 1.0\nfile a.mp4\n",
         b"\x89PNG\r\n\x1a\n".ljust(99, b"\0"), b"\0" * 4096,
         b"nothing"],
        ids=["zip", "m3u", "ffconcat", "png", "zeros", "word"],
    )  # fmt: skip
    def test_what_is_no_container(self, server, inbox, body):
        url = server.at(PATH, Reply(body, headers={"Content-Type": "video/mp4"}))
        assert inbox.refusal(url) == "not_video"
        assert len(server.requests) == 1

    @pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream"])
    def test_clip_under_another_type(self, server, inbox, clip, content_type):
        url = server.at(PATH, Reply(clip, headers={"Content-Type": content_type}))
        assert inbox.receive(url) == clip

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "GZIP", "identity"])
    def test_encoded_body(self, server, inbox, clip, encoding):
        body = PACKED[encoding.lower()](clip)
        url = server.at(PATH, Reply(body, headers={"Content-Encoding": encoding}))
        assert inbox.receive(url, hashlib.sha256(clip).hexdigest()) == clip
        assert server.asked()[0].headers["Accept-Encoding"] == "identity"

    def test_deflate_without_a_header(self, server, inbox, clip):
        bare = zlib.compress(clip, wbits=-15)
        url = server.at(PATH, Reply(bare, headers={"Content-Encoding": "deflate"}))
        assert inbox.receive(url) == clip

    def test_gzip_in_two_members(self, server, inbox, clip):
        body = gzip.compress(clip[:1000]) + gzip.compress(clip[1000:])
        url = server.at(PATH, Reply(body, headers={"Content-Encoding": "gzip"}))
        assert inbox.receive(url) == clip

    @pytest.mark.parametrize("encoding", ["br", "x-unknown", "gzip, x-unknown"])
    def test_unknown_encoding(self, server, inbox, clip, encoding):
        url = server.at(PATH, Reply(clip, headers={"Content-Encoding": encoding}))
        assert inbox.refusal(url) == "encoded"
        assert len(server.requests) == 1

    def test_no_gzip_at_all(self, server, inbox, clip):
        url = server.at(PATH, Reply(clip, headers={"Content-Encoding": "gzip"}), Reply(clip))
        assert inbox.receive(url) == clip

    @pytest.mark.parametrize("name", ["clip.mp4", "clip.webm"])
    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    def test_encoded_body_without_its_end(self, server, inbox, clip, encoding, name):
        body = clip if name == "clip.mp4" else as_webm(clip)
        inbox.target = inbox.folder / name
        packed = PACKED[encoding](body)
        half = packed[: len(packed) // 2]
        url = server.at(PATH, Reply(half, headers={"Content-Encoding": encoding}), Reply(body))
        assert inbox.receive(url) == body


class TestChecksum:
    @pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
    @pytest.mark.parametrize("case", [str.lower, str.upper], ids=["lower", "upper"])
    def test_right(self, server, inbox, clip, algorithm, case):
        digest = case(hashlib.new(algorithm, clip).hexdigest())
        assert inbox.receive(server.at(PATH, Reply(clip)), digest) == clip

    @pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
    def test_wrong(self, server, inbox, clip, other_clip, algorithm):
        digest = hashlib.new(algorithm, clip).hexdigest()
        url = server.at(PATH, Reply(other_clip, headers=ETAG))
        assert inbox.refusal(url, digest) == "wrong_checksum"
        assert ranges(server) == [None] * 3

    def test_wrong_once(self, server, inbox, clip):
        damaged = clip[:5000] + bytes([clip[5000] ^ 1]) + clip[5001:]
        url = server.at(PATH, Reply(damaged, headers=ETAG), Reply(clip, headers=ETAG))
        assert inbox.receive(url, hashlib.sha256(clip).hexdigest()) == clip
        assert ranges(server) == [None, None]


class TestAddresses:
    @pytest.mark.parametrize(
        "url",
        [
            "ftp://127.0.0.1/clip.mp4",
            "file:/clip.mp4",
            "data:video/mp4;base64,AAAA",
            "//127.0.0.1/clip.mp4",
            "clip.mp4",
            "",
            "http://",
            "http:///clip.mp4",
            "http://[::1/clip.mp4",
            "http://127.0.0.1:99999/clip.mp4",
            "http://127.0.0.1:port/clip.mp4",
            "http://a b/clip.mp4",
            "http://..../clip.mp4",
        ],
    )
    def test_no_web_address(self, inbox, url):
        assert inbox.refusal(url) == "bad_url"

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[fe80::1]",
            "[fd00::1]",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "localhost",
            "LOCALHOST",
        ],
    )
    def test_private_by_default(self, server, inbox, clip, host):
        server.at(PATH, Reply(clip))
        url = f"http://{host}:{server.port}{PATH}"
        assert inbox.refusal(url, allow_private=False) == "private_address"
        assert server.requests == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_private_where_allowed(self, server, inbox, clip, host):
        server.at(PATH, Reply(clip))
        assert inbox.receive(f"http://{host}:{server.port}{PATH}") == clip

    def test_between_public_and_private(self, inbox, clip, tmp_path):
        source = tmp_path / "source.mp4"
        source.write_bytes(clip)
        assert in_own_network(source, inbox.folder) == {
            "public": None,
            "public by redirect": None,
            "private by redirect": "private_address",
            "private by name": "private_address",
            "private by detour": "private_address",
            "requests of the private server": 0,
        }
        assert inbox.names() == {"public.mp4", "public by redirect.mp4"}

    def test_unknown_name(self, inbox):
        assert inbox.refusal("http://no-such-host.invalid/clip.mp4") == "name_unresolved"

    def test_https_of_a_server_that_has_none(self, server, inbox, clip):
        url = server.at(PATH, Reply(clip)).replace("http:", "https:")
        assert inbox.refusal(url) in ("tls", "connection")


class TestManyClips:
    def test_connections_to_a_host_are_limited(self, server, inbox, clip):
        slow = Reply(clip, piece=len(clip) // 4, pause_s=0.02)
        urls = [server.at(f"/{number}", slow) for number in range(10)]
        fetch_many(urls, inbox, per_host=3, together=True)
        assert server.most_connections == 3

    def test_transfers_are_limited(self, server, inbox, clip):
        slow = Reply(clip, piece=len(clip) // 4, pause_s=0.02)
        urls = [server.at(f"/{number}", slow) for number in range(10)]
        fetch_many(urls, inbox, concurrency=2, together=True)
        assert server.most_connections == 2

    def test_a_turn_that_is_waited_for_is_no_part_of_the_time_limit(self, server, inbox, clip):
        def fetch(limit: float) -> None:
            slow = Reply(clip, piece=len(clip) // 4, pause_s=0.05 * limit)
            urls = [server.at(f"/{limit}/{number}", slow) for number in range(6)]
            fetch_many(urls, inbox, per_host=1, clip_timeout_s=limit, together=True)

        in_time(fetch, 0.9)

    def test_one_failure_is_its_own(self, server, inbox, clip):
        good = [server.at(f"/{number}", Reply(clip)) for number in range(4)]

        async def run() -> list[object]:
            async with Downloader(DownloadParameters(**QUICK)) as downloader:
                tasks = [
                    downloader.fetch(url, inbox.folder / f"{number}.mp4")
                    for number, url in enumerate([*good, server.url("/missing")])
                ]
                return await asyncio.gather(*tasks, return_exceptions=True)

        *fine, error = asyncio.run(run())
        assert fine == [None] * 4 and getattr(error, "reason", None) == "not_found"
        assert inbox.names() == {f"{number}.mp4" for number in range(4)}


class TestDisk:
    def test_folder_that_is_a_file(self, server, inbox, clip):
        (inbox.folder / "file").touch()
        inbox.target = inbox.folder / "file" / "clip.mp4"
        url = server.at(PATH, Reply(clip))
        with pytest.raises(Exception) as caught:
            inbox.fetch(url)
        assert getattr(caught.value, "reason", None) == "disk"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_folder_without_permission(self, server, inbox, clip):
        inbox.folder.chmod(0o500)
        assert inbox.refusal(server.at(PATH, Reply(clip))) == "disk"

    @pytest.mark.parametrize("headers", [{}, ETAG], ids=["bare", "etag"])
    def test_no_room(self, server, inbox, clip, headers):
        """A limit on the size of files fails in the middle of a write, as a full disk does."""
        url = server.at(PATH, Reply(clip, headers=headers))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            assert inbox.refusal(url) == "disk"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert len(server.requests) == 1


@settings(max_examples=25)
@given(
    cuts=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["reset", "close"])), min_size=1, max_size=4
    ),
    headers=st.sampled_from([ETAG, OLD, {}]),
    framing=st.sampled_from(["length", "chunked"]),
)
def test_cut_anywhere(clip, cuts, headers, framing):
    script = [
        cut(clip, int(part * len(clip)), ending, headers=headers, framing=framing)
        for part, ending in cuts
    ]
    with ScriptedServer() as server, tempfile.TemporaryDirectory() as folder:
        url = server.at(PATH, *script, Reply(clip, headers=headers, framing=framing))
        assert Inbox(Path(folder)).receive(url, attempts=len(cuts) + 1) == clip


def fetch_many(urls: list[str], inbox: Inbox, together: bool = False, **limits) -> None:
    """Fetch clips with one downloader, one after the other or all at once."""

    async def run() -> None:
        async with Downloader(DownloadParameters(**QUICK | limits)) as downloader:
            tasks = [
                downloader.fetch(url, inbox.folder / f"{number}.mp4")
                for number, url in enumerate(urls)
            ]
            if together:
                await asyncio.gather(*tasks)
                return
            for task in tasks:
                await task

    asyncio.run(run())
    assert inbox.names() == {f"{number}.mp4" for number in range(len(urls))}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def with_index_first(clip: bytes, folder: Path) -> bytes:
    source, target = folder / "source.mp4", folder / "faststart.mp4"
    source.write_bytes(clip)
    command = [find_ffmpeg(), "-nostdin", "-v", "error", "-i", source, "-c", "copy"]
    subprocess.run([*command, "-movflags", "+faststart", target], check=True)
    return target.read_bytes()


def as_webm(clip: bytes) -> bytes:
    """Return bytes that begin as a WebM does and have no boxes."""
    return b"\x1a\x45\xdf\xa3".ljust(16, b"\x01") + clip[16:]


def box_boundaries(body: bytes) -> list[int]:
    """Return where each top-level box of an MP4 begins, and where the last one ends."""
    boundaries = [0]
    while boundaries[-1] < len(body):
        at = boundaries[-1]
        boundaries.append(at + int.from_bytes(body[at : at + 4], "big"))
    return boundaries


def in_own_network(clip: Path, folder: Path) -> dict[str, str | int | None]:
    """Run tests/support/own_network.py where it may have any address; skip where that cannot be."""
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    try:
        subprocess.run([*alone, "ip", "link"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network of its own for a test here: {error}")
    command = [*alone, sys.executable, "-m", "tests.support.own_network", clip, folder]
    run = subprocess.run(
        command, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, timeout=HANG_GUARD_S
    )
    return dict(json.loads(run.stdout))
