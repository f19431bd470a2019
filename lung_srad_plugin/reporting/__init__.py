"""How results look: HTML templates, inline SVG charts, and figures.

Numbers are formatted and drawn here, never computed; every value comes in as an argument.
"""
