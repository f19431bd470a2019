"""Where recordings and results lie, what is in an output, and what is refused before Ray is started."""

import json
import os
import socket
import sys

import pytest

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.errors import LungSRADError

pa = pytest.importorskip("pyarrow", reason="needs the extra screen")
pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra screen")
fsspec = pytest.importorskip("fsspec", reason="needs the extra screen")

from lung_srad_plugin.screening import command  # noqa: E402
from lung_srad_plugin.screening.engine import EngineOptions, ray_session  # noqa: E402
from lung_srad_plugin.screening.journal import Journal  # noqa: E402
from lung_srad_plugin.screening.model_copy import copy_model  # noqa: E402
from lung_srad_plugin.screening.output import PartWriter, ScreenOutput  # noqa: E402
from lung_srad_plugin.screening.run_file import check_same_run, describe_run  # noqa: E402
from lung_srad_plugin.screening.sources import find_source, search_folder  # noqa: E402
from lung_srad_plugin.screening.storage import locate  # noqa: E402
from lung_srad_plugin.screening.tables import Tables, bad_answer  # noqa: E402
from lung_srad_plugin.screening.worker import ScreenSettings  # noqa: E402

LABELS = ("normal", "abnormal")
SETTINGS = ScreenSettings(window=3.0, hop=0.5, merging="median")


