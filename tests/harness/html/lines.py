"""A small line for a page: how a figure went, with the interval of each point, as SVG."""

from collections.abc import Sequence

WIDTH, HEIGHT, EDGE = 120, 28, 3


def line_svg(points: Sequence[Sequence[float]], label: str) -> str:
    """The middles as a line over the band of their intervals, of two points or more; else empty.

    Points are (low, middle, high). The lowest low is at the bottom, the highest high at the top;
    `label`, which must be safe HTML, is what a reader without eyes gets.
    """
    if len(points) < 2:
        return ""
    least, most = min(low for low, _, _ in points), max(high for _, _, high in points)
    step, size = (WIDTH - 2 * EDGE) / (len(points) - 1), (most - least) or 1.0

    def place(number: int, value: float) -> str:
        height = (HEIGHT - 2 * EDGE) * (value - least) / size
        return f"{EDGE + step * number:.1f},{HEIGHT - EDGE - height:.1f}"

    middles = [place(number, middle) for number, (_, middle, _) in enumerate(points)]
    lows = [place(number, low) for number, (low, _, _) in enumerate(points)]
    highs = [place(number, high) for number, (_, _, high) in enumerate(points)]
    x, y = middles[-1].split(",")
    return (
        f'<svg class="history" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{label}">'
        f'<polygon points="{" ".join([*highs, *reversed(lows)])}" fill="currentColor" '
        'fill-opacity="0.2" />'
        f'<polyline points="{" ".join(middles)}" fill="none" stroke="currentColor" '
        'stroke-width="1.5" />'
        f'<circle cx="{x}" cy="{y}" r="2" fill="currentColor" /></svg>'
    )
