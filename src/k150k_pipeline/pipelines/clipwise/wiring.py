"""Wiring of one node per shard, and of the node that adds up their tallies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.clipwise.shards import add_up


class Bound:
    """A node function with some keyword arguments fixed.

    Unlike ``functools.partial`` it has a name in worker processes too.

    Args:
        function: The function; its annotations stay visible, so that Kedro validates parameters.
        keywords: Keyword arguments that it is called with besides its inputs.
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
    """Return the shards and the sum of their tallies, in a namespace that kedro-viz can collapse.

    Args:
        function: Takes the inputs and the keywords ``shard`` and ``shards``; returns a tally.
        inputs: Datasets and parameters that each shard reads.
        tally: Dataset of the sum; ``<tally>_0000`` and so on are those of the shards.
        shards: Number of shards.
        namespace: Name of the namespace.
        also: Further tallies of other nodes that are added.
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
