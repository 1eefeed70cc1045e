"""What ``extract-status`` and its like report."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from k150k_pipeline.datasets import JournalDataset
from k150k_pipeline.journal import Journal
from k150k_pipeline.status import KINDS, _entries, describe_runs, status_command


@pytest.fixture
def datasets(tmp_path):
    return [
        JournalDataset(
            path=str(tmp_path / f"{name}_journal"), output={"filepath": f"/{name}.parquet"}
        )
        for name in ("a", "b", "c")
    ]


def announce(dataset: JournalDataset, started_at: float, wanted: int) -> Journal:
    run = {"started_at": started_at, "wanted": wanted, "due": wanted, "flush_every": 1}
    dataset.journal.announce(run)
    return dataset.journal


def test_every_announced_run_is_reported_the_latest_first(datasets):
    announce(datasets[0], 100.0, 7)
    with announce(datasets[2], 200.0, 9).writer(0, "f", {}) as writer:
        writer.ok("x.mp4", 1, 0.1, {})
    reported = describe_runs(datasets)
    assert reported.index("/c.parquet") < reported.index("/a.parquet")
    assert "wanted 9, done 1, failed attempts 0, due 8" in reported
    assert "wanted 7, done 0" in reported and "/b.parquet" not in reported


def test_without_a_run_every_folder_is_named(datasets, tmp_path):
    folders = " or ".join(str(tmp_path / f"{name}_journal") for name in ("a", "b", "c"))
    assert describe_runs(datasets) == f"No run has begun in {folders}"


@pytest.mark.parametrize(
    ("command", "params", "entries"),
    [
        ("extract-status", {}, 4),
        ("extract-status", {"extract": {"limit": 3}, "journal": "/j"}, 4),
        ("extract-status", {"extract": "nonsense"}, 4),
        ("ingest-status", {"extract": {"corpus": "k150kb"}}, 2),
        ("extract-status", {"extract": {"corpus": "konvid-1k"}}, ["konvid_1k_journal"]),
        ("ingest-status", {"ingest": {"corpus": "konvid-1k"}}, ["konvid_1k_ingest_journal"]),
        ("fr-status", {"fr_from_nr": {"corpus": "konvid_150k"}}, ["k150k_fr_journal"]),
    ],
)
def test_params_name_one_corpus_or_all_are_meant(command, params, entries):
    found = _entries(KINDS[command], params)
    assert (len(found) if isinstance(entries, int) else found) == entries


def test_a_corpus_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(click.BadParameter, match=r"k150kc is not one of k150ka, k150kb, konvid"):
        _entries(KINDS["extract-status"], {"extract": {"corpus": "k150kc"}})


@pytest.mark.parametrize("name", list(KINDS))
def test_help_names_the_options_of_run(name):
    text = CliRunner().invoke(status_command(name), ["--help"]).output
    assert all(option in text for option in ("--env", "--conf-source", "--params"))
