"""The records of the data sets, and which data set a folder holds."""

from pathlib import Path

import pytest

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.catalogue import DATA_SETS, find_data_set, refuse_other_data_set
from lung_srad_plugin.errors import LungSRADError

RECORDINGS = {
    "icbhi": "101_1b1_Al_sc_Meditron.wav",
    "sprsound": "65101170_0.4_0_p1_3246.flac",
    "kauh": "BP1_Asthma,I E W,P L L,70,M.wav",
    "hf_lung": "trunc_2019-08-21-10-35-06-L1_14.wav",
}


def test_every_data_set_has_an_example():
    assert set(RECORDINGS) == set(DATA_SETS)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_of_one_data_set_only(name):
    counts = {key: record.count_recordings([Path(RECORDINGS[name])]) for key, record in DATA_SETS.items()}
    assert counts == {key: int(key == name) for key in DATA_SETS}


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("wanted", RECORDINGS)
def test_another_data_sets_folder_names_its_command(name, wanted):
    files = [Path(RECORDINGS[name]), Path("notes.wav")]
    if name == wanted:
        refuse_other_data_set(files, DATA_SETS[wanted], "folder")
        return
    with pytest.raises(LungSRADError, match=f"1 of 2 audio files.*{DATA_SETS[name].command} DATA_FOLDER"):
        refuse_other_data_set(files, DATA_SETS[wanted], "folder")


def test_a_folder_that_no_data_set_knows_passes():
    refuse_other_data_set([Path("recording1.wav")], DATA_SETS["icbhi"], "folder")


def test_a_folder_with_any_recording_of_the_wanted_data_set_passes():
    refuse_other_data_set([Path(name) for name in RECORDINGS.values()], DATA_SETS["kauh"], "folder")


@pytest.mark.parametrize("command", ["prepare", "prepare-sprsound", "prepare-kauh"])
def test_commands_refuse_the_folder_of_another_data_set(tmp_path, command, capsys):
    wanted = {"prepare": "icbhi", "prepare-sprsound": "sprsound", "prepare-kauh": "kauh"}[command]
    (other,) = [name for name in ("kauh", "icbhi") if name != wanted][:1]
    (tmp_path / RECORDINGS[other]).write_bytes(b"x")
    options = ["--mixed", "both"] if command == "prepare-kauh" else []
    with pytest.raises(SystemExit) as stop:
        main([command, str(tmp_path), str(tmp_path / "out"), *options])
    assert stop.value.code == 2
    assert DATA_SETS[other].command in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["datasets", *arguments])
    return stop.value.code


def test_table_of_data_sets(capsys):
    assert run() == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in DATA_SETS)


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_set_in_full(name, capsys):
    assert run(name) == 0
    printed = " ".join(capsys.readouterr().out.split())
    record = find_data_set(name)
    for text in (record.title, record.licence, record.official_split, record.citation, record.command):
        assert text in printed
    assert "none published" in printed


def test_unknown_data_set_is_refused(capsys):
    assert run("coswara") == 2
    assert "icbhi, sprsound, kauh, hf_lung" in capsys.readouterr().err
