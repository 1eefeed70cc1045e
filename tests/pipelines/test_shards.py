"""Work dealt out to shards: nothing lost, nothing twice."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.clipwise import add_up, deal


@given(st.lists(st.text(), unique=True, max_size=25), st.integers(1, 12))
def test_every_clip_is_dealt_to_one_shard(clips, shards):
    dealt = [deal(clips, shard, shards) for shard in range(shards)]
    assert Counter(clip for part in dealt for clip in part) == Counter(clips)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_tallies_add_up_field_by_field():
    one = Tally(ok=1, failed=20, syncs=300, sync_seconds=0.5)
    two = Tally(ok=4, failed=50, syncs=600, sync_seconds=0.25)
    assert add_up(one, two) == Tally(ok=5, failed=70, syncs=900, sync_seconds=0.75)
