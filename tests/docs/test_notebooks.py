"""The notebooks run from the first to the last cell in an empty folder, and are kept without outputs."""

import os
import re
import runpy
from pathlib import Path

import pytest

from lung_srad_plugin import __version__

nbformat = pytest.importorskip("nbformat", reason="needs the extra notebooks")
nbclient = pytest.importorskip("nbclient", reason="needs the extra notebooks")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def outputs_of(book, kind):
    """Return the outputs of all cells in a form such as text/plain."""
    found = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and kind == "text/plain":
                found.append(output.text)
            found += [output.data[kind]] if kind in output.get("data", {}) else []
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    book = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(book, timeout=300, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    text = "\n".join(outputs_of(book, "text/plain"))
    pictures = len(outputs_of(book, "image/png"))
    if path.stem == "demo":
        assert pictures == 2 and re.search(r"0\.0 to +\d+\.\d s +\w+ +P\(crackle\) [01]\.\d\d", text)
        assert (tmp_path / "result.json").is_file() and (tmp_path / "labels.txt").is_file()
    elif path.stem == "own_data":
        assert re.search(r"chosen on validation patients; test Score, 4 classes: \d", text)
        assert (tmp_path / "run" / "export" / "config.json").is_file()
        assert (tmp_path / "report" / "report.html").is_file()
    else:
        assert path.stem == "embeddings" and pictures == 1
        assert re.search(r"\(\d+, 256\)", text) and re.search(r"AUROC of abnormal, synthetic sounds: [01]\.\d\d", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_valid_without_outputs_and_installs_what_is_missing_first(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert len({cell.id for cell in book.cells}) == len(book.cells)
    assert "pip install" in code[0].source and "find_spec" in code[0].source
    assert book.metadata.kernelspec.name == "python3"


def test_every_notebook_has_a_page_that_shows_its_code():
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    made_pages = runpy.run_path(str(ROOT / "docs" / "made_pages.py"))
    assert len(NOTEBOOKS) == 3
    for path in NOTEBOOKS:
        page = path.with_suffix(".md")
        text = made_pages["fill_page"](page.read_text(encoding="utf-8"), f"notebooks/{page.name}")
        for cell in nbformat.read(path, as_version=4).cells:
            assert all(paragraph in text for paragraph in cell.source.split("\n\n"))
        assert f'"./lung_srad-{__version__}-py3-none-any.whl[notebooks]"' in text
        assert f"]({path.name})" in text and "https://colab.research.google.com/" in text
        assert f"notebooks/{page.name}" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (None, "https://colab.research.google.com/#upload=true"),
        ("https://github.com/o/n", "https://colab.research.google.com/github/o/n/blob/main/docs/notebooks/demo.ipynb"),
    ],
)
def test_link_to_a_hosted_notebook(address, expected):
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    assert runpy.run_path(str(ROOT / "docs" / "made_pages.py"))["hosted_notebook"]("demo", address) == expected
