"""The merge of fr_from_nr and its report page, in one process, for fr_from_nr.py merge."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from k150k_pipeline.datasets import AtomicJSONLinesDataset, AtomicParquetDataset
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.fr_from_nr import nodes
from k150k_pipeline.pipelines.fr_from_nr.plan import FrPlan
from k150k_pipeline.schemas.fr_parameters import FrParameters
from k150k_pipeline.schemas.parameters import VmafParameters

if __name__ == "__main__":
    root, parquet = Path(sys.argv[1]), len(sys.argv) > 2
    parameters = FrParameters(parquet=parquet)
    tally = Tally(ok=0, failed=0, syncs=0, sync_seconds=0.0)
    started = time.perf_counter()
    journal = Journal(root / "journal", root / "fr.jsonl")
    plan = FrPlan.model_validate_json((root / "plan.json").read_text())
    rows, _, _, _, *table, report = nodes.merge_fr(plan, journal, parameters, tally)
    AtomicJSONLinesDataset(filepath=str(journal.output)).save(rows)
    if parquet:
        AtomicParquetDataset(filepath=str(root / "fr.parquet")).save(table[0])
    nodes.account_for_rows(report, journal, parameters, VmafParameters())
    seconds = time.perf_counter() - started
    counts, copy = report["counts"], " and a parquet copy" if parquet else ""
    journaled = sum(path.stat().st_size for path in journal.files()) / 2**30
    written = journal.output.stat().st_size / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{counts['fr_rows']} rows of {counts['rows']} clips{copy}: {seconds:.1f} s, peak "
        f"{peak:.2f} GiB; journals {journaled:.2f} GiB, rows {written:.2f} GiB"
    )
