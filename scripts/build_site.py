"""Make the documentation site in build/site from the documents and the docstrings: ``make site``.

Nothing is fetched. Zensical refuses pages, headings and modules that do not exist; the check after
it refuses files that do not exist, and pages that load anything from elsewhere.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.append(str(Path(__file__).parent))
from notebook_pages import write_pages

PROJECT = Path(__file__).resolve().parents[1]
BUILD = PROJECT / "build"
PACKAGE = "k150k_pipeline"
COPIED = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
    "LICENSE",
    "core/README.md",
    "deploy/Dockerfile",
    "deploy/*.yml",
    "docs/**/*.*",
)
REFERENCE = ("parameters", "files", "flags", "backends", "hardware")
EXPLANATION = ("architecture", "reliability", "scale")

Navigation = Mapping[str, "str | Navigation"]
"""Path of a page, or a section, by title."""

_ROLE = re.compile(r":(?:py:)?(?:func|class|meth|data|mod|attr|exc):(`+)~?([^`]+)\1")
_LOADING = ("script", "link", "img", "iframe", "source", "video")
_SETTINGS = """\
[project]
site_name = "k150k-pipeline"
site_description = "KoNViD-150k as training data for video-quality models"
docs_dir = "site-source"
site_dir = "site"
use_directory_urls = false
nav = {nav}

