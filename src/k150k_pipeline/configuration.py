"""Where configuration comes from: the project's ``conf``, and the copy in the package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.utils import find_config_file
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from k150k_pipeline.errors import InputError
from k150k_pipeline.storage.settings import Settings, current, use

PACKAGED_CONF = Path(__file__).parent / "conf"


def prepare_kedro() -> None:
    """Set what Kedro reads from the environment, here and in its worker processes."""
    os.environ["KEDRO_DISABLE_TELEMETRY"] = "1"  # a folder need not have a .telemetry file
    if find_config_file("conf/logging") is None:
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(PACKAGED_CONF / "logging.yml"))


class ProjectConfigLoader(OmegaConfigLoader):
    """Reads each environment from the configuration folder, or from the package if it is missing.

    So the folder may be empty, or have ``conf/local/parameters.yml`` alone. Each file is read once;
    Kedro reads all of them at every access.

    Attributes:
        as_written: Contents of the files by key (``parameters``, ``catalog``, ...), with no
            interpolation filled in; only of the keys that were accessed.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.as_written: dict[str, list[dict[str, Any]]] = {}
        self._resolved: dict[str, dict[str, Any]] = {}
        super().__init__(*args, **options)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the configuration of a key; changes to it stay with the caller."""
        if key in self.data:
            return dict(super().__getitem__(key))
        if key not in self._resolved:
            self._resolved[key] = super().__getitem__(key)
        return deepcopy(self._resolved[key])

    def _read_raw_config(
        self, key: str
    ) -> tuple[dict[Path, DictConfig], dict[Path, DictConfig], str, str, set[Path]]:
        read = super()._read_raw_config(key)
        files = [*read[0].values(), *read[1].values()]
        # Kedro changes these objects when it merges them.
        written = [OmegaConf.to_container(file, resolve=False) for file in files]
        self.as_written[key] = cast(list[dict[str, Any]], written)
        return read

    def _get_conf_env_path(self, env: str) -> str:
        own = str(super()._get_conf_env_path(env))
        packaged = PACKAGED_CONF / env
        missing = self._protocol == "file" and not Path(own).is_dir()
        return str(packaged) if missing and packaged.is_dir() else own

    def _is_hidden(self, path_str: str) -> bool:
        # Kedro ignores files below a hidden folder, and the package may be in a .venv.
        path, packaged = Path(path_str).resolve(), PACKAGED_CONF.resolve()
        if path.is_relative_to(packaged):
            return any(part.startswith(".") for part in path.relative_to(packaged).parts)
        return bool(super()._is_hidden(path_str))


def use_stores(loader: ProjectConfigLoader, parameters: Mapping[str, Any]) -> None:
    """Let this process, and those that it starts, use stores as a configuration says.

    Args:
        loader: What reads the configuration, also its credentials, when a store is used.
        parameters: All parameters; a block ``store`` with mistakes has been refused before.
    """
    block = parameters.get("store") or {}
    use(Settings(**block, conf_source=str(loader.conf_source), env=loader.env or ""))


def read_credentials() -> Mapping[str, Any]:
    """Return the credentials of the configuration that is in use, by scheme or bucket.

    Each process reads them itself, so that they are in no message from one to another.

    Raises:
        InputError: They cannot be read.
    """
    from kedro.framework.project import settings  # it writes a line to the log when it is loaded

    where = current()
    return _read_credentials(where.conf_source or str(settings.CONF_SOURCE), where.env)


@cache
def _read_credentials(conf_source: str, env: str) -> Mapping[str, Any]:
    from kedro.framework.project import settings

    loader = ProjectConfigLoader(
        conf_source=conf_source, env=env or None, **settings.CONFIG_LOADER_ARGS
    )
    return load_credentials(loader)


def load_credentials(loader: ProjectConfigLoader) -> Mapping[str, Any]:
    """Return the credentials that a loader reads; none if there are none.

    Raises:
        InputError: They cannot be read.
    """
    try:
        return loader["credentials"]
    except MissingConfigException:
        return {}
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, AttributeError):
        # The error may quote the file.
        raise InputError(
            f"{loader.conf_source} has credentials that cannot be read: correct its "
            "credentials.yml (docs/storage.md has an example)"
        ) from None
