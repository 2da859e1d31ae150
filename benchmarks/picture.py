"""Cost against rows as a picture: CPU seconds, memory and API calls of each work, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

Costs = Mapping[str, Mapping[int, float]]
"""By work, then by rows."""

_COLOURS: Final = ("#0b6bcb", "#c2410c", "#15803d", "#7e22ce", "#525252", "#0e7490", "#be123c")
_WIDTH: Final = 300
_HEIGHT: Final = 220
_LEFT: Final = 50
_GAP: Final = 35
_TOP: Final = 30


def draw(path: Path, panels: Mapping[str, Costs]) -> None:
    """Write an SVG with a panel for each kind of cost, and one legend."""
    works = list(next(iter(panels.values())))
    width = len(panels) * (_WIDTH + _LEFT + _GAP)
    height = _TOP + _HEIGHT + 40 + 18 * math.ceil(len(works) / 3)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, (title, costs) in enumerate(panels.items()):
        parts += _panel(number * (_WIDTH + _LEFT + _GAP) + _LEFT, title, costs)
    for number, work in enumerate(works):
        x, y = _LEFT + number % 3 * 330, _TOP + _HEIGHT + 50 + number // 3 * 18
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{x + 16}" y="{y}">{escape(work)}</text>')
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _panel(left: float, title: str, costs: Costs) -> list[str]:
    rows = sorted({each for by_rows in costs.values() for each in by_rows})
    # What is nothing, as memory above idle may be, is drawn at the bottom.
    found = [cost for by_rows in costs.values() for cost in by_rows.values() if cost > 0]
    low, high = _decades(found)
    first, last = math.log10(rows[0]), math.log10(rows[-1])

    def x(count: int) -> float:
        return left + _WIDTH * (math.log10(count) - first) / ((last - first) or 1)

    def y(cost: float) -> float:
        return _TOP + _HEIGHT * (1 - (math.log10(max(cost, 10.0**low)) - low) / (high - low))

    parts = [f'<text x="{left}" y="{_TOP - 12}" font-weight="bold">{escape(title)}</text>']
    for decade in range(low, high + 1):
        at = y(10.0**decade)
        parts.append(f'<line x1="{left}" x2="{left + _WIDTH}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**decade:g}</text>')
    for count in rows:
        parts.append(f'<text x="{x(count):.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{count:,}</text>')
    for number, by_rows in enumerate(costs.values()):
        points = " ".join(f"{x(count):.1f},{y(by_rows[count]):.1f}" for count in sorted(by_rows))
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return parts


def _decades(costs: Sequence[float]) -> tuple[int, int]:
    low = math.floor(math.log10(min(costs, default=1)))
    return low, max(low + 1, math.ceil(math.log10(max(costs, default=1))))