@pytest.fixture
def store():
    """An object store in memory."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


@pytest.fixture(params=["local", "store"])
def place(request, tmp_path, store):
    return locate(str(tmp_path / "out") if request.param == "local" else "memory://archive/out")


def good_answer(file, segments=2, uncertain=False):
    segment = {"file": file, "label": "normal", "uncertain": uncertain, "unlike_training": False}
    rows = [segment | {"start": float(index), "end": index + 1.0} for index in range(segments)]
    return {"file": file, "reason": None, "recording": segment | {"segments": segments}, "rows": rows}


# ---- places ----


@pytest.mark.parametrize(
    ("text", "path", "shown"),
    [
        ("/a//b/../c.wav", "/a/c.wav", "/a/c.wav"),
        ("/a/b?c=d.wav", "/a/b?c=d.wav", "/a/b?c=d.wav"),
        ("file:///a/b.wav", "/a/b.wav", "/a/b.wav"),
        ("memory://a/b c#1.wav", "a/b c#1.wav", "memory://a/b c#1.wav"),
        ("memory://a/", "a", "memory://a"),
    ],
)
def test_a_path_and_an_address_are_told_apart(text, path, shown, store):
    found = locate(text)
    assert (found.path.lstrip("/"), str(found).replace(":///", "://")) == (path.lstrip("/"), shown)
    assert found.is_local == ("memory" not in text)


def test_an_address_of_an_object_store_keeps_its_options_from_its_path():
    found = locate("s3://bucket/a b#1.wav?region=eu-central-1&scheme=https")
    assert (found.path, str(found), found.filesystem.region) == (
        "bucket/a b#1.wav",
        "s3://bucket/a b#1.wav",
        "eu-central-1",
    )
    assert locate("s3://bucket/other?region=eu-central-1&scheme=https").filesystem is found.filesystem


def test_recordings_of_a_folder_are_found_by_their_endings(tmp_path, store):
    for name in ("b.wav", "a.FLAC", "sub/c.mp3", "notes.txt", "d.raw"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        store.pipe(f"/archive/{name}", b"x")
    (group,) = search_folder(find_source(str(tmp_path)))
    assert group.paths == [str(tmp_path / name) for name in ("a.FLAC", "b.wav", "sub/c.mp3")]
    (group,) = search_folder(find_source("memory://archive"))
    assert [f"{group.scheme}{path.lstrip('/')}" for path in group.paths] == [
        f"memory://archive/{name}" for name in ("a.FLAC", "b.wav", "sub/c.mp3")
    ]
    assert group.left({f"{group.scheme}{path}" for path in group.paths[1:]}) == group.paths[:1]


def test_links_to_folders_are_not_followed(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.wav").touch()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (group,) = search_folder(find_source(str(tmp_path)))
    assert group.paths == [str(tmp_path / "sub" / "a.wav")]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
def test_a_name_that_is_no_text_is_bad_and_the_others_are_done(tmp_path, monkeypatch):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for name in ("a.wav", os.fsdecode(b"\xe9.wav")):
        (sounds / name).touch()
    groups = search_folder(find_source(str(sounds)))
    assert groups[0].paths == [str(sounds / "a.wav")]
    tables = Tables.of_model(LABELS)
    job = command._Job(copy_model(None), SETTINGS, tables, command.ScreenOptions(), 1)
    others = tables.join([bad_answer(str(sounds / "a.wav"), "silence")])
    monkeypatch.setattr(command._Job, "_answers", lambda self, group, done: iter([others] if group.left(done) else []))
    output = ScreenOutput(locate(str(tmp_path / "out")))
    result = job.run(groups, output, set(), lambda done, total: None)
    assert (result.found, result.done_before, result.counts["bad"]) == (2, 0, 2)
    done = output.begin()
    assert done == {str(sounds / "a.wav"), f"{sounds}/\\xe9.wav"}
    result = job.run(groups, output, done, lambda done, total: None)
    assert (result.done_before, result.counts["bad"]) == (2, 0)
    with pytest.raises(LungSRADError, match="no UTF-8"):
        locate(os.fsdecode(b"/caf\xe9"))


def test_an_address_where_nothing_listens_is_refused_at_once(monkeypatch):
    ray = pytest.importorskip("ray", reason="needs the extra screen")
    monkeypatch.setattr(ray, "init", None)  # it would try for minutes
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "127.0.0.1:99999"):
        with pytest.raises(LungSRADError, match="no Ray cluster answers"), ray_session(EngineOptions(address)):
            pass


# ---- output ----


def test_parts_hold_each_recording_once_and_a_stopped_one_is_removed(place):
    tables, output = Tables.of_model(LABELS), ScreenOutput(place)
    assert output.open() is None and output.begin() == set()
    output.write_run({})
    writer = PartWriter(output, tables, seconds=0)
    writer.add(tables.join([good_answer("a.wav"), bad_answer("b.wav", "empty")]))
    writer.add(tables.join([good_answer("c.wav", segments=3, uncertain=True)]))
    writer.add(tables.join([bad_answer("d.wav", "silent")]))
    assert writer.counts == {"recordings": 2, "segments": 5, "bad": 2, "uncertain": 1, "unlike_training": 0}
    output.write_part(*(table.slice(0, 0) for table in tables.split(tables.join([]))))
    for folder in ("rows", "bad"):  # as of a run that was killed before the part was complete
        name = f"{place.path}/{folder}/part-000005.parquet"
        place.filesystem.copy_file(f"{place.path}/{folder}/part-000001.parquet", name)
    output.close()

    again = ScreenOutput(place)
    again.open()
    assert again.begin() == {"a.wav", "b.wav", "c.wav", "d.wav"}
    for folder, expected in {"rows": 5, "recordings": 2, "bad": 2}.items():
        found = [
            pq.read_table(f"{place.path}/{folder}/{name}", filesystem=place.filesystem) for name in again._files(folder)
        ]
        assert sum(map(len, found)) == expected
    assert again.begin(again=True) == {"a.wav", "c.wav"}
    again.close()


def test_an_output_belongs_to_one_process_and_one_run(tmp_path):
    output = ScreenOutput(locate(str(tmp_path / "out")))
    output.open()
    with pytest.raises(LungSRADError, match="another lung-srad screen writes there"):
        ScreenOutput(locate(str(tmp_path / "out"))).open()
    output.close()
    model = copy_model(None)
    run = describe_run("source", "starter-1", model, SETTINGS)
    output.write_run(run)
    assert json.loads((tmp_path / "out" / "run.json").read_text()) == run
    check_same_run(output.open(), run, "out")
    output.close()
    other = describe_run(
        "other source", "starter-2", model, SETTINGS.model_copy(update={"hop": 1.0, "precision": "bf16"})
    )
    with pytest.raises(LungSRADError) as error:
        check_same_run(run, other, "out")
    named = [name for name in ("model", "hop", "precision", "merging", "source") if f"{name} was" in str(error.value)]
    assert named == ["model", "hop", "precision"]


def test_the_run_of_an_earlier_version_is_resumed():
    model = copy_model(None)
    run = describe_run("source", "starter-1", model, SETTINGS)
    # As the first version wrote it.
    before = {"window": 3.0, "hop": 0.5, "merging": "median", "calibrated": False, "sensitivity": None,
              "precision": "fp32"}  # fmt: skip
    assert run["settings"] == before
    check_same_run({**run, "settings": before, "versions": {}}, run, "out")


def test_the_model_is_copied_whole():
    copy = copy_model("starter")
    assert {"config.json", "hyperparams.yaml", "embedding_model.ckpt", "novelty.safetensors"} <= set(copy.files)
    assert copy.load("cpu", "fp32").model_id.startswith("starter-")


def test_the_journal_counts_deaths_by_recording():
    journal = Journal()
    for worker in ("one", "two"):
        journal.start(worker)
    assert [journal.begin("one", "a"), journal.begin("two", "b"), journal.begin("one", "c")] == [0, 0, 0]
    journal.start("one")
    assert [journal.begin("one", name) for name in ("a", "b", "c")] == [0, 0, 1]
    journal.start("one")
    assert journal.begin("two", "c") == 2


# ---- what is refused before Ray is started ----


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    def run(*words):
        monkeypatch.setattr("lung_srad_plugin.screening.command.ray_session", None)  # it would start
        with pytest.raises(SystemExit) as end:
            main(["screen", *map(str, words)])
        assert end.value.code == 2
        return capsys.readouterr().err

    return run


def test_a_source_without_recordings(refused, tmp_path):
    assert "nowhere: nothing is there" in refused(tmp_path / "nowhere", tmp_path / "out")
    assert "no recording is there" in refused(tmp_path, tmp_path / "out")
    assert "unknown" in refused("ftps3://bucket", tmp_path / "out")
    (tmp_path / "a.wav").touch()
    assert "is no list of paths" in refused(tmp_path / "a.wav", tmp_path / "out", "--path-column", "file")
    assert not (tmp_path / "out").exists()


def test_a_destination_with_something_else(refused, tmp_path):
    for name in ("in/a.wav", "out/letter.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert "holds files and no run.json" in refused(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter.txt"]


def test_settings_that_do_not_fit_the_model(refused, tmp_path):
    (tmp_path / "a.wav").touch()
    assert "hop=9.0" in refused(tmp_path, tmp_path / "out", "--hop", "9")
    assert not (tmp_path / "out").exists()


def test_without_ray_the_extra_is_named(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "lung-srad[screen]" in refused(tmp_path, tmp_path / "out")
