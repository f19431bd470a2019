"""Text from users, such as file names, made safe to show: on a terminal, in rich, matplotlib, Markdown, JSON and CSV.

A file may have almost any name. Control characters in it would reach the terminal as commands, ``[/b]`` would be markup
to rich, ``$`` mathematics to matplotlib, and a leading ``=`` a formula to a spreadsheet.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

# Control characters, surrogates (bytes of a name that are not UTF-8), separators of lines, and what turns the direction
# of text around. Joiners within words of some scripts stay.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_HIDDEN_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def printable(text: object) -> str:
    r"""Return text on one line, with control characters and bytes that are not UTF-8 as visible escapes.

    Arguments
    ---------
    text : object
        A name or a message; what is not a string becomes one.

    Returns
    -------
    str
        Encodable as UTF-8.

    Example
    -------
    >>> printable("breath\x1b[2J\n.wav"), printable("caf\udce9.wav"), printable("Atemgeräusch.wav")
    ('breath\\x1b[2J\\n.wav', 'caf\\xe9.wav', 'Atemgeräusch.wav')
    """
    return "".join(_visible(character) if _is_hidden(character) else character for character in str(text))


def printable_lines(text: object) -> str:
    r"""Return text as ``printable`` does, with its line breaks kept: for messages of several lines.

    Example
    -------
    >>> printable_lines("two problems:\n  a\x07.wav")
    'two problems:\n  a\\x07.wav'
    """
    return "\n".join(printable(line) for line in str(text).split("\n"))


def rich_text(text: object, style: str = "") -> Text:
    r"""Return printable text that rich shows as it is: brackets are no markup, ``:x:`` is no picture.

    Strings that hold such text are printed with ``markup=False, emoji=False`` instead.

    Arguments
    ---------
    text : object
    style : str
        Of rich, such as ``bold``.

    Example
    -------
    >>> from rich import print
    >>> print(rich_text("recording[/b]\x1b.wav", "bold"))
    recording[/b]\x1b.wav
    """
    from rich.text import Text

    return Text(printable(text), style)


def figure_text(text: object) -> str:
    r"""Return printable text that matplotlib draws as it is: dollars are no mathematics.

    Example
    -------
    >>> figure_text("$\\frac{$.wav")
    '\\$\\frac{\\$.wav'
    """
    return printable(text).replace("$", r"\$")


def csv_text(text: object) -> str:
    r"""Return printable text for a cell of a CSV that spreadsheets do not compute as a formula.

    Text that begins with ``=``, ``+``, ``-`` or ``@`` gets an apostrophe in front, which spreadsheets take as "this is
    text".

    Example
    -------
    >>> csv_text("=1+1.wav"), csv_text("a=1.wav")
    ("'=1+1.wav", 'a=1.wav')
    """
    text = str(text)
    return f"'{printable(text)}" if text.startswith(_FORMULA_STARTS) else printable(text)


def markdown_text(text: object) -> str:
    r"""Return printable text that Markdown shows as it is, also within a cell of a table.

    Every character with a meaning in Markdown gets a backslash, and angle brackets and ampersands become entities, as
    HTML in Markdown is HTML.

    Example
    -------
    >>> print(markdown_text("a|b_c <img src=x> [link](x) [1, 2]"))
    a\|b\_c &lt;img src=x&gt; [link\](x) [1, 2]
    """
    escaped = re.sub(r"[\\`*_#|~$]|\](?=[(\[:])", r"\\\g<0>", printable(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def json_text(text: str) -> str:
    r"""Return JSON with the control characters that ``json.dumps`` lets through as ``\u`` escapes of the same meaning.

    Example
    -------
    >>> import json
    >>> text = json_text(json.dumps("caf\udce9\x9b.wav", ensure_ascii=False))
    >>> text, json.loads(text) == "caf\udce9\x9b.wav"
    ('"caf\\udce9\\u009b.wav"', True)
    """
    # Within JSON these occur in strings alone; line breaks between values stay.
    return re.sub(r"[^\n]", lambda match: f"\\u{ord(match[0]):04x}" if _is_hidden_in_json(match[0]) else match[0], text)


def _is_hidden(character):
    return (
        unicodedata.category(character) in _HIDDEN_CATEGORIES
        or unicodedata.bidirectional(character) in _HIDDEN_DIRECTIONS
    )


def _is_hidden_in_json(character):
    return ord(character) <= 0xFFFF and _is_hidden(character)


def _visible(character):
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
