"""The pipelines as kedro-viz draws them: the shards of a step are one node.

What runs is not changed. A journal is drawn as what the shards write and the nodes after them read,
although in a run each node opens it itself, and the nodes before the shards read it too. A report
page is drawn as made from its figures, although one node makes both: so the figures are inside the
box of their pipeline, where they would otherwise be a row as wide as eleven boxes beside it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

_PASSED_THROUGH = ("_journal", "_finished")
_ADD_UP = "add_up"
_PAGE, _FIGURE = "_page", "_figure_of_"


class DrawnNode(Node):
    """A node of a picture, which cannot be run.

    Args:
        stands_for: The nodes that it is drawn for.
        inputs: Datasets that lead to it.
        outputs: Datasets that it leads to.
        name: What is written in its box, without the namespace.
        namespace: Its namespace.
    """

    def __init__(
        self,
        stands_for: list[Node],
        inputs: list[str],
        outputs: list[str],
        *,
        name: str | None,
        namespace: str | None,
    ) -> None:
        super().__init__(
            _only_shown(stands_for[0].func), inputs, outputs, name=name, namespace=namespace
        )
        last = [node for node in stands_for if _step(node) == _ADD_UP]
        self._stands_for = ",".join(node.name for node in last or stands_for)

    @property
    def name(self) -> str:
        """Names of the nodes of a run, as ``--to-nodes`` takes them: kedro-viz prints a command."""
        return self._stands_for


@dataclass(frozen=True)
class _Box:
    """The shards of a step.

    Attributes:
        members: The shards, and the node that adds up their tallies.
        output: The dataset that is drawn after them.
        merged: Datasets of which that one is drawn instead.
        through: Journals and finished parts that they read and write.
    """

    members: list[Node]
    output: str
    merged: frozenset[str]
    through: frozenset[str]


def drawn(pipelines: Mapping[str, Pipeline]) -> dict[str, Pipeline]:
    """Return the pipelines as they are drawn."""
    return {name: _drawn(pipeline) for name, pipeline in pipelines.items()}


def _drawn(pipeline: Pipeline) -> Pipeline:
    boxes = [_box(members) for members in _shards(pipeline)]
    members = {node for box in boxes for node in box.members}
    rest = [node for node in pipeline.nodes if node not in members]
    return Pipeline(
        [_drawn_box(box) for box in boxes]
        + [_drawn_node(node, pipeline, boxes) for node in rest]
        + [_drawn_page(node, pipeline) for node in rest if _figures(node)]
    )


def _shards(pipeline: Pipeline) -> Iterable[list[Node]]:
    by_namespace: dict[str, list[Node]] = {}
    for node in pipeline.nodes:
        if _step(node).startswith("shard_") or _step(node) == _ADD_UP:
            by_namespace.setdefault(node.namespace or "", []).append(node)
    return by_namespace.values()


def _box(members: list[Node]) -> _Box:
    inputs = {name for node in members for name in node.inputs}
    made = sorted({name for node in members for name in node.outputs})
    final = [name for name in made if name not in inputs]
    output = final[0] if len(final) == 1 else _beginning(final)
    through = frozenset(name for name in inputs if name.endswith(_PASSED_THROUGH))
    return _Box(members, output, frozenset(final), through)


def _drawn_box(box: _Box) -> DrawnNode:
    shards = [node for node in box.members if _step(node) != _ADD_UP]
    added = [node for node in box.members if _step(node) == _ADD_UP]
    made = {name for node in shards for name in node.outputs}
    inputs = dict.fromkeys(name for node in shards + added for name in node.inputs)
    namespace = shards[0].namespace or ""
    step = getattr(shards[0].func, "__name__", "run").removesuffix("_shard")
    return DrawnNode(
        shards + added,
        [name for name in inputs if name not in made | box.through],
        [box.output, *sorted(box.through)],
        name=f"{step}_in_{len(shards)}_shards",
        namespace=namespace.rpartition(".")[0] if added else namespace,
    )


def _drawn_node(node: Node, pipeline: Pipeline, boxes: list[_Box]) -> DrawnNode:
    inputs = node.inputs
    for box in boxes:
        if node in pipeline.to_nodes(*(member.name for member in box.members)).nodes:
            inputs = [name for name in inputs if name not in box.through]
        inputs = [box.output if name in box.merged else name for name in inputs]
    return DrawnNode(
        [node],
        list(dict.fromkeys(inputs)),
        [name for name in node.outputs if not (_figures(node) and name.endswith(_PAGE))],
        name=_step(node),
        namespace=node.namespace,
    )


def _drawn_page(node: Node, pipeline: Pipeline) -> DrawnNode:
    """Return a node between the figures and the page that a node makes."""
    page = [name for name in node.outputs if name.endswith(_PAGE)]
    before = pipeline.to_nodes(node.name).nodes
    first = next(other for other in before if other.namespace == node.namespace)
    # Both run up to the page; names of nodes are unique, and that of the node alone is in use.
    return DrawnNode([first, node], _figures(node), page, name="page", namespace=node.namespace)


def _figures(node: Node) -> list[str]:
    return [name for name in node.outputs if _FIGURE in name]


def _beginning(names: Sequence[str]) -> str:
    """Return what sorted names have in common at their beginning, such as ``mos_head.folds``."""
    first, last = names[0], names[-1]
    same = next(i for i in range(len(first), -1, -1) if last.startswith(first[:i]))
    return first[:same].rstrip("_")


def _step(node: Node) -> str:
    return node.name.rpartition(".")[2]


def _only_shown(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose source kedro-viz shows, and that takes any number of inputs."""
    shown = inspect.unwrap(function)

    def never_called(*_inputs: Any) -> NoReturn:
        raise NotImplementedError

    functools.update_wrapper(never_called, shown, assigned=("__module__", "__name__", "__doc__"))
    never_called.__code__ = never_called.__code__.replace(co_filename=inspect.getfile(shown))
    never_called.__annotations__ = {}  # else Kedro looks for types of parameters in them
    never_called.__signature__ = inspect.signature(  # type: ignore[attr-defined]
        never_called, follow_wrapped=False
    )
    return never_called
