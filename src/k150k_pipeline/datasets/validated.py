"""A pydantic model that one node returns and another takes, saved as a JSON document."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kedro.io import DatasetError
from kedro.utils import load_obj
from pydantic import BaseModel, ValidationError

from k150k_pipeline.datasets.atomic import AtomicFileDataset
from k150k_pipeline.datasets.previews import NOT_MADE, JSONPreview
from k150k_pipeline.datasets.saving import current, unwritable_as_dataset_error
from k150k_pipeline.durable import write_json

_REMEDY = "run the whole pipeline, not some of its nodes, to make it anew"


class ValidatedJSONDataset(AtomicFileDataset):
    """A JSON document that holds one pydantic model, validated when it is loaded.

    Args:
        filepath: The file.
        model: Class of the model, as ``package.module.Class``.
    """

    def __init__(
        self, *, filepath: str, model: str, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._model = _find_model(model)

    def load(self) -> BaseModel:
        """Return the model.

        Raises:
            DatasetError: The file does not exist, or does not hold the model.
        """
        # Not model_validate_json: its parser refuses file names that are not UTF-8.
        try:
            with _collector_paused():
                return self._model.model_validate(self._document())
        except FileNotFoundError as error:
            raise DatasetError(f"{self._filepath} does not exist: {_REMEDY}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the document"
            problem = f"does not hold a {self._model.__name__} ({place}: {first['msg']})"
            raise DatasetError(f"{self._filepath} {problem}: {_REMEDY}") from error
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{self._filepath} is not JSON ({error}): {_REMEDY}") from error

    def _document(self) -> Any:
        return json.loads(current(self._filepath).read_text("utf-8"))

    @unwritable_as_dataset_error()
    def save(self, data: BaseModel) -> None:
        """Replace the file by a model.

        Raises:
            DatasetError: The model is of another class.
        """
        if type(data) is not self._model:
            raise DatasetError(
                f"{self._filepath} takes a {self._model.__name__}, not a {type(data).__name__}"
            )
        write_json(self._filepath, data.model_dump())

    def preview(self) -> JSONPreview:
        """Return the document for kedro-viz."""
        if not self._exists():
            return JSONPreview(json.dumps({NOT_MADE: str(self._filepath)}))
        return JSONPreview(json.dumps(self.load().model_dump()))

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "model": self._model.__name__}


def _find_model(path: str) -> type[BaseModel]:
    try:
        model = load_obj(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise DatasetError(f"model: {path} cannot be imported: {error}") from error
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise DatasetError(f"model: {path} is not a pydantic model: name another in the catalog")
    return model


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which would scan a plan of all clips again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
