"""Manifests: what is written is read back, and everything wrong is refused with its file, row and column."""

import os

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.datasets.manifests import (
    read_manifest,
    validate_manifest,
    validate_manifests,
    write_manifest,
)
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.files import RECORD

LABELS = ("normal", "crackle")
HEADER = "ID,duration,wav,start,stop,label"


@pytest.fixture
def root(tmp_path):
    """A data folder with one recording of 3 s."""
    soundfile.write(tmp_path / "a.wav", np.zeros(12000), 4000)
    return tmp_path


def row(**changes):
    values = {"ID": "a1", "duration": 1.0, "wav": "{data_root}/a.wav", "start": 0.0, "stop": 1.0, "label": "normal"}
    return values | changes


def refusal(root, text, **options):
    """The message with which a manifest of this text is refused."""
    path = root / "train.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LungSRADError) as caught:
        validate_manifest(path, LABELS, **{"data_root": root, **options})
    return str(caught.value)


def test_round_trip(root):
    path = root / "deep" / "train.csv"
    rows = [row(patient="101"), row(ID="a2", start=1.0, stop=3.0, duration=2.0, label="crackle", patient="102")]
    write_manifest(path, rows)
    assert path.read_bytes().count(b"\r") == 0
    expected = [one | {"wav": f"{root}/a.wav"} for one in rows]
    assert read_manifest(path, root) == expected
    summary = validate_manifest(path, LABELS, root)
    assert summary.labels == {"normal": 1, "crackle": 1}
    assert summary.patients == ("101", "102")
    assert summary.rows == expected


def test_speechbrain_reads_what_we_write(root):
    from speechbrain.dataio.dataio import load_data_csv

    write_manifest(root / "train.csv", [row(wav="$data_root/a.wav")])
    data = load_data_csv(root / "train.csv", {"data_root": root})
    assert data["a1"]["wav"] == read_manifest(root / "train.csv", root)[0]["wav"] == f"{root}/a.wav"
    assert data["a1"]["duration"] == 1.0


def test_other_columns_and_their_order_are_free(root):
    (root / "train.csv").write_text("wav,label,site,stop,start,duration,ID\n{data_root}/a.wav,crackle,x,1,0,1,z\n")
    assert validate_manifest(root / "train.csv", LABELS, root).labels["crackle"] == 1


def test_write_manifest_keeps_the_old_file_on_an_error(root):
    path = root / "train.csv"
    write_manifest(path, [row()])
    before = path.read_bytes()
    for rows, message in (
        ([], "at least one row"),
        ([{"ID": "a"}], "has no duration, wav, start, stop, label"),
        ([row(), {**row(), "extra": 1}], "row 3"),
    ):
        with pytest.raises(LungSRADError, match=message):
            write_manifest(path, rows)
        assert path.read_bytes() == before
    assert sorted(file.name for file in root.iterdir()) == [RECORD, "a.wav", "train.csv"]


def test_names_that_are_not_utf8_are_refused(root):
    wav = "{data_root}/" + os.fsdecode(b"caf\xe9") + "/a.wav"
    with pytest.raises(LungSRADError, match=r"row 3 of the manifest, column 'wav': .*caf\\xe9.* is not UTF-8"):
        write_manifest(root / "train.csv", [row(), row(ID="a2", wav=wav)])
    assert not (root / "train.csv").exists()


@pytest.mark.parametrize("column", HEADER.split(","))
def test_missing_column(root, column):
    columns = [name for name in HEADER.split(",") if name != column]
    message = refusal(root, ",".join(columns) + "\n" + ",".join("1" for _ in columns) + "\n")
    assert f"train.csv, row 1, column '{column}': the column is missing" in message


def test_semicolons_are_recognised(root):
    message = refusal(root, HEADER.replace(",", ";") + "\n")
    assert "separated by commas" in message


def test_column_twice(root):
    assert "row 1, column 'label': the column is there more than once" in refusal(root, HEADER + ",label\n")


def test_byte_order_mark(root):
    message = refusal(root, b"\xef\xbb\xbf" + HEADER.encode() + b"\n")
    assert "byte order mark" in message and "save it as UTF-8 without BOM" in message


def test_other_encodings(root):
    assert "is not UTF-8" in refusal(root, HEADER.encode("utf-16"))


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("\n\n", "is empty"), (HEADER + "\n", "no rows")])
def test_nothing_in_it(root, text, message):
    assert message in refusal(root, text)


def test_absent_manifest(root):
    with pytest.raises(LungSRADError, match=r"nowhere\.csv: cannot be opened"):
        validate_manifest(root / "nowhere.csv", LABELS)


def test_broken_quotes(root):
    assert "line 2: is not a CSV" in refusal(root, HEADER + '\na,1,"x.wav"y,0,1,normal\n')


