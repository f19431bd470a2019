"""Parts of pages that are made from the package when the site is built: names, commands, experiments, data cards.

A page holds a comment such as ``<!-- names: audio, scan -->``, ``<!-- commands -->``, ``<!-- experiments -->``,
``<!-- data cards -->`` or ``<!-- file: CHANGELOG.md -->``, which is replaced.
"""

import ast
import posixpath
import re
from pathlib import Path

import typer
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click

from lung_srad_plugin.cli.main import app
from lung_srad_plugin.datasets.catalogue import DATA_SETS

ROOT = Path(__file__).parents[1]
STUB = ROOT / "lung_srad_plugin" / "__init__.pyi"
# Files of the repository that are pages too, so that links to them lead there.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "RESULTS.md": "results.md",
    "benchmarks/README.md": "benchmarks.md",
    "recipes/ICBHI/README.md": "recipes/icbhi.md",
    "recipes/SPRSound/README.md": "recipes/sprsound.md",
    "recipes/KAUH/README.md": "recipes/kauh.md",
    "recipes/HF_Lung/README.md": "recipes/hf_lung.md",
    "lung_srad_plugin/inference/starter/README.md": "models.md",
}
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")


def public_names() -> dict[str, list[str]]:
    """Return the public names by the folder or module that defines them.

    Example
    -------
    >>> public_names()["labels"]
    ['CLASSES', 'findings_of', 'label_of']
    """
    names: dict[str, list[str]] = {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            folder = str(node.module).split(".")[0]
            names.setdefault(folder, []).extend(alias.name for alias in node.names if not alias.name.startswith("_"))
    return names


def name_entries(folders: list[str]) -> str:
    """Return an entry of the reference for each public name of these folders."""
    names = public_names()
    return "\n\n".join(f"::: lung_srad_plugin.{name}" for folder in folders for name in names[folder])


def command_entries() -> str:
    """Return each command of ``lung-srad`` with its arguments and options."""
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="lung-srad")
    text = get_docs_for_click(obj=group, ctx=context, name="lung-srad")
    # Without the title and the list of commands, whose sentences it shortens: the table of contents has them.
    return re.sub(r"\A# .*?(?=^## )", "", text, flags=re.DOTALL | re.MULTILINE)


def experiment_entries() -> str:
    """Return a table of the experiments and grids of the package, with the sentence that each begins with.

    Example
    -------
    >>> "| `dass` | DASS fine-tuning alone" in experiment_entries()
    True
    """
    lines = ["| name | |", "|---|---|"]
    for path in sorted((ROOT / "hparams").glob("*.yaml")):
        comment = re.match(r"(?:#(?: .*)?\n)+", path.read_text(encoding="utf-8"))
        words = " ".join(line[2:] for line in comment[0].splitlines() if not line.startswith("#  ")) if comment else ""
        sentence = re.split(r"(?<=[a-z)]\.) |:$", words)[0]
        lines.append(f"| `{path.stem}` | {sentence} |")
    return "\n".join(lines)


def data_cards() -> str:
    """Return a card of each data set that the package prepares.

    Example
    -------
    >>> "## KAUH lung sounds" in data_cards() and "CC BY 4.0" in data_cards()
    True
    """
    cards = []
    for record in DATA_SETS.values():
        labels = ", ".join(f"`{label}`" for label in record.labels)
        rows = {
            "content": record.content,
            "licence": record.licence,
            "source": record.source,
            "recorded at": record.sampling_rate,
            "official split": record.official_split,
            "labels": labels,
            "a label is of": record.label_unit,
            "prepare with": f"`{record.command} DATA_FOLDER SAVE_FOLDER`",
            "cite": record.citation,
        }
        table = "\n".join(f"| {name} | {text} |" for name, text in rows.items())
        cards.append(f"## {record.title}\n\n| | |\n|---|---|\n{table}")
    return "\n\n".join(cards)


def file_text(name: str, page: str) -> str:
    """Return the text of a file of the repository for a page: links lead to pages, or are plain text.

    Arguments
    ---------
    name : str
        Relative to the repository.
    page : str
        The page, relative to the folder of pages.

    Example
    -------
    >>> text = file_text("recipes/KAUH/README.md", "recipes/kauh.md")
    >>> text.splitlines()[0]
    '# KAUH'
    """
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)  # what the hub reads of a model's card

    def relink(found):
        words, target, anchor = found.groups()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) if target else name
        if (ROOT / target).is_dir():
            target = f"{target}/README.md"
        if target.startswith("docs/"):
            to = target.removeprefix("docs/")
        elif target in PAGES:
            to = PAGES[target]
        else:
            return words
        if target == "README.md":
            anchor = None  # the first page of the documentation is another text
        return f"[{words}]({posixpath.relpath(to, posixpath.dirname(page) or '.')}{anchor or ''})"

    return _LINK.sub(relink, text)


MAKERS = {"commands": command_entries, "experiments": experiment_entries, "data cards": data_cards}
_COMMENT = re.compile(r"<!-- (names: (?P<folders>[\w, ]+)|file: (?P<file>\S+)|commands|experiments|data cards) -->")


def fill_page(markdown: str, page: str) -> str:
    """Return the text of a page with its comments replaced by what they name.

    Example
    -------
    >>> fill_page("<!-- names: errors -->", "reference/basics.md")
    '::: lung_srad_plugin.LungSRADError'
    """

    def make(found):
        if found["folders"]:
            return name_entries([folder.strip() for folder in found["folders"].split(",")])
        if found["file"]:
            return file_text(found["file"], page)
        return MAKERS[found[1]]()

    return _COMMENT.sub(make, markdown)


def on_page_markdown(markdown: str, page: Page, **kwargs: object) -> str:
    """Fill a page; mkdocs calls this for each."""
    del kwargs
    return fill_page(markdown, page.file.src_uri)
