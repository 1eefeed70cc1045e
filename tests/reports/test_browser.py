"""A page in a real browser: every figure is drawn, nothing is logged."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from k150k_pipeline.reports import Drawing, Page, Section, render
from k150k_pipeline.reports.figures import Panel, binned, density, finite_of, multiples

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed"),
]


def test_a_browser_draws_every_figure_and_reports_no_error(tmp_path):
    values = finite_of(range(20))
    drawings = [
        Drawing("density", "t", "h", density(values, values, "x", "y")),
        Drawing("panels", "t", "h", multiples([Panel("p", binned(values), "x", "y")])),
    ]
    (tmp_path / "page.html").write_text(render(Page("t", "s", [Section("f", drawings)])))
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command = [
        BROWSER, *quiet, "--disable-component-update", "--disable-sync", "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
        "--virtual-time-budget=20000", "--dump-dom", (tmp_path / "page.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert 'data-drawn="2"' in done.stdout
    assert len(re.findall(r'class="main-svg"', done.stdout)) >= 2
    assert "CONSOLE" not in done.stderr
