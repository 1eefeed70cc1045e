"""Checks of a run's configuration: it can be read, and has all that the command line names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from kedro.config import MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from k150k_pipeline.configuration import PACKAGED_CONF, ProjectConfigLoader, load_credentials
from k150k_pipeline.errors import InputError
from k150k_pipeline.schemas.explain import explain_parameters
from k150k_pipeline.suggest import unknown, unknown_parameter

_RUNTIME_PARAMETER = re.compile(r"\$\{\s*runtime_params:\s*(\w+)")
_UNREADABLE = (
    AttributeError,  # of OmegaConf, where a file holds a list
    MissingConfigException,
    OmegaConfBaseException,
    ValueError,  # of Kedro, where two files have one key
    yaml.YAMLError,
)
_LINES = 3
_ALWAYS_READ = {"base", "local"}


def refuse_unknown_environment(conf_source: Path, env: str | None) -> None:
    """Refuse an environment that has no folder, here or in the package.

    Args:
        conf_source: Folder of the configuration; an archive is not checked.
        env: Name of the environment; None for the default.

    Raises:
        InputError: There is no such environment; the message names those that exist.
    """
    if not env or conf_source.is_file():
        return
    sources = [source for source in (conf_source, PACKAGED_CONF) if source.is_dir()]
    if any((source / env).is_dir() for source in sources):
        return
    folders = {path.name for source in sources for path in source.iterdir() if path.is_dir()}
    names = {name for name in folders if not name.startswith((".", "_"))} - _ALWAYS_READ
    raise InputError(f"{unknown('environment', env, names)} (folders of {conf_source})")


def check_configuration(loader: ProjectConfigLoader) -> None:
    """Refuse a configuration that cannot be read, and unknown or wrong parameters.

    Raises:
        InputError: A file is broken, also that of the credentials, a parameter is unknown, or a
            value is not allowed.
    """
    try:
        parameters, _ = loader["parameters"], loader["catalog"]
    except _UNREADABLE as error:
        raise InputError(_explain(error, loader)) from error
    load_credentials(loader)
    runtime = loader.runtime_params or {}
    blocks, entries = loader.as_written["parameters"], loader.as_written["catalog"]
    known = {str(key) for block in blocks for key in block}
    known |= set(_RUNTIME_PARAMETER.findall(str(blocks + entries)))
    members = list(_members(parameters, known))
    mistakes = [
        unknown_parameter(key, known, () if isinstance(value, Mapping) else members)
        for key, value in runtime.items()
        if key not in known
    ]
    mistakes += explain_parameters(parameters)
    if mistakes:
        more = f" (and {len(mistakes) - _LINES} more mistakes)" if len(mistakes) > _LINES else ""
        raise InputError("\n".join(mistakes[:_LINES]) + more)


def _members(block: Mapping[str, Any], names: set[str]) -> Iterator[str]:
    for name in sorted(names & block.keys()):
        inner = block[name]
        if isinstance(inner, Mapping):
            yield from (f"{name}.{key}" for key in inner)
            yield from (f"{name}.{member}" for member in _members(inner, set(inner)))


def _explain(error: Exception, loader: ProjectConfigLoader) -> str:
    for path in _files(loader):
        if problem := _problem(path):
            return f"{path}{problem}: correct the file"
    if isinstance(error, AttributeError):
        raise error
    text, *more = str(error).splitlines()
    keys = [line.partition(":")[2].strip() for line in more if "full_key" in line]
    where = f"{loader.conf_source}, {keys[0]}" if keys else loader.conf_source
    return f"the configuration cannot be used ({where}): {text}"


def _files(loader: ProjectConfigLoader) -> Iterator[Path]:
    folders = (loader.base_env, loader.env or loader.default_run_env)
    for folder in folders:
        yield from sorted(Path(loader._get_conf_env_path(folder)).glob("**/*.y*ml"))


def _problem(path: Path) -> str:
    """Return why a file cannot be read; empty if it can."""
    try:
        config = OmegaConf.load(path)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"{line} is not YAML ({error.problem})"
    except (UnicodeDecodeError, yaml.YAMLError):
        return " is not a text file in UTF-8"
    except OSError as error:
        return f" cannot be read: {error.strerror}"
    return "" if isinstance(config, DictConfig) else " holds no names with values"
