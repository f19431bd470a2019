"""Code blocks of Markdown files, and the commands in them."""

import re
import shlex
from dataclasses import dataclass

_BLOCK = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = ("lung-srad", "python", "torchrun", "make", "pip", ".venv/bin/pip", ".venv/bin/python")


@dataclass(frozen=True)
class Block:
    """A code block: its language ("" where none is named), the file it is the text of, its text, and its line."""

    language: str
    title: str | None
    text: str
    line: int


def blocks_of(path):
    """Return the code blocks of a Markdown file."""
    content = path.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], found[3], content.count("\n", 0, found.start()) + 2)
        for found in _BLOCK.finditer(content)
    ]


def commands_of(path):
    """Return the commands of a file's shell blocks as lists of words, with their line."""
    commands = []
    for block in blocks_of(path):
        if block.language not in ("shell", ""):
            continue
        text = block.text.replace("\\\n", " ")
        for number, line in enumerate(text.splitlines()):
            line = re.sub(r"^\s*(?:\w+=\S+ )+", "", line).strip().removesuffix(" && \\")
            # Of a pipe, the part that is a command of this package.
            line = next((part for part in line.split(" | ") if part.split(" ")[0] in PROGRAMS), line)
            if line.split(" ")[0] in PROGRAMS:
                commands.append((shlex.split(line.partition(" && ")[0], comments=True), block.line + number))
            elif block.language == "shell" and line and not re.match(r"for |do$|done$|#", line):
                raise AssertionError(f"{path.name}, line {block.line + number}: no program that is known: {line}")
    return commands
