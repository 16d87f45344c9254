"""Plots for docs/speed.md: bars as SVG, with the lowest and highest of each as a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .measurement import Row, Samples

_WIDTH, _LEFT, _RIGHT = 760, 290, 100
_TOP, _BAR, _GAP = 54, 20, 10
_OURS, _PEER, _INK = "#2f6f8f", "#b8b8b8", "#333333"


@dataclass(frozen=True)
class Bar:
    """One bar of a plot."""

    name: str
    samples: Samples
    is_ours: bool


def shared_bars(rows: Sequence[Row]) -> list[Bar]:
    """Return a bar for ours of each row, named by what its name has in brackets, and one for each
    peer, which is the same beside all of them; the longest first.
    """
    bars: dict[str, Bar] = {}
    for row in rows:
        ours = f"Earwitness {row.what[row.what.find('(') :]}"
        _add(bars, Bar(ours, row.ours, is_ours=True) if row.ours else None)
        _add(bars, Bar(row.than, row.peer, is_ours=False) if row.peer else None)
    return sorted(bars.values(), key=lambda bar: bar.samples.median, reverse=True)


def paired_bars(rows: Sequence[Row]) -> list[Bar]:
    """Return two bars for each row, ours and the peer's, in the order of the rows."""
    bars: dict[str, Bar] = {}
    for row in rows:
        _add(bars, Bar(row.what, row.ours, is_ours=True) if row.ours else None)
        peer = Bar(f"{row.what}: the programs", row.peer, is_ours=False) if row.peer else None
        _add(bars, peer)
    return list(bars.values())


def _add(bars: dict[str, Bar], bar: Bar | None) -> None:
    if bar is not None:
        bars.setdefault(bar.name, bar)


def svg(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """Return a plot as the text of an SVG file. ``bars`` has at least one."""
    height = _TOP + len(bars) * (_BAR + _GAP) + _GAP
    scale = (_WIDTH - _LEFT - _RIGHT) / max(bar.samples.high for bar in bars)
    size = f'width="{_WIDTH}" height="{height}"'
    box = f'viewBox="0 0 {_WIDTH} {height}" {size}'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect {size} fill="#ffffff"/>',
        _text(12, 26, title, size=16),
    ]
    for number, bar in enumerate(bars):
        lines += _bar(_TOP + number * (_BAR + _GAP), bar, scale, unit)
    return "\n".join([*lines, "</svg>", ""])


def _bar(top: int, bar: Bar, scale: float, unit: str) -> list[str]:
    median, low, high = (
        _LEFT + value * scale for value in (bar.samples.median, bar.samples.low, bar.samples.high)
    )
    middle = top + _BAR / 2
    colour = _OURS if bar.is_ours else _PEER
    size = f'width="{median - _LEFT:.1f}" height="{_BAR}"'
    ends = f"M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"
    return [
        _text(_LEFT - 8, top + 15, bar.name, anchor="end"),
        f'<rect x="{_LEFT}" y="{top}" {size} fill="{colour}"/>',
        f'<path d="M{low:.1f} {middle}H{high:.1f}{ends}" stroke="{_INK}" fill="none"/>',
        _text(max(median, high) + 8, top + 15, f"{bar.samples.median:.3g} {unit}"),
    ]


def _text(x: float, y: float, text: str, *, size: int = 13, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{_INK}">{escape(text)}</text>'
    )
