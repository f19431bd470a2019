"""Small charts as inline SVG: sharp on any screen and paper, without scripts, fonts or requests.

Colours and lines are named by CSS classes of the page; every chart has a text that says what it shows.
"""

from html import escape

WIDTH, HEIGHT = 340, 320
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 44


def line_chart(series, x_label, y_label, description, diagonal=False):
    """Return an SVG of curves in the unit square.

    Arguments
    ---------
    series : list of dict
        ``style`` (a CSS class), ``points`` (pairs from 0 to 1) and, for markers, ``sizes`` (their radii) or None.
    x_label, y_label : str
    description : str
        What the chart shows, for those who do not see it.
    diagonal : bool
        Whether to draw the line from the origin to the opposite corner.

    Returns
    -------
    str

    Example
    -------
    >>> line_chart([{"style": "s1", "points": [(0, 0), (1, 1)], "sizes": None}], "x", "y", "a line")[:30]
    '<svg class="chart" viewBox="0 '
    """
    parts = [_grid(x_label, y_label)]
    if diagonal:
        parts.append(f'<line class="reference" {_ends((0, 0), (1, 1))}/>')
    for one in series:
        path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in one["points"])
        parts.append(f'<polyline class="curve {one["style"]}" points="{path}"/>')
        for (x, y), radius in zip(one["points"], one["sizes"] or (), strict=bool(one["sizes"])):
            parts.append(f'<circle class="mark {one["style"]}" cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="{radius:.1f}"/>')
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(description)}">'
        f"{''.join(parts)}</svg>"
    )


def whisker(interval, low, high, reference=None):
    """Return an SVG line of a value with its interval, between ``low`` and ``high``; empty where it is undefined.

    Arguments
    ---------
    interval : dict
        ``value``, ``low`` and ``high``; the last two may be None.
    low, high : float
        The ends of the scale.
    reference : float, optional
        A value to compare with, such as that of all cycles.

    Example
    -------
    >>> whisker({"value": None, "low": None, "high": None}, 0, 100)
    ''
    """
    if interval["value"] is None:
        return ""

    parts = [_track(low, high, reference)]
    if interval["low"] is not None:
        ends = f'x1="{_along(interval["low"], low, high):.1f}" x2="{_along(interval["high"], low, high):.1f}"'
        parts.append(f'<line class="range" {ends} y1="9" y2="9"/>')
    parts.append(f'<circle class="dot" cx="{_along(interval["value"], low, high):.1f}" cy="9" r="4"/>')
    # The numbers stand beside it as text.
    return f'<svg class="whisker" viewBox="0 0 160 18" aria-hidden="true">{"".join(parts)}</svg>'


def seed_strip(values, mean, low, high, reference=None):
    """Return an SVG line with a dot for each seed and a bar at their mean; empty where the mean is undefined.

    Arguments
    ---------
    values : sequence of float
        One for each seed.
    mean : float or None
    low, high : float
        The ends of the scale.
    reference : float, optional
        A value to compare with.

    Example
    -------
    >>> seed_strip([40.0, 60.0], 50.0, 0, 100).count("<circle")
    2
    """
    if mean is None:
        return ""
    parts = [_track(low, high, reference)]
    parts += [f'<circle class="seed" cx="{_along(value, low, high):.1f}" cy="9" r="3.5"/>' for value in values]
    x = f"{_along(mean, low, high):.1f}"
    parts.append(f'<line class="mean" x1="{x}" x2="{x}" y1="1" y2="17"/>')
    return f'<svg class="whisker" viewBox="0 0 160 18" aria-hidden="true">{"".join(parts)}</svg>'


def _along(value, low, high):
    """Return where a value lies on the line of a whisker or strip."""
    return 4 + 152 * (min(max(value, low), high) - low) / (high - low)


def _track(low, high, reference):
    """Return the line itself, and the mark of what is to be compared with."""
    line = '<line class="axis" x1="4" x2="156" y1="9" y2="9"/>'
    if reference is None:
        return line
    x = f"{_along(reference, low, high):.1f}"
    return f'{line}<line class="reference" x1="{x}" x2="{x}" y1="1" y2="17"/>'


def _x(value):
    return LEFT + value * (WIDTH - LEFT - RIGHT)


def _y(value):
    return HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM)


def _ends(start, stop):
    return f'x1="{_x(start[0]):.1f}" y1="{_y(start[1]):.1f}" x2="{_x(stop[0]):.1f}" y2="{_y(stop[1]):.1f}"'


def _grid(x_label, y_label):
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(
            f'<line class="grid" {_ends((tick, 0), (tick, 1))}/><line class="grid" {_ends((0, tick), (1, tick))}/>'
        )
        parts.append(f'<text class="tick" x="{_x(tick):.1f}" y="{_y(0) + 16:.1f}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text class="tick" x="{_x(0) - 6:.1f}" y="{_y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    middle = _y(0.5)
    parts.append(
        f'<text class="label" x="{_x(0.5):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(
        f'<text class="label" x="12" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 12 {middle:.1f})">'
        f"{escape(y_label)}</text>"
    )
    return "".join(parts)
