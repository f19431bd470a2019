"""Parts of pages that are made from the package when the site is built: names, commands, experiments, data cards.

A page holds a comment such as ``<!-- names: audio, scan -->``, ``<!-- commands -->`` or ``<!-- notebook: demo -->``,
which is replaced; ``MAKERS`` has them all.
"""

import ast
import json
import posixpath
import re
from pathlib import Path

import typer
import yaml
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
    >>> "| source | <https://bhichallenge.med.auth.gr/ICBHI_2017_Challenge>;" in data_cards()
    True
    """
    cards = []
    for record in DATA_SETS.values():
        labels = ", ".join(f"`{label}`" for label in record.labels)
        rows = {
            "content": record.content,
            "licence": record.licence,
            "source": re.sub(r"https?://[^\s,;]+", r"<\g<0>>", record.source),
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


def hosted_notebook(name: str, address: str | None) -> str:
    """Return the link that opens a notebook in Colab.

    Arguments
    ---------
    name : str
    address : str or None
        Of the repository on GitHub; None leads to where a downloaded notebook is opened.

    Example
    -------
    >>> hosted_notebook("demo", None)
    'https://colab.research.google.com/#upload=true'
    """
    if address is None:
        return "https://colab.research.google.com/#upload=true"
    repository = address.rstrip("/").removesuffix(".git").removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{repository}/blob/main/docs/notebooks/{name}.ipynb"


PACKAGE_THERE = (
    "A hosted notebook has no lung-srad, and no release is on PyPI yet: make a wheel in a clone with "
    "`pip wheel --no-deps .`, upload it beside the notebook, and set in its first cell "
    '`SOURCE = "./lung_srad-0.1.0-py3-none-any.whl[notebooks]"`.'
)


def notebook_text(name: str) -> str:
    """Return the cells of a notebook as a page, after links to open it.

    Example
    -------
    >>> "[Download the notebook](demo.ipynb)" in notebook_text("demo")
    True
    """
    cells = json.loads((ROOT / "docs" / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    title, _, rest = texts[0].partition("\n")
    address = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8")).get("repository-code")
    how = "open it in Colab" if address else "open the downloaded notebook in Colab"
    links = f"[Download the notebook]({name}.ipynb), or [{how}]({hosted_notebook(name, address)}). {PACKAGE_THERE}"
    shown = [
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell, text in zip(cells[1:], texts[1:], strict=True)
    ]
    return "\n\n".join([title, links, rest.strip(), *shown])


def section_text(name: str, heading: str, page: str) -> str:
    """Return a section of a file of the repository for a page, with its heading.

    Example
    -------
    >>> section_text("README.md", "Limits", "index.md").splitlines()[0]
    '## Limits'
    """
    text = file_text(name, page)
    found = re.search(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"{name} has no section {heading!r}, which {page} shows")
    return found[0].strip()


def measured_entries() -> str:
    """Return a table of what was measured with each experiment and grid; those with which nothing was come last."""
    entries = _zoo()["measured"]
    measured = {row["yaml"] for row in entries}
    lines = ["| experiment | setting | test set | Score, 4-class | commit |", "|---|---|---|---|---|"]
    for path in sorted((ROOT / "hparams").glob("*.yaml"), key=lambda path: (path.stem not in measured, path.stem)):
        rows = [
            f"| {row['setting']} | {row['test']} | {row['figure']} | {row.get('commit', 'not recorded')} |"
            for row in entries
            if row["yaml"] == path.stem
        ]
        lines += [f"| `{path.stem}` {row}" for row in rows or ["| | | not measured | |"]]
    return "\n".join(lines)


def published_entries() -> str:
    """Return a table of the figures that others published of what experiments describe.

    Example
    -------
    >>> "| `ast` | 77.14 / 41.97 / 59.55 | 66.77 |" in published_entries()
    True
    """
    lines = ["| experiment | Sp / Se / Score, 4-class | Score, 2-class |", "|---|---|---|"]
    lines += [f"| `{row['yaml']}` | {row['figure']} | {row.get('two_class', '')} |" for row in _zoo()["published"]]
    return "\n".join(lines)


def _zoo():
    return yaml.safe_load((ROOT / "docs" / "model_zoo.yaml").read_text(encoding="utf-8"))


def card_text(name: str, page: str) -> str:
    """Return the card of a model as a section of a page: its headings are one level lower, its title is left out."""
    text = file_text(name, page).strip().split("\n", 1)[1]
    return re.sub(r"^(#+ )", r"#\1", text, flags=re.MULTILINE).strip()


# By what a comment begins with: what makes the text, of what follows the colon and the page.
MAKERS = {
    "names": lambda of, page: name_entries([folder.strip() for folder in of.split(",")]),
    "file": lambda of, page: file_text(of, page),
    "section": lambda of, page: section_text(*of.split(", ", 1), page),
    "card": lambda of, page: card_text(of, page),
    "notebook": lambda of, page: notebook_text(of),
    "commands": lambda of, page: command_entries(),
    "experiments": lambda of, page: experiment_entries(),
    "data cards": lambda of, page: data_cards(),
    "models measured": lambda of, page: measured_entries(),
    "models published": lambda of, page: published_entries(),
}
_COMMENT = re.compile(rf"<!-- ({'|'.join(MAKERS)})(?:: ([^>]+?))? -->")


def fill_page(markdown: str, page: str) -> str:
    """Return the text of a page with its comments replaced by what they name.

    Example
    -------
    >>> fill_page("<!-- names: errors -->", "reference/basics.md")
    '::: lung_srad_plugin.LungSRADError'
    """
    return _COMMENT.sub(lambda found: MAKERS[found[1]](found[2], page), markdown)


def on_page_markdown(markdown: str, page: Page, **kwargs: object) -> str:
    """Fill a page; mkdocs calls this for each."""
    del kwargs
    return fill_page(markdown, page.file.src_uri)
