"""Hooks that Kedro calls around a run: its shape, locks, progress and summary."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from k150k_pipeline.configuration import ProjectConfigLoader, use_stores
from k150k_pipeline.datasets import (
    AtomicFileDataset,
    AtomicPlotlyDataset,
    FeaturesDataset,
    FinishedPartsDataset,
    JournalDataset,
    ModelSetDataset,
    ReportPageDataset,
)
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal.lock import Lock, lock_at
from k150k_pipeline.mos.finished import Finished
from k150k_pipeline.pipeline_shape import set_shape
from k150k_pipeline.pipelines.sample.hints import SAMPLE_REPORT, describe_sample
from k150k_pipeline.progress import ProgressReporter

logger = logging.getLogger(__name__)


_STEPS = {
    "account": "checking what was written",
    "merge": "writing",
    "plan": "planning",
    "predict": "predicting",
    "read": "reading the drop",
    "train": "training",
    "verify": "verifying that both plans agree",
}
"""Names of steps in the log, where they differ from the names of the nodes."""

_SHARDS_AFTER = {
    "extract.verify": "extract: scoring",
    "fr_from_nr.plan": "fr_from_nr: encoding and scoring",
    "mos_head.table": "mos_head: fitting and scoring on the folds",
    "ingest.plan": "ingest: downloading and probing what is due",
}
"""Lines of the log by the node after which the shards begin."""


def describe_step(node: str) -> str | None:
    """Return the line of the log for a node that begins; None for a shard, as there are many.

    Args:
        node: Name of the node with its namespaces, such as ``extract.plan``.
    """
    *namespaces, step = node.split(".")
    if step in ("add_up", "fetch") or _is_shard(node):
        return None
    words = _STEPS.get(step, step.replace("_", " "))
    return f"{namespaces[0]}: {words}" if namespaces else words


def _is_shard(node: str) -> bool:
    return node.split(".")[-1].startswith("shard_")


class ProjectHooks:
    """Locks the outputs of a run, and shows its progress."""

    def __init__(self) -> None:
        self._locks: list[Lock] = []
        self._reporter: ProgressReporter | None = None
        self.finished = Counter[str]()
        """Number of clips, folds and splits that the run has finished, counted when it ends."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Fix the shape of the graph before it is built.

        Raises:
            InputError: A path on the command line has a brace, which makes it a catalog pattern.
        """
        parameters = context.config_loader["parameters"]
        _refuse_braces(parameters)
        set_shape(parameters)
        use_stores(cast(ProjectConfigLoader, context.config_loader), parameters)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check the files, take the locks and start to show progress.

        Raises:
            InputError: A folder is where a file is expected, or the catalog lacks an entry.
            OutputInUseError: Another run works on the same output.
        """
        self.stop()  # a run that is interrupted in a notebook calls no closing hook
        self.finished = Counter()
        _refuse_missing_entries(pipeline, catalog)
        _refuse_folders(pipeline, catalog)
        _refuse_page_in_place_of_report(pipeline, catalog)
        journals = _journals(pipeline, catalog)
        shards_alone = all(_is_shard(node.name) for node in pipeline.nodes)
        self._lock(pipeline, catalog, journals, shards_alone)
        self._reporter = ProgressReporter(
            {name: j.journal for name, j in journals.items()},
            _counted(pipeline, catalog),
            planned=shards_alone,
        )
        logger.info("Running %s", ", ".join(sorted(_pipelines(pipeline))))
        self._reporter.start()

    def _lock(
        self,
        pipeline: Pipeline,
        catalog: DataCatalog,
        journals: Mapping[str, JournalDataset],
        shards_alone: bool,
    ) -> None:
        """Take the locks of a run; those of shards alone share the journal, not their tallies."""
        outputs = [catalog.get(n) for n in pipeline.all_outputs() if shards_alone or "." not in n]
        shared = {journal.lock_path: shards_alone for journal in journals.values()}
        own = {file.lock_path: False for file in outputs if isinstance(file, AtomicFileDataset)}
        for path, is_shared in sorted({**own, **shared}.items()):
            lock = lock_at(path, shared=is_shared)
            lock.acquire()
            self._locks.append(lock)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Log the step that begins."""
        if step := describe_step(node.name):
            logger.info("%s", step)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Log that the shards begin, if this node is the last before them."""
        if step := _SHARDS_AFTER.get(node.name):
            logger.info("%s", step)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Release the locks, and log where the outputs are; after the sample, what to try next."""
        self.stop()
        _log_outputs(pipeline, catalog)
        _explain_sample(pipeline, catalog)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Release the locks; finished clips stay in the journal."""
        self.stop()

    def stop(self) -> None:
        """Stop to show progress, count what is finished, and release the locks."""
        if self._reporter is not None:
            self.finished = self._reporter.stop()
            self._reporter = None
        while self._locks:
            self._locks.pop().release()


