"""The documentation: code runs, commands and options exist, links lead somewhere, every public name is in it."""

import contextlib
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from markdown_blocks import blocks_of, commands_of

import lung_srad_plugin
from lung_srad_plugin.ablation.grid import read_grid
from lung_srad_plugin.cli.main import app, main
from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi
from lung_srad_plugin.runs import command_line
from lung_srad_plugin.runs.command_line import read_command_line, read_overrides
from lung_srad_plugin.runs.experiment import read_experiment

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDES = [*PAGES, *sorted((ROOT / "recipes").glob("*/README.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
README = ROOT / "README.md"
WITH_CODE = [
    page
    for page in [*PAGES, README]
    if any(block.language == "python" and not block.title for block in blocks_of(page))
]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    synthesize_icbhi(folder / "icbhi", patients=5, recordings=1, progress=False)
    return sorted(folder.rglob("*.wav"))[2]


@pytest.fixture
def folder(recording, tmp_path, monkeypatch):
    """An empty folder, but for a recording, as the current one."""
    shutil.copy(recording, tmp_path / "recording.wav")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_code_of_a_page_runs(page, folder):
    variables = {"__name__": "page"}
    for block in blocks_of(page):
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            exec(code, variables)


@pytest.mark.parametrize("page", [page for page in GUIDES if commands_of(page)], ids=name_of)
def test_commands_of_a_page_exist_with_their_options(page, folder, monkeypatch):
    monkeypatch.setattr(command_line, "check_device", lambda device: device)  # a page may name a GPU
    for block in blocks_of(page):
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
    for words, line in commands_of(page):
        try:
            check_command([word for word in words if word != "..."])
        except Exception as error:
            raise AssertionError(f"{name_of(page)}, line {line}: {' '.join(words)}: {error}") from error


def test_the_first_command_of_the_readme_gives_a_table_as_it_shows(folder, monkeypatch, capsys):
    words = next(words for words, _ in commands_of(README) if words[0] == "lung-srad")
    assert words == ["lung-srad", "classify", "recording.wav"]
    monkeypatch.setenv("COLUMNS", "120")
    with contextlib.suppress(SystemExit):
        main(words[1:])
    output = capsys.readouterr()
    assert "comes with lung-srad" in output.err and "Traceback" not in output.err
    shown = next(block.text for block in blocks_of(README) if "P(crackle)" in block.text)
    assert columns_of(output.out) == columns_of(shown)
    for finding in ("abnormal", "crackle", "wheeze"):
        pattern = rf"^{finding}, P at least [01]?\.?\d+: (nowhere|.* s \([01]\.\d\d\))"
        assert re.search(pattern, output.out, re.MULTILINE) and re.search(pattern, shown, re.MULTILINE)
    (python,) = (block.text for block in blocks_of(README) if block.language == "python")
    assert "from_hparams()" in python and "recording.wav" in python


def columns_of(table):
    line = next(line for line in table.splitlines() if "P(crackle)" in line)
    return [cell.strip() for cell in line.strip("┃ ").split("┃") if cell.strip() != "remark"]


def check_command(words):
    program, *rest = words
    if program == "torchrun":
        script = next(index for index, word in enumerate(rest) if word.endswith(".py") or word == "lung-srad")
        return check_command(rest[script:] if rest[script] == "lung-srad" else ["python", *rest[script:]])
    if program == "make":
        assert all(re.search(rf"^{word}:", read("Makefile"), re.MULTILINE) for word in rest if "=" not in word)
    elif program == "lung-srad":
        check_lung_srad(rest)
    elif program.endswith("pip"):
        check_extras(" ".join(rest))
    elif rest and rest[0].endswith("train.py"):
        assert (ROOT / rest[0]).is_file()
        check_training(rest[1:])
    elif rest and rest[0].endswith(".py") and not Path(rest[0]).is_file():  # not one that the page itself shows
        check_script(rest[0], rest[1:])
    return None


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def check_lung_srad(words):
    group = typer.main.get_command(app)
    name, *arguments = words
    if name.startswith("--"):
        assert name in ("--help", "--version")
        return
    command = group.commands[name]
    if "--help" in arguments:
        return
    context = command.context_class(command, info_name=name, **group.context_settings)
    context.allow_extra_args = context.ignore_unknown_options = name in ("train", "ablate")
    values, left, _ = command.make_parser(context).parse_args(list(arguments))
    for parameter in command.params:
        parameter.process_value(context, values.get(parameter.name))
    if name == "train":
        check_training(arguments)
    elif name == "ablate":
        overrides = read_overrides(left)
        for row in read_grid(values["grid"]).rows:
            read_experiment(row.experiment, overrides)
    else:
        assert not left, f"words that belong to nothing: {left}"


def check_training(words):
    line = read_command_line(words)
    if f"The yaml, `{line.file}`" in read("README.md") and not Path(line.file).exists():
        return  # the reader's own file, shown there
    read_experiment(line.file, line.overrides)


def check_extras(text):
    known = re.findall(r'^        "(\w+)": \[', read("setup.py"), re.MULTILINE)
    assert "cuda" in known
    for extras in re.findall(r"\[([\w,]+)\]", text):
        assert set(extras.split(",")) <= set(known), f"no extra {extras}"


def check_script(script, words):
    """Check that a script has the options, without running what it does."""
    assert (ROOT / script).is_file()
    help_text = help_of(script)
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in help_text, f"no option {word}"


def help_of(script, cache={}):  # noqa: B006
    if script not in cache:
        done = subprocess.run(
            [sys.executable, str(ROOT / script), "--help"],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(ROOT)},
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        cache[script] = done.stdout
    return cache[script]


# ---- links ----


def anchors_of(text):
    """Return the anchors of a page's headings, as Markdown's toc makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    words = [re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", heading)).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", word) for word in words}


@pytest.mark.parametrize(
    "page", [*GUIDES, ROOT / "RESULTS.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"], ids=name_of
)
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        found = (page.parent / target) if target else page
        assert found.exists(), f"{name_of(page)}: {target}"
        if anchor and found.suffix == ".md":
            content = found.read_text(encoding="utf-8")
            filled = [content, *(read(name) for name in re.findall(r"<!-- file: (\S+) -->", content))]
            assert any(anchor in anchors_of(one) for one in filled), f"{name_of(page)}: {target}#{anchor}"


def test_the_first_page_shows_sections_of_the_readme(made_pages):
    text = made_pages["fill_page"](read("docs/index.md"), "index.md")
    readme = read("README.md")
    assert text.count("| SPRSound inter") == readme.count("| SPRSound inter") == 1
    for heading in ("Results", "Limits", "Citation, sources, licence"):
        assert f"\n## {heading}\n" in text and f"\n## {heading}\n" in readme
    assert "[RESULTS.md](results.md)" in text
    with pytest.raises(ValueError, match="no section"):
        made_pages["fill_page"]("<!-- section: README.md, Nothing -->", "index.md")


def test_every_picture_is_drawn_by_the_script_and_used():
    used = {
        name for page in PAGES for name in re.findall(r"\]\((?:\.\./)?pictures/(\w+)\.png\)", page.read_text("utf-8"))
    }
    drawn = set(re.findall(r'^        "(\w+)": ', read("docs/make_pictures.py"), re.MULTILINE)) - {"before"}
    assert used == {path.stem for path in (DOCS / "pictures").glob("*.png")}
    assert used <= drawn


def test_every_measured_picture_is_shown():
    how_to = [path.read_text(encoding="utf-8") for path in (DOCS / "how-to").glob("*.md")]
    text = read("README.md") + read("RESULTS.md") + "".join(how_to)
    shown = set(re.findall(r"\]\((?:docs|\.\.)/pictures/measured/(\w+)\.png\)", text))
    assert shown == {path.stem for path in (DOCS / "pictures" / "measured").glob("*")}


# ---- what is made from the package ----


@pytest.fixture(scope="module")
def made_pages():
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    return runpy.run_path(str(DOCS / "made_pages.py"))


def test_every_public_name_is_on_one_page_of_the_reference(made_pages):
    names = [
        name
        for page in (DOCS / "reference").glob("*.md")
        for name in re.findall(
            r"^::: lung_srad_plugin\.(\w+)$",
            made_pages["fill_page"](page.read_text(encoding="utf-8"), f"reference/{page.name}"),
            re.MULTILINE,
        )
    ]
    public = [name for name in lung_srad_plugin.__all__ if not name.startswith("_")]
    assert sorted(names) == sorted(public)


def test_every_command_experiment_and_data_set_is_on_a_page(made_pages):
    commands = made_pages["command_entries"]()
    for name in typer.main.get_command(app).commands:
        assert f"## `lung-srad {name}`" in commands
    experiments = made_pages["experiment_entries"]()
    for path in (ROOT / "hparams").glob("*.yaml"):
        assert re.search(rf"^\| `{path.stem}` \| \w.{{10,}} \|$", experiments, re.MULTILINE), path.stem
    for record in made_pages["DATA_SETS"].values():
        assert f"## {record.title}" in made_pages["data_cards"]() and record.licence in made_pages["data_cards"]()


def test_links_of_a_file_of_the_repository_lead_to_pages(made_pages):
    text = made_pages["file_text"]("recipes/SPRSound/README.md", "recipes/sprsound.md")
    assert "[recipes/ICBHI](icbhi.md)" in text
    assert "](results-icbhi.md" not in made_pages["file_text"]("CHANGELOG.md", "changelog.md")
    assert "[RESULTS.md](results.md)" in made_pages["file_text"]("CHANGELOG.md", "changelog.md")


def test_site_is_built_without_a_warning(made_pages, tmp_path):
    pytest.importorskip("mkdocstrings", reason="needs the extra docs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reference = "".join(page.read_text(encoding="utf-8") for page in (tmp_path / "site" / "reference").glob("*.html"))
    for name in lung_srad_plugin.__all__:
        assert name.startswith("_") or f'id="lung_srad_plugin.{name}"' in reference, name


# ---- models ----


def zoo():
    return yaml.safe_load(read("docs/model_zoo.yaml"))


def cells_of(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_every_experiment_has_a_row_of_what_was_measured(made_pages):
    rows = cells_of(made_pages["measured_entries"]())
    assert {row[0] for row in rows} == {f"`{path.stem}`" for path in (ROOT / "hparams").glob("*.yaml")}
    shown = [row[3] for row in rows if row[3] != "not measured"]
    assert sorted(shown) == sorted(entry["figure"] for entry in zoo()["measured"])


@pytest.mark.parametrize("entry", zoo()["measured"], ids=lambda entry: f"{entry['yaml']}-{entry['figure']}")
def test_a_measured_figure_is_the_one_of_the_results(entry):
    assert (ROOT / "hparams" / f"{entry['yaml']}.yaml").is_file()
    assert entry["from"] in ("RESULTS.md", "docs/results-icbhi.md")
    lines = [line for line in read(entry["from"]).splitlines() if entry["figure"] in line]
    assert lines, f"{entry['figure']} is not in {entry['from']}"
    if (name := re.search(r"row (`\w+`)", entry["setting"])) and "seeds" in entry["setting"]:
        assert any(line.startswith(f"| {name[1]} |") for line in lines)
    if "commit" in entry:
        assert re.search(rf"[Cc]ommit {entry['commit']}\b", read(entry["from"]))


def test_every_score_that_the_results_state_of_an_experiment_is_among_the_models():
    listed = {(entry["yaml"], entry["figure"]) for entry in zoo()["measured"]}
    found = []
    for table in re.findall(r"^\|.*\n\|---.*\n(?:\|.*\n)+", read("RESULTS.md"), re.MULTILINE):
        head = [cell.strip() for cell in table.splitlines()[0].strip("|").split("|")]
        for cells in cells_of(table):
            name = re.search(r"`(\w+)\.yaml`", cells[0])
            if name and "Score, 4-class" in head:
                found.append((name[1], cells[head.index("Score, 4-class")]))
    assert len(found) >= 6
    assert set(found) <= listed


def test_published_figures_stand_apart_from_measured_ones(made_pages):
    pages = read("docs/models.md").partition("## Published by others")
    assert "<!-- models measured -->" in pages[0] and "<!-- models published -->" in pages[2]
    table = [line for line in read("docs/results-icbhi.md").splitlines() if line.startswith("| ")]
    for entry in zoo()["published"]:
        (line,) = [line for line in table if f"`{entry['yaml']}.yaml`" in line]
        assert entry["figure"] in line and entry.get("two_class", "") in line
        assert entry["figure"] not in made_pages["measured_entries"]()


def test_the_card_of_the_starter_model_is_on_the_page_of_models(made_pages):
    text = made_pages["fill_page"](read("docs/models.md"), "models.md")
    assert "### Intended use" in text and "#### SPRSound inter" in text and "model-index" not in text
    assert text.count("\n# ") == 0 and "<!--" not in text
