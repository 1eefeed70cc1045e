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
    check_failure_rate,
    check_kills,
    check_unfetched,
    count_by,
    failures_table,
    first_names,
)
from k150k_pipeline.pipelines.clipwise.shards import add_up, deal, shard_journal
from k150k_pipeline.pipelines.clipwise.summary import summarise
from k150k_pipeline.pipelines.clipwise.wiring import Bound, sharded

__all__ = [
    "FAILURE_COLUMNS",
    "Bound",
    "Report",
    "add_up",
    "announce",
    "check_failure_rate",
    "check_kills",
    "check_unfetched",
    "count_by",
    "deal",
    "failures_table",
    "first_names",
    "read_due",
    "refuse_foreign_rows",
    "shard_journal",
    "sharded",
    "summarise",
    "warn_of_damage",
]
