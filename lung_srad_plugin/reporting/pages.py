"""How every page is made: the templates, and how numbers become text."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lung_srad_plugin.reporting.figures import COLOURS
from lung_srad_plugin.utils.text import markdown_text, printable

if TYPE_CHECKING:
    from markupsafe import Markup

NOTHING = "-"  # what stands for an undefined number

Interval = Mapping[str, float | None]
"""``value``, ``low`` and ``high``; the last two are None where there is no interval."""


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return a page in which every text of the context is shown as it is, whatever markup is in it.

    Arguments
    ---------
    template : str
        The name of a file in ``templates``; one that ends in ``.html.jinja`` is HTML, one in ``.md.jinja`` Markdown.
    context : dict
        What the template names; it refuses to be rendered where something is missing.

    Returns
    -------
    str
    """
    import jinja2

    markdown = template.endswith(".md.jinja")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=not markdown,
        finalize=_finalize_markdown if markdown else _finalize_html,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        interval=format_interval,
        number=format_value,
        difference=format_difference,
        summary=format_summary,
        fact=format_fact,
        breakable=breakable,
    )
    return environment.get_template(template).render(colours=COLOURS, **context)


def _finalize_html(value):
    """Control characters in names of files would vanish in a browser; autoescape does the rest."""
    return value if hasattr(value, "__html__") or not isinstance(value, str) else printable(value)


def _finalize_markdown(value):
    return markdown_text(value) if isinstance(value, str) else value


def format_interval(interval: Interval, unit: str = "%") -> str:
    """Return a value with its interval as text; a dash where it is undefined.

    Example
    -------
    >>> format_interval({"value": 64.48, "low": 58.2, "high": 70.11})
    '64.5 (58.2 to 70.1)'
    >>> format_interval({"value": 0.8, "low": None, "high": None}, unit="")
    '0.800'
    """
    value = format_value(interval["value"], unit)
    if interval["low"] is None:
        return value
    return f"{value} ({format_value(interval['low'], unit)} to {format_value(interval['high'], unit)})"


def format_value(value: float | None, unit: str = "%", decimals: int | None = None) -> str:
    """Return a number as text, a dash where it is None; by default percentages with one decimal, others with three.

    Example
    -------
    >>> format_value(12.345), format_value(0.5, ""), format_value(50.0, decimals=2), format_value(None)
    ('12.3', '0.500', '50.00', '-')
    """
    if value is None:
        return NOTHING
    if decimals is None:
        decimals = 1 if unit == "%" else 3
    return f"{value:.{decimals}f}"


def format_summary(summary: Mapping[str, Any] | None, unit: str = "%") -> str:
    """Return a mean with its standard deviation as text, with one decimal more than single values have.

    Example
    -------
    >>> format_summary({"mean": 64.478, "sd": 0.252}), format_summary({"mean": 0.5, "sd": None}, unit="")
    ('64.48 ± 0.25', '0.5000')
    """
    if summary is None or summary["mean"] is None:
        return NOTHING
    decimals = 2 if unit == "%" else 4
    mean = format_value(summary["mean"], decimals=decimals)
    return mean if summary["sd"] is None else f"{mean} ± {format_value(summary['sd'], decimals=decimals)}"


def format_difference(interval: Interval) -> str:
    """Return a difference in percentage points with its interval, each with a sign.

    Example
    -------
    >>> format_difference({"value": 1.24, "low": -0.5, "high": 3.0})
    '+1.2 (-0.5 to +3.0)'
    """
    if interval["value"] is None:
        return NOTHING
    if interval["low"] is None:
        return f"{interval['value']:+.1f}"
    return f"{interval['value']:+.1f} ({interval['low']:+.1f} to {interval['high']:+.1f})"


def format_fact(value: Any) -> str:
    """Return a fact as text, whatever it is made of.

    Example
    -------
    >>> format_fact({"parameters": 48_000_000, "parts": ["a", "b"]})
    'parameters 48,000,000, parts a, b'
    """
    if isinstance(value, dict):
        return ", ".join(f"{name} {format_fact(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(format_fact, value))
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)


def breakable(name: str) -> "Markup":
    """Return a name as HTML that may be broken into two lines after an underscore.

    Example
    -------
    >>> breakable("dass_<b>")
    Markup('dass_<wbr>&lt;b&gt;')
    """
    from markupsafe import Markup, escape

    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))
