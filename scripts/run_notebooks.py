"""Run the notebooks on the sample, side by side, and keep their output in build/notebooks.

``make notebooks`` makes the data first. ``make site`` shows the output, with plotly's
script. Each notebook has a kernel of its own. The first error of
any of them ends the command.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import nbformat
import plotly
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

PROJECT = Path(__file__).resolve().parents[1]
NOTEBOOKS = PROJECT / "notebooks"
KEPT = PROJECT / "build/notebooks"
_TIMEOUT_S = 300
_QUIET = "--IPKernelApp.log_level=40"  # else each kernel warns that it listens on this machine


async def run(path: Path, kept: Path) -> None:
    """Run a notebook, and write it with its output.

    Args:
        path: The notebook.
        kept: Folder that it is written to, under the same name.

    Raises:
        SystemExit: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=_TIMEOUT_S, resources=place, extra_arguments=[_QUIET])
    try:
        await client.async_execute()
    except CellExecutionError as error:
        raise SystemExit(f"{path.relative_to(PROJECT)}: {error}") from None
    kept.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, kept / path.name)
    print(f"{path.relative_to(PROJECT)}: {len(notebook.cells)} cells")


async def _run_all() -> None:
    await asyncio.gather(*(run(path, KEPT) for path in sorted(NOTEBOOKS.glob("*.ipynb"))))


if __name__ == "__main__":
    asyncio.run(_run_all())
    script = Path(plotly.__file__).with_name("package_data") / "plotly.min.js"
    shutil.copyfile(script, KEPT / script.name)
