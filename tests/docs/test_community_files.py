"""The files for people who cite, report and contribute: they agree with the package and with each other."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from lung_srad_plugin import __version__
from lung_srad_plugin.cli.main import app
from lung_srad_plugin.runs.command_line import read_command_line
from lung_srad_plugin.runs.experiment import read_experiment

ROOT = Path(__file__).parents[2]
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_citation_is_of_this_version_and_names_the_paper():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == __version__
    released = re.search(
        rf"^## {re.escape(__version__.rpartition('.')[0])} - (\S+)$", read("CHANGELOG.md"), re.MULTILINE
    )
    assert str(citation["date-released"]) == released[1]
    assert citation["license"] == "Apache-2.0"
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert "2606.11922" in paper["url"]
    assert {"type", "title", "authors"} <= set(paper)


def test_changelog_has_this_version_below_the_unreleased_changes():
    versions = re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert versions[1] == ".".join(__version__.split(".")[:2])


def test_guide_for_contributors_has_each_folder_of_the_package():
    folders = {path.parent.name for path in (ROOT / "lung_srad_plugin").glob("*/__init__.py")}
    table = read("CONTRIBUTING.md").partition("## Where things go")[2].partition("| to add |")[0]
    assert set(re.findall(r"`(\w+)/`", table)) == folders


# What GitHub's schema of issue forms allows in a field of each type.
TEXT = {"label", "description", "placeholder", "value"}
ATTRIBUTES = {
    "markdown": {"value"},
    "textarea": {*TEXT, "render"},
    "input": TEXT,
    "dropdown": {"label", "description", "multiple", "options", "default"},
}


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_issue_form_has_what_the_host_requires_and_nothing_that_it_refuses(form):
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert content["name"] and content["description"]
    assert set(content) <= {"name", "description", "title", "labels", "assignees", "body"}
    for field in content["body"]:
        assert set(field) <= {"type", "id", "attributes", "validations"}
        assert set(field["attributes"]) <= ATTRIBUTES[field["type"]]
        assert set(field.get("validations", ())) <= {"required"}
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(re.fullmatch(r"[\w-]+", field["id"]) and field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_issue_forms_have_names_of_their_own():
    names = [yaml.safe_load(form.read_text(encoding="utf-8"))["name"] for form in FORMS]
    assert len(set(names)) == len(names) >= 4


def test_workflow_runs_on_each_system_what_make_test_runs():
    workflow = yaml.safe_load(read(".github/workflows/tests.yml"))
    job = workflow["jobs"]["test"]
    assert set(job["strategy"]["matrix"]["os"]) == {"ubuntu-latest", "macos-latest", "windows-latest"}
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert ".ci/run" in commands and "make test" in read(".ci/run")
    on_windows = "\n".join(command for command in commands if command != ".ci/run")
    makefile = read("Makefile").replace("$(WORKERS)", "2")
    recipes = re.findall(r"^(?:test|lint):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    lines = [line.strip().replace("$(BIN)/", "") for recipe in recipes for line in recipe.splitlines()]
    assert len(lines) >= 5
    for line in lines:
        assert line in on_windows


def test_workflow_tries_the_first_and_the_last_python_that_the_package_admits():
    matrix = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]["test"]["strategy"]["matrix"]
    low, high = re.search(r'python_requires=">=3\.(\d+),<3\.(\d+)"', read("setup.py")).groups()
    assert matrix["python"] == [f"3.{low}", f"3.{int(high) - 1}"]


def test_workflow_is_pinned_by_commit_and_may_only_read():
    text = read(".github/workflows/tests.yml")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    used = re.findall(r"uses: (\S+)  # v\d", text)
    assert len(used) == text.count("uses:") and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used)
    (update,) = yaml.safe_load(read(".github/dependabot.yml"))["updates"]
    assert update["package-ecosystem"] == "github-actions"


def test_workflow_uses_the_wheel_without_what_tests_install():
    job = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]["package"]
    commands = "\n".join(step["run"] for step in job["steps"] if "run" in step)
    assert "dist/*.whl" in commands and "test]" not in commands
    for command in re.findall(r'"\$bin/lung-srad" (.*)', commands):
        name, *rest = command.split()
        assert name in {command.name or command.callback.__name__ for command in app.registered_commands}
        if name == "train":
            line = read_command_line(rest)
            read_experiment(line.file, line.overrides)


def test_workflow_tests_the_pages_where_the_documentation_is_installed():
    """The other jobs have no mkdocs, so that they skip the tests that build the pages."""
    steps = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]["docs"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands[0] == "make docs" and commands[1].endswith("pytest -q tests/docs")


def test_text_has_the_same_bytes_in_a_checkout_on_windows(tmp_path):
    """Models hold SHA-256 sums of text files, which CRLF would change."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("needs git")

    def run(*words):
        subprocess.run([git, "-C", str(tmp_path), *words], check=True, capture_output=True)

    starter = ROOT / "lung_srad_plugin" / "inference" / "starter"
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    for file in starter.iterdir():
        shutil.copy(file, tmp_path)
    run("init", "-q")
    run("config", "core.autocrlf", "true")
    run("add", "--all", "--force")
    for file in starter.iterdir():
        (tmp_path / file.name).unlink()
    run("checkout", "--", ".")
    for file in starter.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name
