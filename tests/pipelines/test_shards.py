"""Work dealt out to shards: nothing lost, nothing twice."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.io import DatasetError

from k150k_pipeline.datasets import TablePartsDataset
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.clipwise import DealtClips, add_up, deal, make_shares, read_share


@given(st.lists(st.text(), unique=True, max_size=25), st.integers(1, 12))
def test_every_clip_is_dealt_to_one_shard(clips, shards):
    dealt = [deal(clips, shard, shards) for shard in range(shards)]
    assert Counter(clip for part in dealt for clip in part) == Counter(clips)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_tallies_add_up_field_by_field():
    one = Tally(ok=1, failed=20, syncs=300, sync_seconds=0.5)
    two = Tally(ok=4, failed=50, syncs=600, sync_seconds=0.25)
    assert add_up(one, two) == Tally(ok=5, failed=70, syncs=900, sync_seconds=0.75)


names = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True, max_size=25)


@given(names, st.integers(1, 12), st.data())
def test_a_share_has_what_is_dealt_to_its_shard(clips, shards, data):
    tried = data.draw(st.dictionaries(st.sampled_from(clips or ["a"]), st.integers(1, 9)))
    shares = make_shares(clips, tried, shards)
    for shard in range(shards):
        dealt = deal(clips, shard, shards)
        attempts = {name: tried[name] for name in dealt if name in tried}
        assert read_share(shares, shard, shards) == (dealt, attempts)
    together = DealtClips(shares, len(clips))
    assert (list(together), together[1:4]) == (clips, clips[1:4])
    assert [together[-1]] == clips[-1:] if clips else len(together) == 0


def test_a_plan_for_another_number_of_shards_is_refused():
    with pytest.raises(InputError, match="made for 2 shards, and this run has 3: run the whole"):
        read_share(make_shares(["a", "b"], {}, 2), 1, 3)


def test_shares_are_read_one_by_one_from_the_disk(tmp_path):
    dataset = TablePartsDataset(filepath=str(tmp_path / "run/shares.parquet"))
    shares = make_shares(["a", "b", "c"], {"b": 2}, 5)
    dataset.save(shares)
    loaded = dataset.load()
    assert len(loaded) == 5 and list(loaded) == shares
    assert loaded[1:3] == shares[1:3] and loaded[-1].num_rows == 0
    assert read_share(loaded, 1, 5) == (["b"], {"b": 2})
    with pytest.raises(IndexError):
        loaded[5]
    dataset.save(make_shares([], {}, 1))
    assert dataset.load()[0].equals(pa.table({"clip_name": pa.array([], pa.string()),
                                              "attempts": pa.array([], pa.int32())}))  # fmt: skip


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"{}"])
def test_shares_that_cannot_be_read_say_what_to_do(tmp_path, content):
    path = tmp_path / "shares.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match="run the whole pipeline, not some of its nodes"):
        TablePartsDataset(filepath=str(path)).load()


def test_a_damaged_part_is_named(tmp_path):
    dataset = TablePartsDataset(filepath=str(tmp_path / "shares.parquet"))
    dataset.save(make_shares([f"{number}.mp4" for number in range(200)], {}, 2))
    loaded = dataset.load()
    content = bytearray(dataset.path.read_bytes())
    content[4:40] = bytes(36)
    dataset.path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"part 0 of .* cannot be read"):
        loaded[0]