GOOD = "{name},1.0,{{data_root}}/a.wav,0.0,1.0,normal"


@pytest.mark.parametrize(
    ("line", "where", "message"),
    [
        ("", "row 3", "blank row"),
        (",,,,,", "row 3", "blank row"),
        ("b,1.0,{data_root}/a.wav,0.0,1.0", "row 3", "5 fields; the header has 6"),
        ("b,1.0,{data_root}/a.wav,0.0,1.0,normal,more", "row 3", "7 fields; the header has 6"),
        (" ,1.0,{data_root}/a.wav,0.0,1.0,normal", "row 3, column 'ID'", "blank"),
        ("a1,1.0,{data_root}/a.wav,0.0,1.0,normal", "row 3, column 'ID'", "'a1' is the ID of row 2 too"),
        ("b,,{data_root}/a.wav,0.0,1.0,normal", "row 3, column 'duration'", "blank"),
        ("b,1.0,{data_root}/a.wav,,1.0,normal", "row 3, column 'start'", "blank"),
        ("b,1.0,{data_root}/a.wav,0.0,,normal", "row 3, column 'stop'", "blank"),
        ("b,one,{data_root}/a.wav,0.0,1.0,normal", "row 3, column 'duration'", "'one' is not a number"),
        ("b,nan,{data_root}/a.wav,0.0,1.0,normal", "row 3, column 'duration'", "not a finite number"),
        ("b,0,{data_root}/a.wav,0.0,1.0,normal", "row 3, column 'duration'", "above 0"),
        ("b,1.0,{data_root}/a.wav,NaN,1.0,normal", "row 3, column 'start'", "not a finite number"),
        ("b,1.0,{data_root}/a.wav,0.0,inf,normal", "row 3, column 'stop'", "not a finite number"),
        ("b,1.0,{data_root}/a.wav,-0.5,1.0,normal", "row 3, column 'start'", "-0.5 is negative"),
        ("b,1.0,{data_root}/a.wav,1.0,1.0,normal", "row 3, column 'stop'", "stop 1.0 is not after start 1.0"),
        ("b,1.0,{data_root}/a.wav,2.0,1.0,normal", "row 3, column 'stop'", "stop 1.0 is not after start 2.0"),
        ("b,1.0,{data_root}/a.wav,2.5,3.5,normal", "row 3, column 'stop'", "past the end"),
        ("b,1.0,{data_root}/a.wav,3.5,4.5,normal", "row 3, column 'start'", "past the end"),
        ("b,1.0,{data_root}/a.wav,0.0,1.0,rhonchi", "row 3, column 'label'", "unknown label 'rhonchi'"),
        ("b,1.0,{data_root}/a.wav,0.0,1.0,", "row 3, column 'label'", "unknown label ''"),
        ("b,1.0,{data_root}/b.wav,0.0,1.0,normal", "row 3, column 'wav'", "b.wav does not exist"),
        ("b,1.0,{data_root}/text.wav,0.0,1.0,normal", "row 3, column 'wav'", "cannot be read as audio"),
        ("b,1.0,a.wav,0.0,1.0,normal", "row 3, column 'wav'", "relative path 'a.wav'; write '{data_root}/a.wav'"),
        ("b,1.0,,0.0,1.0,normal", "row 3, column 'wav'", "blank"),
    ],
)
def test_wrong_row(root, line, where, message):
    (root / "text.wav").write_text("no audio")
    refused = refusal(root, "\n".join([HEADER, GOOD.format(name="a1"), line, GOOD.format(name="c"), ""]))
    assert refused.startswith(f"{root / 'train.csv'}: 1 problem\n")
    assert f"train.csv, {where}: " in refused
    assert message in refused


@pytest.mark.parametrize("placeholder", ["{data_root}", "$data_root"])
def test_unresolved_data_root(root, placeholder):
    refused = refusal(root, f"{HEADER}\na,1.0,{placeholder}/a.wav,0.0,1.0,normal\n", data_root=None)
    assert f"row 2, column 'wav': {placeholder} is not resolved; pass data_root" in refused


def test_all_problems_are_reported_at_once(root):
    refused = refusal(root, f"{HEADER}\na,x,{{data_root}}/b.wav,2,1,wet\n\nc,1.0\n")
    assert "6 problems" in refused
    for column in ("duration", "wav", "stop", "label"):
        assert f"row 2, column '{column}'" in refused
    assert "row 3: blank row" in refused and "row 4: 2 fields" in refused


def test_long_lists_are_cut_and_counted(root):
    rows = "".join(f"a{number},1.0,{{data_root}}/a.wav,0.0,1.0,wet{number}\n" for number in range(80))
    refused = refusal(root, f"{HEADER}\n{rows}")
    assert "80 problems" in refused and "... and 30 more" in refused
    assert len(refused.splitlines()) == 52


