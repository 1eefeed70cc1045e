"""Reports that people open: one HTML page per run, and the figures on it."""

from k150k_pipeline.reports.page import (
    Drawing,
    Facts,
    Page,
    Section,
    Sum,
    Table,
    Text,
    Tile,
    Tiles,
    attempted,
    duration,
    few,
    published,
    render,
    shortened,
)

__all__ = [
    "Drawing",
    "Facts",
    "Page",
    "Section",
    "Sum",
    "Table",
    "Text",
    "Tile",
    "Tiles",
    "attempted",
    "duration",
    "few",
    "published",
    "render",
    "shortened",
]
