"""Where configuration comes from: the project's ``conf``, and the copy in the package."""

from __future__ import annotations

from pathlib import Path

from kedro.config import OmegaConfigLoader

PACKAGED_CONF = Path(__file__).parent / "conf"


class ProjectConfigLoader(OmegaConfigLoader):
    """Reads each environment from the configuration folder, or from the package if it is missing.

    So the folder may be empty, or have ``conf/local/parameters.yml`` alone.
    """

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
