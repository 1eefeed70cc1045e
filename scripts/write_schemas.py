"""Write the JSON Schemas of a line of both JSONL files from the row models: ``make docs``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from inspect import getdoc
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from k150k_pipeline.schemas.corpus import CorpusRow
from k150k_pipeline.schemas.fr import CAVEAT, FrRow

PROJECT = Path(__file__).resolve().parents[1]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ORDER = "Keys are written in the order of `properties`. Made by make docs from the row model."
_MEANINGS = "docs/fr_from_nr.md has the meaning of each key."
_ATTRIBUTE = re.compile(r"^ {4}(\w+): ((?:.+\n?)(?: {8}.+\n?)*)", re.MULTILINE)


def documents() -> dict[Path, str]:
    """Return the text of every schema, by its path in the project."""
    folder = Path("docs/schemas")
    of_fr = _text(FrRow, "A line of the FR corpus", CAVEAT, _MEANINGS, _ORDER)
    return {
        folder / "corpus.schema.json": _text(CorpusRow, "A line of a MOS corpus", _ORDER),
        folder / "fr_corpus.schema.json": of_fr,
    }


def _text(model: type[BaseModel], title: str, *sentences: str) -> str:
    schema = model.model_json_schema()
    head = {"$schema": _DIALECT, "title": title, "description": " ".join(sentences)}
    known = _explanations(model)
    properties = {
        key: _property(value, known.get(key)) for key, value in schema["properties"].items()
    }
    document = {**head, **schema, **head, "properties": properties}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _property(schema: Mapping[str, Any], explanation: str | None) -> dict[str, Any]:
    """Return a property without the title that pydantic makes of its name."""
    plain = {key: value for key, value in schema.items() if key != "title"}
    return plain if explanation is None else {"description": explanation, **plain}


def _explanations(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstring of a model has under ``Attributes``, by field."""
    _, _, attributes = (getdoc(model) or "").partition("Attributes:\n")
    found = _ATTRIBUTE.findall(attributes)
    return {name: " ".join(text.replace("``", "`").split()) for name, text in found}


if __name__ == "__main__":
    for path, content in documents().items():
        (PROJECT / path).parent.mkdir(exist_ok=True)
        (PROJECT / path).write_text(content, encoding="utf-8")
