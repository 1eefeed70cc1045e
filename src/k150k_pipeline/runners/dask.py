"""Kedro's ParallelRunner on a Dask cluster: the same shards and promises on many machines."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from kedro.io import CatalogProtocol, SharedMemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import ParallelRunner
from kedro.runner.runner import AbstractRunner

from k150k_pipeline.cores import usable_cores
from k150k_pipeline.errors import ClusterError, InputError
from k150k_pipeline.runners.process import checked_max_workers, worker_limits

if TYPE_CHECKING:
    from distributed import Client

_VMAF = "params:vmaf"


class DaskRunner(ParallelRunner):
    """Runs nodes on the workers of a Dask cluster; all of them see the project's files.

    The member ``workers`` of a parameter block limits the nodes of its pipeline that run at a time
    on the whole cluster. Without it, the workers take one node per thread.

    Args:
        address: Address of the scheduler, such as ``tcp://host:8786``; without it, the nodes run
            on this machine, as those of :class:`ProcessRunner` do.
        max_workers: Most nodes of a pipeline at a time.
        wait_s: How long to wait for the scheduler, and for a first worker, in seconds.
        is_async: Whether inputs and outputs are loaded and saved in threads.

    Raises:
        InputError: A value cannot be used, or the package ``distributed`` is missing.
    """

    def __init__(
        self,
        address: str | None = None,
        max_workers: int | None = None,
        wait_s: float = 60.0,
        is_async: bool = False,
    ) -> None:
        # ParallelRunner's own __init__ starts a process that shares data in memory.
        AbstractRunner.__init__(self, is_async=is_async)
        _require_distributed()
        if address is not None and not isinstance(address, str):
            raise InputError(f"address is {address!r}: give one such as tcp://host:8786")
        if not isinstance(wait_s, int | float) or isinstance(wait_s, bool) or not wait_s > 0:
            raise InputError(f"wait_s is {wait_s!r}: give a number of seconds above 0")
        self._address = address
        self._wait_s = wait_s
        self._requested_workers = checked_max_workers(max_workers)

    def __del__(self) -> None:
        """Do nothing: there is no manager to end."""

    def _set_manager_datasets(self, catalog: Any) -> None:
        """Refuse data in memory: the workers do not share it.

        Raises:
            InputError: A dataset is not in the catalog.
        """
        missing = [n for n in catalog if isinstance(catalog.get(n), SharedMemoryDataset)]
        if missing:
            raise InputError(
                f"the catalog has no file for {', '.join(sorted(missing))}, which workers of a "
                "cluster cannot pass on in memory: add an entry to conf/local/catalog.yml"
            )

    def _get_required_workers_count(self, pipeline: Pipeline) -> int:  # noqa: ARG002 - Kedro's
        return 1  # the cluster has as many as it has

    def _get_executor(self, max_workers: int) -> Executor:  # noqa: ARG002 - Kedro's signature
        return self._pool

    def _suggest_resume_scenario(self, *_: Any) -> None:
        """Print nothing: Kedro's hint names nodes, and the command prints what is kept."""

    def _run(self, pipeline: Pipeline, catalog: Any, *args: Any, **kwargs: Any) -> None:
        from k150k_pipeline.runners.cluster import ClusterPool, connected

        most = usable_cores() if self._address is None else sys.maxsize
        limits = worker_limits(pipeline, catalog, self._requested_workers, most)
        with connected(self._address, max(limits.values(), default=1), self._wait_s) as client:
            needs = _needs(pipeline, catalog, client)
            cores = any("cores" in needs(node) for node in pipeline.nodes)
            self._pool = ClusterPool(client, limits, needs, cores=cores)
            super()._run(pipeline, catalog, *args, **kwargs)


def _require_distributed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the DaskRunner needs the package distributed: pip install 'k150k-pipeline[cluster]'"
        ) from error


def _needs(
    pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], client: Client
) -> functools.partial[Mapping[str, float]]:
    """Return the function that says which resources of a worker a node takes.

    Raises:
        ClusterError: The engine needs a GPU, and no worker declares one.
    """
    vmaf = catalog[_VMAF].load() if _VMAF in pipeline.inputs() else None
    threads = min(getattr(vmaf, "threads", 1), max(client.nthreads().values(), default=1))
    gpu = getattr(vmaf, "backend", "") == "cuda"
    if gpu and not _has_gpu(client):
        raise ClusterError(
            "vmaf.backend=cuda, and no worker declares a GPU: start those that have one with "
            "`dask worker … --resources GPU=1`"
        )
    return functools.partial(_resources, threads, gpu)


def _has_gpu(client: Client) -> bool:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return any(worker["resources"].get("GPU", 0) >= 1 for worker in workers)


def _resources(threads: int, gpu: bool, node: Node) -> Mapping[str, float]:
    """Return what a node takes: all nodes declare their cores if some take more than one."""
    scores = _VMAF in node.inputs
    cores = {"cores": float(threads if scores else 1)} if threads > 1 else {}
    return {**cores, **({"GPU": 1.0} if scores and gpu else {})}
