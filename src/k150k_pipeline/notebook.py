"""The catalog for notebooks, and one sentence where its data are not made yet."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from kedro.io import DataCatalog
from kedro.utils import find_kedro_project

from k150k_pipeline.errors import InputError


class NotMadeError(InputError):
    """Data of a notebook that do not exist; IPython shows the sentence without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def open_catalog(env: str | None = None) -> DataCatalog:
    """Return the catalog of the project that the notebook is in.

    Kedro logs only warnings from then on. Its own ``%load_ext kedro.ipython`` logs ten lines, and
    a line at each load.

    Args:
        env: Environment of the configuration, such as ``sample``; None for your own data.

    Raises:
        NotMadeError: The notebook is in no Kedro project.
    """
    project = find_kedro_project(Path.cwd())
    if project is None:
        raise NotMadeError(f"{Path.cwd()} is in no Kedro project: open a copy in notebooks/")
    os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(project / "conf/logging.yml"))
    # Not at the top: this import reads the variable.
    from kedro.framework.project import settings
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(project)
    logging.getLogger("kedro").setLevel(logging.WARNING)  # where it was imported before
    session = settings.SESSION_CLASS.create(project_path=project, env=env)
    catalog: DataCatalog = session.load_context().catalog
    return catalog


def existing(catalog: DataCatalog, *names: str, made_by: str) -> str:
    """Return the first of these datasets that exists.

    Args:
        catalog: The catalog.
        names: Names of datasets that contain the same.
        made_by: The command that makes the first of them.

    Raises:
        NotMadeError: None of them exists.
    """
    for name in names:
        if catalog.exists(name):
            return name
    raise NotMadeError(f"{names[0]} does not exist yet: run `{made_by}` in the project's folder")
