"""The session of a run: what was asked for is checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline
from kedro.pipeline.pipeline import CircularDependencyError, OutputNotUniqueError

from k150k_pipeline.configuration_checks import check_configuration, refuse_unknown_environment
from k150k_pipeline.errors import InputError
from k150k_pipeline.suggest import unknown

_FILTERS = (
    "tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "namespaces",
)  # fmt: skip
_Names = Callable[[Pipeline], Collection[str]]
_KNOWN: Mapping[str, tuple[str, _Names]] = {
    "tags": ("tag", lambda steps: {tag for step in steps.nodes for tag in step.tags}),
    "node_names": ("node", lambda steps: {step.name for step in steps.nodes}),
    "from_nodes": ("node", lambda steps: {step.name for step in steps.nodes}),
    "to_nodes": ("node", lambda steps: {step.name for step in steps.nodes}),
    "from_inputs": ("dataset", lambda steps: steps.datasets()),
    "to_outputs": ("dataset", lambda steps: steps.all_outputs()),
    "namespaces": ("namespace", lambda steps: set(_namespaces(steps))),
}


class ProjectSession(KedroSession):
    """A Kedro session that refuses names it does not know before it runs anything."""

    def run(self, *args: Any, **asked: Any) -> dict[str, Any]:
        """Run pipelines as Kedro does.

        Raises:
            InputError: Something that was asked for does not exist.
        """
        self._asked = asked
        return super().run(*args, **asked)

    def load_context(self) -> KedroContext:
        """Return the context; the configuration, and what a run was asked for, are checked."""
        refuse_unknown_environment(Path(self._conf_source), self.store.get("env"))
        check_configuration(cast(OmegaConfigLoader, self._get_config_loader()))
        context = super().load_context()
        if asked := getattr(self, "_asked", None):
            check_steps(asked)
        return context


def check_steps(asked: Mapping[str, Any]) -> None:
    """Refuse pipelines, nodes, tags and datasets that do not exist.

    Args:
        asked: Keywords of ``KedroSession.run``.

    Raises:
        InputError: One of them does not exist, or nothing is left to run.
    """
    names = asked.get("pipeline_names") or ["__default__"]
    for name in names:
        if name not in pipelines:
            raise InputError(unknown("pipeline", name, pipelines.keys()))
    steps = _together(names)
    for option, (what, names_of) in _KNOWN.items():
        known = names_of(steps)
        for name in asked.get(option) or ():
            if name not in known:
                raise InputError(unknown(what, name, known))
    _refuse_nothing(steps, {option: asked.get(option) or None for option in _FILTERS})


def _together(names: Sequence[str]) -> Pipeline:
    steps = Pipeline([])
    for name in names:
        try:
            steps = steps + pipelines[name]
        except (CircularDependencyError, OutputNotUniqueError, ValueError) as error:
            raise InputError(
                f"the pipelines {', '.join(sorted(names))} write the same datasets: run them one "
                "after the other"
            ) from error
    return steps


def _refuse_nothing(steps: Pipeline, filters: Mapping[str, Any]) -> None:
    given = {option: names for option, names in filters.items() if names}
    keywords = {("node_namespaces" if o == "namespaces" else o): v for o, v in given.items()}
    try:
        steps.filter(**keywords)
    except ValueError as error:
        parts = [f"{_spelled(option)}={','.join(filters[option])}" for option in given]
        raise InputError(f"no node is left to run with {' and '.join(parts)}") from error


def _spelled(option: str) -> str:
    return "--nodes" if option == "node_names" else f"--{option.replace('_', '-')}"


def _namespaces(steps: Pipeline) -> Iterable[str]:
    for step in steps.nodes:
        parts = (step.namespace or "").split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)) if parts[0])
