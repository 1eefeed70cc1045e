"""Explanations of the parameters: their meaning, the values allowed, and mistakes in values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import get_annotations
from typing import Any

from pydantic import ValidationError

from k150k_pipeline.schemas.blocks import BLOCKS
from k150k_pipeline.schemas.parameters import Parameters

_LONGEST_VALUE = 60
_NOUNS = {
    "integer": ("whole number", "whole numbers"),
    "number": ("number", "numbers"),
    "string": ("text", "texts"),
    "path": ("path", "paths"),
}


@dataclass(frozen=True)
class Leaf:
    """One parameter.

    Attributes:
        name: Its name with its blocks, such as ``ingest.download.attempts``.
        default: Its default, as the model has it.
        schema: Its JSON schema.
    """

    name: str
    default: Any
    schema: Mapping[str, Any]

    @property
    def allowed(self) -> str:
        """The values allowed, from the type."""
        return allowed(self.schema)

    @property
    def explanation(self) -> str:
        """Meaning, and when to change it, on one line; empty if the model has none."""
        return " ".join(self.schema.get("description", "").split())


def members(block: Parameters) -> dict[str, Any]:
    """Return a block's parameters and inner blocks by name, inherited ones last."""
    own = get_annotations(type(block))
    names = sorted(type(block).model_fields, key=lambda name: name not in own)
    return {name: getattr(block, name) for name in names}


def nested_blocks(name: str, block: Parameters) -> Iterator[tuple[str, Parameters]]:
    """Yield a block and the blocks inside it, each with its full name."""
    yield name, block
    for key, value in members(block).items():
        if isinstance(value, Parameters):
            yield from nested_blocks(f"{name}.{key}", value)


def leaves(name: str, block: Parameters) -> list[Leaf]:
    """Return the parameters of a block, without those of the blocks inside it."""
    schemas = type(block).model_json_schema()["properties"]
    return [
        Leaf(f"{name}.{key}", value, schemas[key])
        for key, value in members(block).items()
        if not isinstance(value, Parameters)
    ]


def allowed(schema: Mapping[str, Any], *, many: bool = False) -> str:
    """Describe the values that a JSON schema allows: ``whole number from 1 to 64, or null``."""
    if "anyOf" in schema:
        return ", or ".join(allowed(choice, many=many) for choice in schema["anyOf"])
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return _either(choices)
    if schema["type"] == "array":
        return _allowed_list(schema, "lists" if many else "list")
    if schema["type"] == "boolean":
        return "true or false"
    if schema["type"] == "null":
        return "null"
    noun = _NOUNS[schema.get("format", schema["type"])][many]
    unit = f" ({schema['unit']})" if "unit" in schema else ""
    return f"{noun}{_bounds(schema)}{unit}"


def _allowed_list(schema: Mapping[str, Any], noun: str) -> str:
    if "prefixItems" in schema:
        items = [allowed(item) for item in schema["prefixItems"]]
        return f"{noun} of {len(items)} ({', '.join(items)})"
    items_allowed = allowed(schema["items"], many=True)
    if "enum" in schema["items"]:
        items_allowed = f"({items_allowed})"
    least = schema.get("minItems")
    return " ".join([noun, "of", *([f"at least {least}"] if least else []), items_allowed])


def _bounds(schema: Mapping[str, Any]) -> str:
    if schema.get("minLength"):
        return " that is not empty"
    low, above, high, below = (
        f"{schema[key]:.15g}" if key in schema else ""
        for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    )
    if low:
        return f" from {low} to {high}" if high else f" of {low} or more"
    ends = [f" above {above}" if above else "", f" up to {high}" if high else ""]
    return "".join([*ends, f" and below {below}" if below else ""])


def _either(choices: Sequence[object]) -> str:
    *others, last = map(str, choices)
    return f"{', '.join(others)} or {last}" if others else last


def explain_parameters(parameters: Mapping[str, Any]) -> list[str]:
    """Return one line for each mistake in the parameter blocks.

    All blocks are checked, also those of pipelines that do not run. Unknown names of blocks are
    for the caller to check.

    Args:
        parameters: Raw parameters by block, as Kedro's configuration loader returns them.
    """
    return [
        line
        for name, model in BLOCKS.items()
        if name in parameters
        for line in _explain_block(name, model, parameters[name])
    ]


def _explain_block(name: str, model: type[Parameters], values: Any) -> list[str]:
    if not isinstance(values, Mapping):
        return [_not_a_block(name, values)]
    lines: dict[str, str] = {}
    try:
        model.model_validate(values)
    except ValidationError as error:
        for mistake in error.errors(include_url=False):
            parameter, line = _explain(name, model, mistake)
            lines.setdefault(parameter, line)
    return list(lines.values())


def _explain(block: str, model: type[Parameters], mistake: Mapping[str, Any]) -> tuple[str, str]:
    """Return the parameter of one of pydantic's errors, and a line on the mistake.

    The error's location names the blocks, then the parameter, then an item of a list.
    """
    name = block
    for key in map(str, mistake["loc"]):
        known = model.model_fields
        if key not in known:
            return f"{name}.{key}", _unknown(name, key, list(known))
        name, inner = f"{name}.{key}", known[key].annotation
        if not (isinstance(inner, type) and issubclass(inner, Parameters)):
            schema = model.model_json_schema()["properties"][key]
            return name, _not_allowed(name, schema, mistake)
        model = inner
    return name, _not_allowed(name, None, mistake)


def _not_allowed(name: str, schema: Mapping[str, Any] | None, mistake: Mapping[str, Any]) -> str:
    if mistake["type"] == "value_error":
        return f"{name}: {mistake['ctx']['error']}"
    if schema is None:
        return _not_a_block(name, mistake["input"])
    return f"{name}: {_as_yaml(mistake['input'])} is not allowed. Allowed: {allowed(schema)}"


def _not_a_block(name: str, value: Any) -> str:
    return (
        f"{name}: {_as_yaml(value)} is not a block of parameters. "
        f"Give one of its parameters, such as {name}.{_first(name)}, or leave {name} out"
    )


def _first(name: str) -> str:
    return next(key for block, key in _all_members() if block == name)


def _unknown(block: str, key: str, known: Sequence[str]) -> str:
    """Return the line for a name that a block does not have.

    The same name in another block is suggested before a similar name in this block.
    """
    elsewhere = [f"{other}.{name}" for other, name in _all_members() if name == key]
    spelled = key.lower().replace("-", "_")
    near = [f"{block}.{name}" for name in get_close_matches(spelled, known, n=1)]
    if suggestions := elsewhere or near:
        return f"{block}.{key} is unknown. Did you mean {_either(suggestions)}?"
    return f"{block}.{key} is unknown. Block {block} has {', '.join(known)}"


def _all_members() -> Iterator[tuple[str, str]]:
    """Yield the name of every block with the name of each of its members."""
    for name, model in BLOCKS.items():
        for block, defaults in nested_blocks(name, model()):
            for key in members(defaults):
                yield block, key


def _as_yaml(value: object) -> str:
    """Return a value as YAML shows it, shortened."""
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
