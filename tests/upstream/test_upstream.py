"""The recipe for SpeechBrain: complete, consistent by SpeechBrain's rules, and running as its row says."""

import ast
import csv
import re
import runpy
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

ROOT = Path(__file__).parents[2]
FILES = ROOT / "upstream" / "speechbrain"
RECIPE = FILES / "recipes" / "ICBHI" / "classification"
LAY_OUT = runpy.run_path(str(ROOT / "upstream" / "lay_out.py"))


def rows():
    with open(FILES / "tests" / "recipes" / "ICBHI.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_of_a_row_is_there_and_every_yaml_has_a_row():
    for row in rows():
        for field in ("Script_file", "Hparam_file", "Data_prep_file", "Readme_file"):
            assert (FILES / row[field]).is_file(), row[field]
        readme = (FILES / row["Readme_file"]).read_text(encoding="utf-8")
        assert all(row[field] in readme for field in ("Result_url", "HF_repo"))
        assert row["test_debug_flags"]
    listed = {row["Hparam_file"] for row in rows()}
    assert listed == {path.relative_to(FILES).as_posix() for path in FILES.glob("recipes/**/*.yaml")}


def test_every_key_of_the_yaml_is_used_by_a_later_key_or_by_the_script():
    text = (RECIPE / "hparams" / "lung_srad.yaml").read_text(encoding="utf-8")
    script = (RECIPE / "train.py").read_text(encoding="utf-8")
    built_by_call = re.findall(r"^(\w+): !apply", text, re.MULTILINE)
    run_options = {"max_grad_norm"}
    for match in re.finditer(r"^(\w+):", text, re.MULTILINE):
        key = match[1]
        later = f"<{key}>" in text[match.end() :]
        script_names = (f'hparams["{key}"]', f"hparams.{key}", f"modules.{key}")
        by_part = key.removesuffix("_csv") in ("train", "valid", "test") and 'hparams[f"{part}_csv"]' in script
        used = later or by_part or any(name in script for name in script_names)
        assert used or key in built_by_call or key in run_options, key


@pytest.mark.parametrize("script", sorted(FILES.glob("recipes/**/*.py")), ids=lambda path: path.name)
def test_every_function_has_a_docstring(script):
    tree = ast.parse(script.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert ast.get_docstring(node), node.name


def test_the_settings_are_those_of_the_experiment_of_this_repository(tmp_path):
    changes = {"data_folder": str(tmp_path), "output_folder": str(tmp_path), "pretrained": None}
    small = {"depths": [1, 1, 4, 1], "dims": [8, 8, 8, 8]}
    upstream, ours = (
        load_hyperpyyaml(path.read_text(encoding="utf-8"), {**changes, **small})
        for path in (RECIPE / "hparams" / "lung_srad.yaml", ROOT / "hparams" / "lung_srad.yaml")
    )
    same = (
        *("sample_rate", "duration", "frames", "n_mels", "drop_path_rate", "gaussian_blocks", "temperature", "lr"),
        *(
            "number_of_epochs",
            "batch_size",
            "weight_decay",
            "keep_previous",
            "max_grad_norm",
            "valid_fraction",
            "labels",
        ),
    )
    for key in same:
        assert upstream[key] == ours[key], key
    for name in ("model", "augment", "mean_var_norm"):
        assert repr(upstream[name]) == repr(ours[name])
    assert vars(upstream["schedule"]) == vars(ours["schedule"])
    assert vars(upstream["contrastive_loss"]) == vars(ours["contrastive_loss"])


def test_the_row_runs_on_samples(capfd):
    assert LAY_OUT["main"]([]) == 0
    printed = capfd.readouterr().out
    assert "exit code 0, files missing: none" in printed and "performance as the row asks: yes" in printed
    assert "epoch: 2" in printed and "test score" in printed


@pytest.mark.parametrize(("loss", "expected"), [("5.99e+00", True), ("6.01", False), (None, False)])
def test_the_value_of_the_performance_check_is_that_of_its_epoch(tmp_path, loss, expected):
    checks = "file_exists=[a] performance_check=[log.txt, train loss, <6, epoch: 2]"
    lines = [
        "epoch: 1, lr: 1e-3 - train loss: 1.00",
        f"epoch: 2, lr: 1e-3 - train loss: {loss}",
        "epoch: 20 - train loss: 9",
    ]
    (tmp_path / "log.txt").write_text("\n".join(lines if loss else lines[:1]) + "\n")
    assert LAY_OUT["reaches"](checks, tmp_path) is expected


def test_the_files_are_in_the_style_of_speechbrain():
    for path in (*RECIPE.glob("*.py"), *RECIPE.glob("hparams/*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert max(map(len, lines)) <= 80, path.name
        assert "Authors" in "\n".join(lines), path.name
    readme = (RECIPE / "README.md").read_text(encoding="utf-8")
    for words in ("extra_requirements.txt", "## Results", "--test_only", "## Citing", "## About SpeechBrain"):
        assert words in readme


def test_a_folder_that_is_no_checkout_is_refused(tmp_path, capsys):
    assert LAY_OUT["main"]([str(tmp_path)]) == 2
    assert "not a checkout of SpeechBrain" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_checkout_gets_the_files_and_its_own_tests_are_run(tmp_path):
    """A stand-in for a checkout, whose tests look for the files and for the data set that is asked for."""
    for name in ("tests/__init__.py", "tests/utils/__init__.py", "tests/consistency/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "tests" / "utils" / "recipe_tests.py").write_text(
        "def run_recipe_tests(filters_fields, filters):\n"
        "    open('asked.txt', 'w').write(f'{filters_fields} {filters}')\n"
        "    return True\n"
    )
    for name in LAY_OUT["CONSISTENCY"]:
        (tmp_path / "tests" / "consistency" / name).write_text(
            "from pathlib import Path\ndef test_files():\n    assert Path('tests/recipes/ICBHI.csv').is_file()\n"
        )
    assert LAY_OUT["main"]([str(tmp_path)]) == 0
    assert (tmp_path / "asked.txt").read_text() == "['Dataset'] [['ICBHI']]"
    assert (tmp_path / "recipes" / "ICBHI" / "classification" / "train.py").is_file()
    (tmp_path / "tests" / "consistency" / "test_yaml.py").write_text("def test_fails():\n    assert False\n")
    assert LAY_OUT["main"]([str(tmp_path)]) == 1
