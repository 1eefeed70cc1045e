"""The session of a run, which checks configuration and command line before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline
from kedro.pipeline.pipeline import CircularDependencyError, OutputNotUniqueError

from k150k_pipeline.configuration import ProjectConfigLoader
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
    """A Kedro session that refuses unknown names before it runs anything."""

    def run(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Run pipelines as Kedro does.

        Raises:
            InputError: A pipeline, node, tag, dataset or namespace of the options is unknown, or
                two parameters contradict each other.
        """
        self._options = options
        return super().run(*args, **options)

    def load_context(self) -> KedroContext:
        """Return the context, after checking the configuration and the options of a run."""
        refuse_unknown_environment(Path(self._conf_source), self.store.get("env"))
        check_configuration(self._get_config_loader())
        context = super().load_context()
        if options := getattr(self, "_options", None):
            check_options(options)
            _refuse_two_tables(options, self._get_config_loader()["parameters"])
        return context

    def _get_config_loader(self) -> ProjectConfigLoader:
        """Return the loader of this session, so that checks and context read the files once."""
        if not hasattr(self, "_loader"):
            self._loader = cast(ProjectConfigLoader, super()._get_config_loader())
        return self._loader


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse pipelines, nodes, tags, datasets and namespaces that do not exist.

    Args:
        options: Keyword arguments of ``KedroSession.run``.

    Raises:
        InputError: One of them does not exist, or nothing is left to run.
    """
    names = options.get("pipeline_names") or ["__default__"]
    for name in names:
        if name not in pipelines:
            raise InputError(unknown("pipeline", name, pipelines.keys()))
    steps = _union(names)
    for option, (what, names_of) in _KNOWN.items():
        known = names_of(steps)
        for name in options.get(option) or ():
            if name not in known:
                raise InputError(unknown(what, name, known))
    _refuse_empty(steps, {option: options.get(option) or None for option in _FILTERS})


def _refuse_two_tables(options: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Refuse a features table beside the tables of ``protocol``, which reads one or the others."""
    if "protocol" not in (options.get("pipeline_names") or ()):
        return
    given, tables = parameters.get("features"), parameters["protocol"]["tables"]
    if given and tables:
        listed = tables if isinstance(tables, str) else "+".join(map(str, tables))
        raise InputError(
            f"features={given} and protocol.tables={listed} both name what protocol evaluates: "
            "give one of them"
        )


def _union(names: Sequence[str]) -> Pipeline:
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


def _refuse_empty(steps: Pipeline, filters: Mapping[str, Any]) -> None:
    given = {option: names for option, names in filters.items() if names}
    keywords = {("node_namespaces" if o == "namespaces" else o): v for o, v in given.items()}
    try:
        steps.filter(**keywords)
    except ValueError as error:
        parts = [f"{_as_typed(option)}={','.join(filters[option])}" for option in given]
        raise InputError(
            f"no node is left to run with {' and '.join(parts)}: change these options"
        ) from error


def _as_typed(option: str) -> str:
    return "--nodes" if option == "node_names" else f"--{option.replace('_', '-')}"


def _namespaces(steps: Pipeline) -> Iterable[str]:
    for step in steps.nodes:
        parts = (step.namespace or "").split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)) if parts[0])
