"""Reading a page: its elements and what they point to."""

from html.parser import HTMLParser


class _Page(HTMLParser):
    """Collects elements and links; refuses unbalanced elements."""

    VOID = frozenset({"meta", "br", "wbr", "img", "input", "line", "circle", "polyline"})

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parse(page):
    """Return the parsed page, with ``elements`` (tag and attributes) and ``links``."""
    parser = _Page()
    parser.feed(page)
    assert parser.open == []
    return parser
