"""Write docs/parameters.md and conf/base/parameters*.yml from the parameter models.

Usage: ``make docs``. Paths of the catalog are no parameters; they are written by hand in
``parameters.template.md`` beside this file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from inspect import getdoc
from pathlib import Path
from textwrap import fill
from typing import Any

from omegaconf import OmegaConf

from k150k_pipeline.schemas.blocks import BLOCKS
from k150k_pipeline.schemas.encoders import ENCODER_LIMITS
from k150k_pipeline.schemas.explain import Leaf, leaves, members, nested_blocks
from k150k_pipeline.schemas.parameters import Parameters

PROJECT = Path(__file__).resolve().parents[1]
DOCUMENT = Path("docs/parameters.md")
TEMPLATE = Path("scripts/parameters.template.md")
SAMPLE = Path("conf/sample/parameters.yml")

_MADE = "Made by make docs from src/k150k_pipeline/schemas"
_COMMENT_COLUMN = 32
_PLAIN_TEXT = re.compile(r"(?!(?:null|true|false|yes|no|on|off)$)[A-Za-z./][\w./-]*", re.IGNORECASE)
_ADVICE = re.compile(r"(?:^|(?<=[.?!] ))(?=(?:Change|Leave|Give) it\b)")


def documents() -> dict[Path, str]:
    """Return the text of every generated file, by its path in the project."""
    return {DOCUMENT: _reference(), **{_yaml_path(name): _yaml(name) for name in BLOCKS}}


def _yaml_path(block: str) -> Path:
    name = "parameters.yml" if block == "vmaf" else f"parameters_{block}.yml"
    return Path("conf/base") / name


def _yaml(block: str) -> str:
    made = f"# {_MADE}; explained in {DOCUMENT}"
    return "\n".join([made, f"{block}:", *_yaml_lines(block, BLOCKS[block](), "  "), ""])


def _yaml_lines(name: str, block: Parameters, indent: str) -> Iterator[str]:
    known = {leaf.name: leaf for leaf in leaves(name, block)}
    for key, value in members(block).items():
        if isinstance(value, Parameters):
            yield f"{indent}{key}:"
            yield from _yaml_lines(f"{name}.{key}", value, f"{indent}  ")
        else:
            setting = f"{indent}{key}: {spell(value)}"
            yield f"{setting:<{_COMMENT_COLUMN}} # {_comment(known[f'{name}.{key}'])}"


def _comment(leaf: Leaf) -> str:
    """Return the choices of a parameter if it has any, else the first sentence about it."""
    parts = leaf.schema.get("anyOf", [leaf.schema])
    if choices := [choice for part in parts for choice in part.get("enum", [])]:
        return " | ".join([*choices, "null"] if leaf.default is None else choices)
    return leaf.explanation.split(". ")[0].removesuffix(".").replace("``", "")


def spell(value: Any) -> str:
    """Return a default as it is written in YAML."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(spell, value))}]"
    if isinstance(value, Path) or (isinstance(value, str) and _PLAIN_TEXT.fullmatch(value)):
        return str(value)
    return json.dumps(value)


def _reference() -> str:
    template = (PROJECT / TEMPLATE).read_text(encoding="utf-8")
    sections = [
        section
        for name, model in BLOCKS.items()
        for inner, block in nested_blocks(name, model())
        for section in _section(inner, block)
    ]
    return f"<!-- {_MADE} and {TEMPLATE} -->\n\n" + template.format(blocks="\n\n".join(sections))


def _section(name: str, block: Parameters) -> Iterator[str]:
    """Yield heading, table and notes of a block."""
    summary, _, notes = (getdoc(type(block)) or "").partition("\n\n")
    title = _markdown(summary).removeprefix(f"Block `{name}`: ").removesuffix(".")
    level = "###" if "." in name else "##"
    yield f"{level} Block `{name}`: {title[0].lower()}{title[1:]}"
    if known := leaves(name, block):
        yield _table(known)
    if notes:
        yield fill(_markdown(notes), 112, break_on_hyphens=False, break_long_words=False)
    if name == "fr_from_nr":
        yield _encoders()


def _table(known: list[Leaf]) -> str:
    sample = _flat(OmegaConf.to_container(OmegaConf.load(PROJECT / SAMPLE)))
    rows = ["| Name | Meaning | Allowed | Default | Change it |", "|---|---|---|---|---|"]
    for leaf in known:
        meaning, advice = _meaning_and_advice(leaf)
        short = leaf.name.rsplit(".", 1)[1]
        default = _default(leaf, sample)
        rows.append(f"| `{short}` | {meaning} | {leaf.allowed} | {default} | {advice} |")
    return "\n".join(rows)


def _meaning_and_advice(leaf: Leaf) -> tuple[str, str]:
    text = _markdown(leaf.explanation)
    meaning, *advice = _ADVICE.split(text, maxsplit=1)
    return meaning.strip(), "".join(advice).removeprefix("Change it ")


def _default(leaf: Leaf, sample: Mapping[str, Any]) -> str:
    default = spell(leaf.default)
    in_sample = _spell_plain(sample.get(leaf.name, leaf.default))
    return f"`{default}`" + ("" if in_sample == default else f"; `{in_sample}` in `conf/sample`")


def _spell_plain(value: Any) -> str:
    return spell(tuple(value) if isinstance(value, list) else value)


def _flat(values: Any, name: str = "") -> dict[str, Any]:
    """Return nested values by their whole names."""
    if not isinstance(values, dict):
        return {name: values}
    inner = (_flat(value, f"{name}.{key}".lstrip(".")) for key, value in values.items())
    return {leaf: value for found in inner for leaf, value in found.items()}


def _encoders() -> str:
    rows = ["| Encoder | Presets | CRF |", "|---|---|---|"]
    for name, limits in ENCODER_LIMITS.items():
        presets = limits.presets
        spelled = f"{presets[0]}–{presets[-1]}" if presets[0].isdigit() else ", ".join(presets)
        rows.append(f"| `{name}` | {spelled} | {limits.lowest_crf}–{limits.highest_crf} |")
    return "\n".join(rows)


def _markdown(text: str) -> str:
    """Turn a docstring into Markdown for a document in docs."""
    one_line = " ".join(text.replace("``", "`").split())
    return re.sub(r"\bdocs/(\w+\.md)", r"[\1](\1)", one_line)


if __name__ == "__main__":
    for path, content in documents().items():
        (PROJECT / path).write_text(content, encoding="utf-8")