[project.theme]
font = false
features = ["navigation.indexes", "navigation.top", "content.code.copy", "toc.follow"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle = {{icon = "lucide/sun", name = "Use dark colours"}}

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle = {{icon = "lucide/moon", name = "Use light colours"}}

[project.markdown_extensions.tables]
[project.markdown_extensions.toc]
permalink = true
[project.markdown_extensions.pymdownx.highlight]
[project.markdown_extensions.pymdownx.superfences]

[project.plugins.mkdocstrings.handlers.python]
paths = ["site-python"]

[project.plugins.mkdocstrings.handlers.python.options]
docstring_style = "google"
show_source = false
show_root_heading = true
show_root_full_path = true
show_if_no_docstring = false
show_signature_annotations = true
separate_signature = true
members_order = "source"
filters = ["!^_"]
"""


def stage(source: Path, python: Path, notebooks: Path) -> None:
    """Copy documents and code to where the site is made from, and write the other pages.

    Args:
        source: Folder of the pages.
        python: Folder of the code that the reference is made from.
        notebooks: Folder of the notebooks with their output.
    """
    for folder in (source, python):
        shutil.rmtree(folder, ignore_errors=True)
    for path in sorted({path for pattern in COPIED for path in PROJECT.glob(pattern)}):
        target = source / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for path in modules():
        target = python / path.relative_to(PROJECT / "src")
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8")
        target.write_text(_ROLE.sub(r"``\2``", text), "utf-8")
    write_pages(notebooks, source / "notebooks")
    (source / "reference").mkdir()
    for name in map(dotted, modules()):
        page = f"# {name}\n\n::: {name}\n"
        (source / "reference" / f"{name}.md").write_text(page, "utf-8")


def modules() -> list[Path]:
    """Return the files of the package that the reference describes."""
    found = sorted((PROJECT / "src" / PACKAGE).rglob("*.py"))
    return [path for path in found if "conf" not in path.parts and path.stem != "__main__"]


def dotted(path: Path) -> str:
    """Return the name of the module in a file."""
    parts = path.relative_to(PROJECT / "src").with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def navigation(source: Path) -> Navigation:
    """Return the sections of the site; a document in no other section is a guide."""
    pages = {path.stem: f"docs/{path.name}" for path in sorted((source / "docs").glob("*.md"))}
    others = (*REFERENCE, *EXPLANATION)
    decisions = sorted((source / "docs/decisions").glob("*.md"), key=lambda path: path.stem)

    def titled(*paths: str) -> Navigation:
        return {_title(source / path): path for path in paths}

    return {
        "Start": "README.md",
        "Guides": titled(*(page for name, page in pages.items() if name not in others)),
        "Notebooks": titled(
            *(f"notebooks/{p.name}" for p in sorted(source.glob("notebooks/*.md")))
        ),
        "Reference": {
            **titled(*(pages[name] for name in REFERENCE)),
            "Code": {name: f"reference/{name}.md" for name in map(dotted, modules())},
        },
        "Explanation": {
            **titled(*(pages[name] for name in EXPLANATION), "core/README.md"),
            "Decisions": titled(*(f"docs/decisions/{path.name}" for path in decisions)),
        },
        "Project": titled("CONTRIBUTING.md", "CHANGELOG.md"),
    }


def _title(path: Path) -> str:
    """Return the first heading of a document, without its marks of code."""
    heading = re.search(r"^# (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return heading[1].replace("`", "") if heading else path.stem


def settings(entries: Navigation) -> str:
    """Return the settings of Zensical as TOML."""
    return _SETTINGS.format(nav=_toml(entries))


def _toml(entries: Navigation) -> str:
    pairs = (
        f"{{{json.dumps(title)} = {_toml(to) if isinstance(to, Mapping) else json.dumps(to)}}}"
        for title, to in entries.items()
    )
    return f"[{', '.join(pairs)}]"


@dataclass
class Page(HTMLParser):
    """What a page of the site refers to.

    Attributes:
        anchors: Places in the page that a link may name.
        links: Addresses that the page links to.
        loads: Addresses that the page loads.
    """

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note identifiers and addresses of an element."""
        given = {name: value for name, value in attrs if value}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        address = given.get("src") or given.get("href")
        if address and tag in _LOADING and given.get("rel") != "canonical":
            self.loads.append(address)
        elif address and tag == "a":
            self.links.append(address)


def faults(site: Path) -> Iterator[str]:
    """Yield a line for each address of a page that leads nowhere, or is loaded from elsewhere."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    anchors = {path: page.anchors for path, page in pages.items()}
    for path, page in pages.items():
        name = path.relative_to(site)
        for address in page.loads:
            if urlsplit(address).netloc:
                yield f"{name} loads {address}"
        if path.name != "404.html":  # its addresses begin at the root of a server
            for address in (*page.links, *page.loads):
                if not _leads_somewhere(path, address, anchors):
                    yield f"{name} leads to {address}, which is not there"


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


def _leads_somewhere(path: Path, address: str, anchors: Mapping[Path, set[str]]) -> bool:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    place = unquote(parts.fragment)
    return target.is_file() and (not place or place in anchors.get(target, {place}))


def let_search_work_on_a_disk(site: Path) -> None:
    """Write what the search of Zensical looks for where no server gives it the index.

    Browsers start no worker from a file. Zensical's plugin ``offline`` loads a script from another
    host for that: https://zensical.org/docs/setup/offline
    """
    (worker,) = site.glob("assets/javascripts/workers/search.*.js")
    code = json.dumps(worker.read_text("utf-8"))
    blob = f"URL.createObjectURL(new Blob([{code}]))"
    (site / "search.js").write_text(
        f"var __index = {(site / 'search.json').read_text('utf-8')};\n"
        f"Worker = class extends Worker {{ constructor() {{ super({blob}); }} }};\n",
        "utf-8",
    )


def main() -> None:
    """Make the site; end with the faults, if there are any."""
    source, site = BUILD / "site-source", BUILD / "site"
    notebooks = BUILD / "notebooks"
    if not any(notebooks.glob("*.ipynb")):
        raise SystemExit(
            f"{notebooks} has no notebooks with their output: run make notebooks first"
        )
    stage(source, BUILD / "site-python", notebooks)
    shutil.rmtree(site, ignore_errors=True)
    given = BUILD / "zensical.toml"
    given.write_text(settings(navigation(source)), "utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    made = subprocess.run([*command, "--config-file", str(given)], cwd=BUILD)
    if made.returncode:
        raise SystemExit(made.returncode)
    let_search_work_on_a_disk(site)
    if found := list(faults(site)):
        raise SystemExit("\n".join([*found, f"{len(found)} faults in {site}"]))
    print(f"{site / 'index.html'}: {len(list(site.rglob('*.html')))} pages")


if __name__ == "__main__":
    main()
