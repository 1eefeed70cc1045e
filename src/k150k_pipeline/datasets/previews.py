"""Kinds of preview; kedro-viz recognises them by the name of ``preview``'s return type."""

from __future__ import annotations

from typing import Any, NewType

NOT_MADE = "not made yet"
"""What the preview of a file shows before its path, while no run has made it."""

JSONPreview = NewType("JSONPreview", str)
"""A JSON document."""

PlotlyPreview = NewType("PlotlyPreview", dict[str, Any])
"""A figure in plotly's JSON form."""

TablePreview = NewType("TablePreview", dict[str, Any])
"""``index``, ``columns`` and ``data`` of the first rows."""
