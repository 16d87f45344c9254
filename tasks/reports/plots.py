"""Plots of values by day, as SVG that stands in a page and needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 960, 150
_LEFT, _TOP, _BOTTOM = 64, 8, 22
_TICKS = 4
#: The least distance of two labels below the plot, in units of the drawing.
_LABEL_WIDTH = 56


def bars(
    values: Mapping[date, float],
    span: Sequence[date],
    label: Callable[[float], str],
    *,
    cap: float | None = None,
) -> str:
    """Return a bar chart with one bar a day.

    Args:
        values: the value of each day; a day that is not named has none.
        span: every day of the horizontal axis, in order.
        label: writes a value for the axis and for the bars' titles.
        cap: a limit to draw as a line.
    """
    top = _nice(max([*values.values(), cap or 0, 1]))
    wide = (_WIDTH - _LEFT) / max(len(span), 1)
    drawn = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        *_axis(top, label),
        *_days(span, wide),
    ]
    for number, day in enumerate(span):
        if values.get(day):
            tall = _tall(values[day], top)
            drawn.append(
                f'<rect x="{_LEFT + number * wide:.2f}" y="{_base() - tall:.2f}" '
                f'width="{max(wide - 1, wide * 0.8):.2f}" height="{tall:.2f}">'
                f"<title>{day}: {escape(label(values[day]))}</title></rect>"
            )
    if cap is not None:
        y = _base() - _tall(cap, top)
        drawn.append(
            f'<line class="cap" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.2f}" y2="{y:.2f}">'
            f"<title>cap: {escape(label(cap))} a day</title></line>"
        )
    return "".join([*drawn, "</svg>"])


def sparkline(values: Sequence[float]) -> str:
    """Return a small line without axes, 120 by 20 units; empty for fewer than two values."""
    if len(values) < 2:
        return ""
    top = max([*values, 1])
    points = " ".join(
        f"{number * 120 / (len(values) - 1):.1f},{19 - 18 * value / top:.1f}"
        for number, value in enumerate(values)
    )
    return f'<svg class="spark" viewBox="0 0 120 20"><polyline points="{points}"/></svg>'


def _axis(top: float, label: Callable[[float], str]) -> list[str]:
    lines = []
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = _base() - _tall(value, top)
        lines.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 3:.1f}" text-anchor="end">{escape(label(value))}</text>'
        )
    return lines


def _days(span: Sequence[date], wide: float) -> list[str]:
    """Label days below the plot: every day if there is room, else Mondays, else months."""
    every = math.ceil(_LABEL_WIDTH / wide)
    chosen: Callable[[date], bool]
    if every <= 1:
        chosen = lambda _: True  # noqa: E731
    elif every <= 7:
        chosen = lambda day: day.weekday() == 0  # noqa: E731
    else:
        months = max(1, math.ceil(every / 30))
        chosen = lambda day: day.day == 1 and day.month % months == 0  # noqa: E731
    return [
        f'<text x="{_LEFT + number * wide:.1f}" y="{_HEIGHT - 6}">{day.isoformat()}</text>'
        for number, day in enumerate(span)
        if chosen(day) and _LEFT + number * wide < _WIDTH - _LABEL_WIDTH
    ]


def _base() -> float:
    return _HEIGHT - _BOTTOM


def _tall(value: float, top: float) -> float:
    return (_base() - _TOP) * value / top


def _nice(most: float) -> float:
    """Return a round number of at least ``most``: 1, 2, 4 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * factor for factor in (1, 2, 4, 8, 10) if power * factor >= most)
