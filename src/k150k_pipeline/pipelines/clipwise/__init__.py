"""What all clip-wise pipelines share: plan, shards and merge around one journal."""

from k150k_pipeline.pipelines.clipwise.past import (
    announce,
    read_due,
    refuse_foreign_rows,
    warn_of_damage,
)
from k150k_pipeline.pipelines.clipwise.results import (
    FAILURE_COLUMNS,
    Report,
    check_kills,
    check_unfetched,
    count_by,
    facts_of_page,
    failures_table,
    judge,
    refuse_wrong_count,
    with_failed_clips,
    with_late_rows,
)
from k150k_pipeline.pipelines.clipwise.shards import (
    DealtClips,
    add_up,
    deal,
    make_shares,
    read_share,
    refuse_other_scoring,
    shard_journal,
)
from k150k_pipeline.pipelines.clipwise.summary import first, summarise, to_check
from k150k_pipeline.pipelines.clipwise.wiring import Bound, sharded

__all__ = [
    "FAILURE_COLUMNS",
    "Bound",
    "DealtClips",
    "Report",
    "add_up",
    "announce",
    "check_kills",
    "check_unfetched",
    "count_by",
    "deal",
    "facts_of_page",
    "failures_table",
    "first",
    "judge",
    "make_shares",
    "read_due",
    "read_share",
    "refuse_foreign_rows",
    "refuse_other_scoring",
    "refuse_wrong_count",
    "shard_journal",
    "sharded",
    "summarise",
    "to_check",
    "warn_of_damage",
    "with_failed_clips",
    "with_late_rows",
]
