"""``k150k`` and ``python -m k150k_pipeline``: the project's commands, from any folder."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from kedro.utils import find_kedro_project

from k150k_pipeline.configuration import prepare_kedro

_PACKAGE = "k150k_pipeline"


def main() -> None:
    """Run one command; paths are relative to the project around this folder, or to this folder."""
    project = find_kedro_project(Path.cwd())
    if project is not None and (package := _package_of(project)) != _PACKAGE:
        sys.exit(
            f"Error: {project} is the Kedro project {package}, whose configuration is not that of "
            "k150k: run k150k in another folder"
        )
    prepare_kedro()
    from kedro.framework.project import configure_project

    from k150k_pipeline.cli import cli

    configure_project(_PACKAGE)
    cli.main(prog_name="k150k")


def _package_of(project: Path) -> str:
    described = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    return str(described["tool"]["kedro"].get("package_name"))


if __name__ == "__main__":
    main()
