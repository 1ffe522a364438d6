"""Pictures of the saved results: throughput, CPU and memory against scale."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.results import Measurement

SALT = "mediagate"
"""Without it, names within a picture would be others each time."""
SIZE = (7.0, 2.6)
ROOM = 1.1
Panel = tuple[str, Callable[[Measurement], float]]

RATE: Panel = ("uploads a second", lambda each: each.rate)
CPU: Panel = ("CPU s per 10,000 uploads", lambda each: each.cpu_seconds_per_10k)
MEMORY: Panel = ("RSS, MiB", lambda each: each.peak_rss_mib)
PLOTS: Mapping[str, tuple[str, tuple[Panel, Panel]]] = {
    "workers": ("workers", (RATE, CPU)),
    "backlog": ("uploads decided", (RATE, MEMORY)),
}
"""By area: what grows, and what is shown against it."""


def draw(areas: Mapping[str, Sequence[Measurement]], directory: Path) -> list[Path]:
    """Writes one SVG an area that was measured; the same bytes for the same figures."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    with mpl.rc_context({"svg.hashsalt": SALT, "svg.fonttype": "none", "font.size": 9.0}):
        for area, (scale, panels) in PLOTS.items():
            if measured := areas.get(area):
                drawn.append(directory / f"{area}.svg")
                _figure(measured, scale, panels).savefig(drawn[-1], metadata={"Date": None})
    return drawn


def _figure(measured: Sequence[Measurement], scale: str, panels: Sequence[Panel]) -> Figure:
    figure = Figure(SIZE, layout="constrained")
    for axes, (label, value) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        _plot(axes, [each.scale or 0 for each in measured], [value(each) for each in measured])
        axes.set_xlabel(scale)
        axes.set_ylabel(label)
    return figure


def _plot(axes: Axes, scales: Sequence[int], values: Sequence[float]) -> None:
    axes.plot(scales, values, marker="o")
    axes.set_xlim(0, max(scales) * ROOM)
    axes.set_ylim(0, max(values) * ROOM)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(alpha=0.3)
