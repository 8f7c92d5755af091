"""The plot of growth, as an SVG that reads in light and in dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent / "growth.svg"

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 380, 260, 60, 40, 50, 80
_STYLE = """
text { font: 12px sans-serif; fill: #24292f } .title { font-weight: bold }
.axis { stroke: #8c959f; fill: none } .line { stroke: #0969da; stroke-dasharray: 5 4; fill: none }
.limit { stroke: #cf222e; stroke-dasharray: 2 4 } .point { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .line { stroke: #58a6ff } .point { fill: #58a6ff }
  .limit { stroke: #ff7b72 }
}"""


def draw_growth(rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws seconds and memory over requests; the line is the first size's pace, drawn on."""
    requests = [row["requests"] / 1000 for row in rows]
    names = [str(row["name"]) for row in rows]
    wall = [row["wall"] for row in rows]
    memory = [row["peak_mb"] for row in rows]
    width = _LEFT + 2 * _WIDTH + _GAP + 90
    height = _TOP + _HEIGHT + _BOTTOM
    FILE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
        f"<style>{_STYLE}</style>"
        + _panel(_LEFT, "seconds", requests, wall, names, pace=wall[0] / requests[0])
        + _panel(_LEFT + _WIDTH + _GAP, "peak memory, MB", requests, memory, names, limit=1024)
        + "</svg>\n"
    )


def _panel(
    left: int,
    title: str,
    xs: Sequence[float],
    ys: Sequence[float],
    names: Sequence[str],
    *,
    pace: float | None = None,
    limit: float | None = None,
) -> str:
    most_x = max(xs) * 1.1
    most_y = max(*ys, limit or 0.0, (pace or 0.0) * max(xs)) * 1.1

    def at(x: float, y: float) -> str:
        return f"{left + x / most_x * _WIDTH:.1f},{_TOP + _HEIGHT * (1 - y / most_y):.1f}"

    parts = [f'<text class="title" x="{left}" y="{_TOP - 18}">{title}</text>']
    parts.append(f'<path class="axis" d="M{at(0, most_y)} L{at(0, 0)} L{at(most_x, 0)}"/>')
    for step in range(5):
        x, y = max(xs) * step / 4, max(ys) * step / 4
        parts.append(_text(at(x, 0), f"{x:.0f}", dy=18, anchor="middle"))
        parts.append(_text(at(0, y), f"{y:,.0f}", dx=-6, dy=4, anchor="end"))
    parts.append(_text(at(max(xs) / 2, 0), "thousand requests", dy=38, anchor="middle"))
    if pace is not None:
        parts.append(f'<path class="line" d="M{at(0, 0)} L{at(max(xs), pace * max(xs))}"/>')
    if limit is not None:
        parts.append(f'<path class="limit" d="M{at(0, limit)} L{at(most_x, limit)}"/>')
    for x, y, name in zip(xs, ys, names, strict=True):
        cx, cy = at(x, y).split(",")
        parts.append(f'<circle class="point" cx="{cx}" cy="{cy}" r="4"/>')
        parts.append(_text(at(x, y), name, dx=7, dy=-6, anchor="start"))
    return "".join(parts)


def _text(at: str, text: str, *, dx: int = 0, dy: int = 0, anchor: str) -> str:
    x, y = at.split(",")
    return f'<text x="{x}" y="{y}" dx="{dx}" dy="{dy}" text-anchor="{anchor}">{text}</text>'
