"""Text from users on terminals, in figures, JSON and CSV."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from rich.console import Console

from lung_srad_plugin.utils.text import csv_text, figure_text, json_text, printable, printable_lines, rich_text

NAMES = st.text(st.characters(), max_size=20)


@given(NAMES)
def test_printable_text_is_one_encodable_line_without_control_characters(name):
    shown = printable(name)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1 and all(ord(character) > 31 for character in shown)
    if name.isascii() and name.isprintable():
        assert shown == name


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\x9b", "\x00", "\x7f", "\u202e", "\u2028", "\udcff", "\ud800"])
def test_what_commands_a_terminal_is_escaped(character):
    assert printable(f"a{character}b").startswith("a\\") and printable(f"a{character}b").endswith("b")


def test_lines_stay_lines():
    assert printable_lines("a\nb\x1b[0m") == "a\nb\\x1b[0m"


@given(NAMES)
def test_rich_shows_text_as_it_is(name):
    out = io.StringIO()
    Console(file=out, width=1000).print(rich_text(name), end="", soft_wrap=True)
    assert out.getvalue() == printable(name)


@given(NAMES)
def test_matplotlib_draws_text_as_it_is(name):
    figure = Figure()
    text = figure.text(0, 0, figure_text(name))
    shown, is_math = text._preprocess_math(text.get_text())
    assert not is_math and (shown == printable(name) or shown.strip() == "")


@given(NAMES)
def test_no_cell_is_a_formula(name):
    assert not csv_text(name).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.dictionaries(NAMES, st.lists(NAMES), max_size=3))
def test_json_keeps_its_meaning(value):
    for indent in (None, 1):
        text = json_text(json.dumps(value, ensure_ascii=False, indent=indent))
        assert json.loads(text) == value
        text.encode("utf-8")
        assert all(ord(character) > 31 or character == "\n" for character in text)
