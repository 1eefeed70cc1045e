"""A model between two nodes: the same bytes as any JSON document, and nothing but that model."""

from __future__ import annotations

import gc
import json
import pickle

import pytest
from kedro.io import DatasetError

from k150k_pipeline.datasets import AtomicJSONDataset, ValidatedJSONDataset
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.fr_from_nr.plan import FrClip, FrPlan

ODD = "ü \udcff\u2028.mp4"
TALLY = Tally(ok=1, failed=2, syncs=3, sync_seconds=0.1)
PLAN = FrPlan(
    corpus="konvid_150k", run_id="r", fingerprint="f", accepted=["g"],
    scoring={"engine": "é", "rules": 1},
    clips={ODD: FrClip(mos=None, sha256=""), "b": FrClip(mos=0.1 + 0.2, sha256="0")},
    due=["b", ODD], attempts={"b": 2}, done_before=0, changed_clips=["b"],
    clips_without_label=["\udcff"], labels_without_clip=[], torn_lines=0, broken_lines=[],
    started_at=1.5e9,
)  # fmt: skip


def dataset(path, model) -> ValidatedJSONDataset:
    return ValidatedJSONDataset(
        filepath=str(path), model=f"{type(model).__module__}.{type(model).__name__}"
    )


@pytest.mark.parametrize("model", [TALLY, PLAN])
def test_what_is_saved_is_loaded_and_is_a_json_document_as_ever(tmp_path, model):
    validated = pickle.loads(pickle.dumps(dataset(tmp_path / "a.json", model)))
    validated.save(model)
    assert validated.load() == model
    AtomicJSONDataset(filepath=str(tmp_path / "b.json")).save(model.model_dump())
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b'{"ok": 1, "fai', "is not JSON"),
        (b"[]", r"does not hold a Tally \(the document: "),
        (
            b'{"ok": 1, "failed": 2, "syncs": 3}',
            r"does not hold a Tally \(sync_seconds: Field required\)",
        ),
        (
            b'{"ok": 1.5, "failed": 2, "syncs": 3, "sync_seconds": 0}',
            r"does not hold a Tally \(ok: ",
        ),
        (json.dumps({**TALLY.model_dump(), "more": 1}).encode(), r"does not hold a Tally \(more: "),
    ],
)
def test_anything_else_is_one_error_that_names_the_file(tmp_path, content, message):
    path = tmp_path / "tally.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"tally\.json {message}.*run the whole pipeline"):
        dataset(path, TALLY).load()
    assert gc.isenabled()


@pytest.mark.parametrize("data", [PLAN, TALLY.model_dump(), None])
def test_another_class_is_not_saved(tmp_path, data):
    with pytest.raises(DatasetError):
        dataset(tmp_path / "a.json", TALLY).save(data)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "model",
    ["Tally", "k150k_pipeline.Tally", "k150k_pipline.x.Tally", "json.dumps", "builtins.int"],
)
def test_a_mistyped_model_is_refused_when_the_catalog_is_read(tmp_path, model):
    with pytest.raises(DatasetError, match=f"model: {model} "):
        ValidatedJSONDataset(filepath=str(tmp_path / "a.json"), model=model)
