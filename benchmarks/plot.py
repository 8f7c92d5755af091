"""The plot of growth, as an SVG that reads in light and in dark."""

from __future__ import annotations

import math
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
    """Draws seconds and memory over requests, with a straight line from the least to the most."""
    requests = [row["requests"] / 1000 for row in rows]
    names = [str(row["name"]) for row in rows]
    wall = [row["wall"] for row in rows]
    memory = [row["peak_mb"] for row in rows]
    width = _LEFT + 2 * _WIDTH + _GAP + 90
    height = _TOP + _HEIGHT + _BOTTOM
    FILE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
        f"<style>{_STYLE}</style>"
        + _panel(_LEFT, "seconds", requests, wall, names)
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
    limit: float | None = None,
) -> str:
    most_x, most_y = max(xs) * 1.1, max(*ys, limit or 0.0) * 1.1

    def at(x: float, y: float) -> tuple[float, float]:
        return round(left + x / most_x * _WIDTH, 1), round(_TOP + _HEIGHT * (1 - y / most_y), 1)

    parts = [_text((left, _TOP - 18), title, anchor="start", kind="title")]
    parts.append(_path("axis", at(0, most_y), at(0, 0), at(most_x, 0)))
    parts += [_text(at(x, 0), f"{x:g}", dy=18, anchor="middle") for x in _ticks(most_x)]
    parts += [_text(at(0, y), f"{y:,g}", dx=-6, dy=4, anchor="end") for y in _ticks(most_y)]
    parts.append(_text(at(most_x / 2, 0), "thousand requests", dy=38, anchor="middle"))
    if limit is None:
        low, high = xs.index(min(xs)), xs.index(max(xs))
        parts.append(_path("line", at(xs[low], ys[low]), at(xs[high], ys[high])))
    else:
        parts.append(_path("limit", at(0, limit), at(most_x, limit)))
    for index, name in enumerate(names):
        x, y = at(xs[index], ys[index])
        parts.append(f'<circle class="point" cx="{x}" cy="{y}" r="4"/>')
        # neighbours are named on different sides
        side = ("end", -7) if index % 2 and xs[index] > most_x / 2 else ("start", 7)
        parts.append(_text((x, y), name, anchor=side[0], dx=side[1], dy=-6 if index % 2 else 16))
    return "".join(parts)


def _ticks(most: float) -> list[float]:
    """About five round numbers up to `most`, from 0."""
    rough = most / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = unit * min((1, 2, 5, 10), key=lambda factor: abs(factor * unit - rough))
    return [step * number for number in range(int(most / step) + 1)]


def _path(kind: str, *points: tuple[float, float]) -> str:
    return f'<path class="{kind}" d="M{" L".join(f"{x},{y}" for x, y in points)}"/>'


def _text(
    at: tuple[float, float], text: str, *, dx: int = 0, dy: int = 0, anchor: str, kind: str = "text"
) -> str:
    x, y = at[0] + dx, at[1] + dy
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'
