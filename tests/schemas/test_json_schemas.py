"""The JSON Schemas in docs accept and refuse what the row models do."""

from __future__ import annotations

import json
import runpy
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

from k150k_pipeline.schemas.corpus import CorpusRow
from k150k_pipeline.schemas.fr import FR_COLUMNS, FrRow
from tests.conftest import CHECKOUT

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

DOCUMENTS = runpy.run_path(str(CHECKOUT / "scripts/write_schemas.py"))["documents"]()
TIME = "2030-01-01T12:00:00+00:00"
CORPUS_ROW: dict[str, Any] = {
    "src": "0001.mp4",
    "src_sha256": "ab" * 32,
    "src_size_bytes": 4321987,
    "width": 960,
    "height": 540,
    "framerate": 30.0,
    "duration_s": 8.0,
    "pix_fmt": "yuv420p",
    "encoder_upstream": "h264",
    "mos": 3.4,
    "mos_std_dev": 0.5,
    "n_ratings": 7,
    "corpus": "konvid-150k",
    "corpus_version": "konvid-150k-2019",
    "ingested_at_utc": TIME,
}
_TEXTS = (
    "encoder encoder_version preset extra_params encode_path vmaf_model ffmpeg_version "
    "vmaf_binary_version hdr_transfer hdr_primaries"
)
_KNOWN = {
    "schema_version": 3,
    "run_id": "r",
    "timestamp": TIME,
    "src_sha256": "ab" * 32,
    "pix_fmt": "yuv420p",
    "exit_status": 0,
    "clip_mode": "full",
    "hdr_forced": False,
    "nr_source": "0001.mp4",
    "src": "0001.mp4",
    "fr_from_nr": True,
    **dict.fromkeys(_TEXTS.split(), "x"),
}
FR_ROW: dict[str, Any] = {key: _KNOWN.get(key, 2) for key in FR_COLUMNS}
MODELS = [
    (CorpusRow, "corpus.schema.json", CORPUS_ROW),
    (FrRow, "fr_corpus.schema.json", FR_ROW),
]
WRONG = ("", -1, 7.5, 0, 101, None, [], "yuv411p", "2030-01-01", True)


def schema(name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # it takes two seconds

    document = json.loads((CHECKOUT / "docs/schemas" / name).read_text("utf-8"))
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def is_row(model: type[BaseModel], row: dict[str, Any]) -> bool:
    try:
        model.model_validate_json(json.dumps(row), strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_schemas_are_fresh(path):
    assert (CHECKOUT / path).read_text("utf-8") == DOCUMENTS[path], "run make docs"


def test_there_is_no_other_schema():
    assert set((CHECKOUT / "docs/schemas").iterdir()) == {CHECKOUT / path for path in DOCUMENTS}


@pytest.mark.parametrize(("model", "name", "row"), MODELS, ids=("corpus", "fr"))
def test_schema_and_model_agree_on_every_value(model, name, row):
    described = schema(name)
    assert described.is_valid(row) and is_row(model, row)
    refused = 0
    for key in row:
        for value in WRONG:
            changed = {**row, key: value}
            assert described.is_valid(changed) == is_row(model, changed), (key, value)
            refused += not described.is_valid(changed)
    assert refused > 2 * len(row)


@pytest.mark.parametrize(("model", "name", "row"), MODELS, ids=("corpus", "fr"))
def test_no_key_may_be_absent_and_none_is_added(model, name, row):
    described = schema(name)
    for key in row:
        less = {other: row[other] for other in row if other != key}
        assert not described.is_valid(less) and not is_row(model, less)
    assert not described.is_valid({**row, "more": 1}) and not is_row(model, {**row, "more": 1})


def test_every_key_of_the_corpus_is_explained():
    properties = schema("corpus.schema.json").schema["properties"]
    assert all(value["description"].endswith(".") for value in properties.values())
