"""Nothing lost, nothing twice: the planner as properties."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from k150k_pipeline.journal import Entry, Failure
from k150k_pipeline.journal.due import MOST_KILLS, due_clips, survey
from k150k_pipeline.media.identity import FileIdentity

clips = st.lists(st.integers(0, 30).map("c{}".format), unique=True, max_size=25).map(sorted)
outcomes = st.lists(
    st.tuples(st.integers(0, 30).map("c{}".format), st.booleans(), st.sampled_from("xyz")),
    max_size=60,
)


moments = itertools.count(1.0)
attempts = itertools.count(1)


def entry(clip: str, ok: bool, fingerprint: str, reason: str = "corrupt") -> Entry:
    failure = None if ok else Failure("decode", reason, "")
    payload = b"{}" if ok else None
    return Entry(clip, fingerprint, next(attempts), next(moments), 0.0, payload, failure)


@given(clips, outcomes, st.integers(1, 4))
def test_every_wanted_clip_is_done_due_or_given_up(wanted, log, max_attempts):
    entries = [entry(*outcome) for outcome in log]
    progress = survey(entries, "x", {"y"})
    due = set(due_clips(wanted, progress, max_attempts))
    done = {c for c, ok, f in log if ok and f in "xy"}
    given_up = {c for c in wanted if sum(o == (c, False, "x") for o in log) >= max_attempts} - done
    assert due | (done & set(wanted)) | given_up == set(wanted)
    assert not due & done and not due & given_up


@given(outcomes)
def test_rows_of_other_engines_are_counted_and_not_used(log):
    progress = survey([entry(*outcome) for outcome in log], "x", {"y"})
    done = {c for c, ok, f in log if ok and f in "xy"}
    assert progress.done == done
    assert progress.foreign == {c: "z" for c, ok, f in log if ok and c not in done}
    assert {c for c, *_ in log if progress.has_row(c)} == done | progress.foreign.keys()


def kills(number: int) -> list[Entry]:
    return [entry("a", False, "x", "killed") for _ in range(number)]


def test_kills_are_no_attempts_and_have_a_bound_of_their_own():
    log = [*kills(MOST_KILLS - 1), entry("a", False, "x")]
    progress = survey(log, "x", set())
    assert (progress.attempts["a"], progress.kills["a"]) == (1, MOST_KILLS - 1)
    assert due_clips(["a"], progress, 2) == ["a"] and not progress.given_up("a", 2)
    assert due_clips(["a"], progress, 1) == []
    progress = survey(kills(MOST_KILLS), "x", set())
    assert due_clips(["a"], progress, 100) == [] and progress.given_up("a", 100)


def test_clips_that_their_store_does_not_give_or_that_are_other_files_are_tried_for_ever():
    log = [entry("a", False, "x", reason) for reason in ("not_fetched", "changed") * 9]
    progress = survey(log, "x", set())
    assert due_clips(["a"], progress, 1) == ["a"] and progress.failures["a"].reason == "changed"


def test_copies_of_a_line_are_one_attempt():
    log = [entry("a", False, "x"), *kills(1)]
    progress = survey(log * 3, "x", set())
    assert (progress.attempts["a"], progress.kills["a"]) == (1, 1)


def test_two_processes_at_one_attempt_are_one_attempt():
    """One of them was taken for dead; both have written a line, at another time."""
    log = [entry("a", False, "x"), entry("a", False, "x")]
    twice = [log[0], replace(log[1], attempt=log[0].attempt)]
    assert survey(twice, "x", set()).attempts["a"] == 1
    assert survey(log, "x", set()).attempts["a"] == 2


def test_attempts_on_other_files_are_forgotten_and_their_numbers_are_used_again():
    def tries(digest: str, *numbers: int, reason: str = "corrupt") -> list[Entry]:
        file = FileIdentity(1, 1, digest) if digest else None
        return [replace(entry("a", False, "x", reason), attempt=n, file=file) for n in numbers]

    log = [*tries("old", 1, 2, 3), *tries("old", 1, reason="killed"), *tries("new", 1)]
    progress = survey(log, "x", set())
    assert due_clips(["a"], progress, 3) == []
    assert progress.forget("a", {"old"})
    assert (progress.attempts["a"], progress.kills["a"]) == (1, 0)
    assert due_clips(["a"], progress, 3) == ["a"] and due_clips(["a"], progress, 1) == []
    assert not progress.forget("a", {"old"}) and not progress.forget("b", {"old"})
    unrecorded = survey(tries("", 1, 2, 3), "x", set())
    assert not unrecorded.forget("a", {"", "old"}) and unrecorded.attempts["a"] == 3
