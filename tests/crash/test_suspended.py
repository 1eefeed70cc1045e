"""A whole run is suspended for longer than its limits, as a batch system does: no clip is blamed.

The pause is real, as nothing else than time can exceed a limit.
"""

from __future__ import annotations

import time

import psutil
import pytest

from tests.support.storms import Job, check_journal, end_held
from tests.support.victim import Victim
from tests.support.waiting import HANG_GUARD_S

LIMIT_S = 10
PAUSE_S = 4 * LIMIT_S
"""More than the limits of the held tool and, in extract and ingest, of its helper."""

LIMITS = {
    "extract": "vmaf.clip_timeout_s={0},extract.probe_timeout_s={0}",
    "ingest": "ingest.clip_timeout_s={0},ingest.probe_timeout_s={0}",
    "fr_from_nr": "vmaf.clip_timeout_s={0},fr_from_nr.probe_timeout_s={0}",
}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", LIMITS)
def test_suspended_for_longer_than_every_limit(project, ledger, monkeypatch, kind):
    job = Job(project, kind)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(job.ffmpeg))
    job.run()
    expected = job.result()
    with ledger.case("suspended runs", kind) as case:
        job.hold()
        victim = Victim.fork(job.arguments(params=LIMITS[kind].format(LIMIT_S)), job.project.root)
        try:
            assert victim.reaches(lambda: job.is_held(victim)), victim.output()
            suspend(victim)
            job.release()
            end_held(victim, "everyone")
            status = victim.process.wait(HANG_GUARD_S)
        finally:
            victim.kill()
        case.read(victim.output())
        check_journal(job)
        case.clips(job.names, [r["clip"] for r in job.lines() if r["status"] == "ok"])
        assert status == 0 and job.result() == expected


def suspend(victim: Victim) -> None:
    """Suspend every process of a run; they go on in the order in which they were started."""
    family = sorted(victim.family(), key=psutil.Process.create_time)
    for process in family:
        process.suspend()
    time.sleep(PAUSE_S)
    for process in family:
        process.resume()
