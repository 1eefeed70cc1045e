"""Which of a clip's lines counts, against its definition in other words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from k150k_pipeline.journal import Entry
from k150k_pipeline.journal.precedence import RowChoice, latest

rows = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["own", "other", "foreign"])))
lines = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)))


@given(rows)
def test_first_row_counts_unless_a_later_one_is_of_our_own(rows):
    choice = RowChoice("own", {"other"})
    taken = {clip: i for i, (clip, key) in enumerate(rows) if choice.takes(clip, key)}
    expected = {}
    for clip in {clip for clip, _ in rows}:
        of_clip = [(i, key) for i, (name, key) in enumerate(rows) if name == clip]
        own = [i for i, key in of_clip if key == "own"]
        other = [i for i, key in of_clip if key == "other"]
        if own or other:
            expected[clip] = (own or other)[0]
    assert taken == expected
    assert choice.chosen == {clip: rows[i][1] for clip, i in expected.items()}


@given(lines)
def test_the_line_that_ended_last_counts(lines):
    entries = [Entry(clip, str(i), 1, at, 0.0, b"{}", None) for i, (clip, at) in enumerate(lines)]
    expected = {
        clip: max((e for e in entries if e.clip == clip), key=lambda e: (e.at, int(e.fingerprint)))
        for clip in {clip for clip, _ in lines}
    }
    assert latest(entries) == expected
