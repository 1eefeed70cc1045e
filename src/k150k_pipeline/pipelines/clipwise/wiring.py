"""One node per shard, and the sum of what they did."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.clipwise.shards import add_up


class Bound:
    """A node function with some keywords given: a partial that Kedro can name in a worker too.

    Args:
        function: The function; its annotations stay visible, so that Kedro validates parameters.
        keywords: What it is called with beside its inputs.
    """

    def __init__(self, function: Callable[..., Any], keywords: Mapping[str, Any]) -> None:
        self._function = function
        self._keywords = keywords
        functools.update_wrapper(self, function)

    def __call__(self, *inputs: Any) -> Any:
        """Call the function."""
        return self._function(*inputs, **self._keywords)


def sharded(
    function: Callable[..., Tally],
    inputs: Sequence[str],
    tally: str,
    shards: int,
    *,
    namespace: str,
    also: Collection[str] = (),
) -> Pipeline:
    """Return the shards and the sum of what they did, in a namespace that collapses to one box.

    Args:
        function: Takes the inputs and the keywords ``shard`` and ``shards``; returns counts.
        inputs: Datasets and parameters that each shard reads.
        tally: Dataset of the sum; ``<tally>_0000`` and so on are those of the shards.
        shards: Number of shards.
        namespace: Name of the box.
        also: Further tallies, made elsewhere, that go into the sum.
    """
    tallies = [f"{tally}_{index:04d}" for index in range(shards)]
    nodes = [
        node(
            Bound(function, {"shard": index, "shards": shards}),
            list(inputs),
            output,
            name=f"shard_{index:04d}",
        )
        for index, output in enumerate(tallies)
    ]
    blocks = {name.removeprefix("params:") for name in inputs if name.startswith("params:")}
    return pipeline(
        [*nodes, node(add_up, [*tallies, *also], tally, name="add_up")],
        namespace=namespace,
        inputs={*(name for name in inputs if not name.startswith("params:")), *also},
        outputs={tally},
        parameters=blocks,
    )