GROUPED = {
    "a value too many": ("{name},1.0,{root}/a.wav,0.0,1.0,normal,101", "495 rows (2, 3, 4, ...): 7 fields"),
    "a blank cell": ("{name},,{root}/a.wav,0.0,1.0,normal", "column 'duration', 495 rows (2, 3, 4, ...): blank"),
    "an unknown label": ("{name},1.0,{root}/a.wav,0.0,1.0,wet", "column 'label', 495 rows (2, 3, 4, ...): unknown"),
    "an absent file": ("{name},1.0,{root}/{name}.wav,0.0,1.0,normal", "column 'wav': 495 rows name an audio file that"),
    "a relative path": ("{name},1.0,{name}.wav,0.0,1.0,normal", "column 'wav': 495 rows have a relative path"),
    "a late stop": ("{name},1.0,{root}/a.wav,0.0,9.0,normal", "column 'stop': 495 rows reach past the end"),
    "an early stop": ("{name},1.0,{root}/a.wav,0.{name},0.0,normal", "column 'stop': 495 rows have a stop"),
    "words": ("{name},x{name},{root}/a.wav,0.0,1.0,normal", "column 'duration': 495 rows have no number"),
}


@pytest.mark.parametrize("case", GROUPED)
def test_one_mistake_in_every_row_is_one_line(root, case):
    line, expected = GROUPED[case]
    refused = refusal(
        root, HEADER + "\n" + "".join(line.format(name=number, root="{data_root}") + "\n" for number in range(1, 496))
    )
    assert refused.startswith(f"{root / 'train.csv'}: 495 problems\n")
    assert len(refused.splitlines()) == 2
    assert expected in refused


def test_audio_files_are_not_opened_on_request(root):
    (root / "train.csv").write_text(f"{HEADER}\na,1.0,/no/such.wav,0.0,1.0,normal\n")
    assert validate_manifest(root / "train.csv", LABELS, check_files=False).patients is None


def test_read_manifest_refuses_a_bad_form_but_any_label(root):
    (root / "train.csv").write_text(f"{HEADER}\na,1.0,/no/such.wav,0.0,1.0,wet\n")
    assert read_manifest(root / "train.csv")[0]["label"] == "wet"
    (root / "train.csv").write_text(f"{HEADER}\na,1.0,/no/such.wav,1.0,1.0,wet\n")
    with pytest.raises(LungSRADError, match="row 2, column 'stop'"):
        read_manifest(root / "train.csv")


def three(root, train, valid, test):
    paths = []
    for name, rows in (("train", train), ("valid", valid), ("test", test)):
        paths.append(root / f"{name}.csv")
        write_manifest(paths[-1], rows)
    return paths


def test_three_manifests_and_their_patients(root):
    paths = three(
        root,
        [row(patient="1"), row(ID="a2", start=0.1, patient="2")],
        [row(ID="v", start=0.2, patient="3")],
        [row(ID="t", start=0.3, patient="2"), row(ID="t2", start=0.4, patient="3")],
    )
    summary = validate_manifests(*paths, labels=LABELS, data_root=root)
    assert summary.shared_patients == {"train_valid": (), "train_test": ("2",), "valid_test": ("3",)}
    assert not summary.valid_is_test


def test_valid_may_be_test_and_the_summary_says_so(root):
    paths = three(root, [row()], [row(ID="t", start=0.3)], [row(ID="t", start=0.3)])
    summary = validate_manifests(*paths, labels=LABELS, data_root=root)
    assert summary.valid_is_test
    assert summary.shared_patients == {"train_valid": (), "train_test": (), "valid_test": ()}


def test_train_shares_no_cycle_with_valid_or_test(root):
    paths = three(root, [row(), row(ID="a2", start=0.5)], [row(ID="other")], [row(ID="t", start=0.3), row(ID="a2")])
    with pytest.raises(LungSRADError) as caught:
        validate_manifests(*paths, labels=LABELS, data_root=root)
    refused = str(caught.value)
    assert "2 problems" in refused
    assert f"{paths[1]}, row 2, column 'wav': the same stretch of audio is row 2 of {paths[0]}" in refused
    assert f"{paths[2]}, row 3, column 'ID': 'a2' is row 3 of {paths[0]} too" in refused


def test_three_manifests_are_refused_together(root):
    paths = three(root, [row(label="wet")], [row(ID="v", start=2.0)], [row(ID="t", wav="x.wav")])
    with pytest.raises(LungSRADError) as caught:
        validate_manifests(*paths, labels=LABELS, data_root=root)
    assert "3 problems" in str(caught.value)
    assert all(str(path) in str(caught.value) for path in paths)