def _refuse_braces(parameters: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        if isinstance(value, str) and ("{" in value or "}" in value):
            raise InputError(f"{name}={value} has a brace in it: give a path without {{ and }}")


def _pipelines(pipeline: Pipeline) -> set[str]:
    return {node.namespace.split(".")[0] for node in pipeline.nodes if node.namespace}


def _refuse_missing_entries(pipeline: Pipeline, catalog: DataCatalog) -> None:
    missing = sorted(name for name in pipeline.inputs() if name not in catalog)
    if missing:
        raise InputError(
            f"the catalog has no entry {', '.join(missing)}: is a file of conf/base missing?"
        )


def _refuse_folders(pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Refuse a folder where a file is expected, before the run computes anything."""
    written = pipeline.all_outputs()
    for name in sorted(pipeline.inputs() | written):
        file = catalog.get(name)
        if isinstance(file, ModelSetDataset) or not isinstance(file, AtomicFileDataset):
            continue
        if isinstance(file, FeaturesDataset) and file.may_be_folder(output=name in written):
            continue
        if file.path.is_dir():
            raise InputError(f"{name}: {file.path} is a folder: give the place of a file")


def _refuse_page_in_place_of_report(pipeline: Pipeline, catalog: DataCatalog) -> None:
    for name in sorted(pipeline.all_outputs()):
        page = catalog.get(name)
        if isinstance(page, ReportPageDataset) and page.path == page.report:
            raise InputError(
                f"{page.path} is the place of the report page: give another ending to the report "
                "beside it, such as .json"
            )


def _journals(pipeline: Pipeline, catalog: DataCatalog) -> dict[str, JournalDataset]:
    """Return the journals of a run by name, without the ending ``_journal``."""
    datasets = {name: catalog.get(name) for name in sorted(pipeline.datasets())}
    return {
        name.removesuffix("_journal"): dataset
        for name, dataset in datasets.items()
        if isinstance(dataset, JournalDataset)
    }


def _counted(pipeline: Pipeline, catalog: DataCatalog) -> dict[str, Finished]:
    """Return the finished parts of a run by the name of the pipeline."""
    datasets = {name: catalog.get(name) for name in sorted(pipeline.datasets())}
    return {
        name.removesuffix("_finished"): dataset.finished
        for name, dataset in datasets.items()
        if isinstance(dataset, FinishedPartsDataset)
    }


def _log_outputs(pipeline: Pipeline, catalog: DataCatalog) -> None:
    outputs = {
        name: catalog.get(name) for name in sorted(pipeline.all_outputs()) if "." not in name
    }
    files = [
        f"  {name}: {file.path}"
        for name, file in outputs.items()
        if isinstance(file, AtomicFileDataset) and not isinstance(file, AtomicPlotlyDataset)
    ]
    if files:
        logger.info("\n".join(["Written:", *files]))


def _explain_sample(pipeline: Pipeline, catalog: DataCatalog) -> None:
    if "sample" in _pipelines(pipeline) and SAMPLE_REPORT in pipeline.all_outputs():
        report = catalog.get(SAMPLE_REPORT)
        if isinstance(report, AtomicFileDataset):
            logger.info("%s", describe_sample(report.path))
