"""For the reference: docstrings' sections under the names that the reader of numpy-style docstrings knows."""

import re

import griffe

SECTIONS = {"Arguments": "Parameters", "Example": "Examples"}
_HEADING = re.compile(rf"^({'|'.join(SECTIONS)})\n-{{3,}}$", re.MULTILINE)


def rename_sections(text: str) -> str:
    """Return a docstring with its sections renamed, and ``::`` before a literal block as Markdown has it.

    Example
    -------
    >>> rename_sections("Do it::\\n\\n    it\\n\\nArguments\\n---------\\nx : int")
    'Do it:\\n\\n    it\\n\\nParameters\\n----------\\nx : int'
    """
    text = _HEADING.sub(lambda found: f"{SECTIONS[found[1]]}\n{'-' * len(SECTIONS[found[1]])}", text)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE)


class SectionNames(griffe.Extension):
    """Rename the sections of every docstring that is loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        """Rename the sections of the docstring of one object."""
        del kwargs
        if obj.docstring:
            obj.docstring.value = rename_sections(obj.docstring.value)
