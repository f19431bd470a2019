"""Experiments by name: a file in its folder comes first, then what comes with the package, and nothing else."""

import pytest

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.ablation.grid import read_grid
from lung_srad_plugin.runs.experiment import read_experiment
from lung_srad_plugin.runs.named_files import find_file, hparams_folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["dass", "dass.yaml", "hparams/dass.yaml"])
def test_file_of_the_package_is_found_from_any_folder(name):
    assert find_file(name) == hparams_folder() / "dass.yaml"


def test_file_in_the_folder_comes_first(folder):
    (folder / "hparams").mkdir()
    for path in (folder / "dass.yaml", folder / "hparams" / "dass.yaml"):
        path.write_text("lr: 1\n", encoding="utf-8")
    assert find_file("dass.yaml").resolve() == folder / "dass.yaml"
    assert find_file("hparams/dass.yaml").resolve() == folder / "hparams" / "dass.yaml"
    assert find_file("dass.yaml", folder / "hparams") == folder / "hparams" / "dass.yaml"


@pytest.mark.parametrize("name", ["nothing", "./dass.yaml", "../dass.yaml", "mine/dass.yaml", "dass.yml"])
def test_what_is_neither_is_refused_by_its_own_name(folder, name):
    with pytest.raises(LungSRADError, match=f"{name.removeprefix('./')}: no such hyperparameter file"):
        read_experiment(find_file(name))


def test_experiment_of_a_user_builds_on_one_of_the_package(folder):
    (folder / "mine.yaml").write_text("base: dass.yaml\nlr: 0.1\n", encoding="utf-8")
    file, changes = read_experiment("mine.yaml")
    assert file == hparams_folder() / "lung_srad.yaml"
    assert changes["lr"] == 0.1 and changes["gaussian_blocks"] == []


def test_grid_of_a_user_has_rows_of_the_package(folder):
    text = (
        "experiment: lung_srad.yaml\nseeds: [1]\nreference: a\nrows: [{name: a}, {name: b, experiment: absent.yaml}]\n"
    )
    (folder / "grid.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"1 problems\s+row b: no such experiment: absent\.yaml"):
        read_grid("grid.yaml")
    (folder / "grid.yaml").write_text(text.replace("absent", "dass"), encoding="utf-8")
    assert [row.experiment.name for row in read_grid("grid.yaml").rows] == ["lung_srad.yaml", "dass.yaml"]
