import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.predictions import align, check_complete, make_table
from lung_srad_plugin.metrics.predictions_file import read_predictions, write_predictions

HEADER = "ID,label,prediction,p_normal,p_crackle,p_wheeze,p_both,patient\n"
GOOD = "a,normal,normal,0.7,0.1,0.1,0.1,101\nb,both,crackle,0.1,0.5,0.2,0.2,102\n"


def table(ids=("a", "b", "c"), patients=("101", "101", "102"), seed=0):
    rng = np.random.default_rng(seed)
    targets = [CLASSES[i] for i in rng.integers(0, 4, len(ids))]
    return make_table(ids, targets, rng.dirichlet(np.ones(4), len(ids)), metadata={"patient": patients})


def write(tmp_path, text):
    path = tmp_path / "predictions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_what_is_there(tmp_path):
    read = read_predictions(write(tmp_path, HEADER + GOOD))
    assert read.ids == ("a", "b")
    assert read.labels == CLASSES
    assert read.targets.tolist() == [0, 3]
    assert read.predicted.tolist() == [0, 1]
    assert read.probabilities[1].tolist() == [0.1, 0.5, 0.2, 0.2]
    assert read.metadata == {"patient": ("101", "102")}


def test_byte_order_mark_and_quotes_are_read(tmp_path):
    path = write(tmp_path, "\ufeff" + HEADER + 'a,normal,normal,0.7,0.1,0.1,0.1,"Smith, J"\n')
    assert read_predictions(path).column("patient") == ("Smith, J",)


@given(st.integers(0, 2**32 - 1))
def test_round_trip_is_exact(tmp_path_factory, seed):
    written = table(seed=seed)
    path = tmp_path_factory.mktemp("round") / "predictions.csv"
    write_predictions(written, path)
    read = read_predictions(path, labels=CLASSES)
    assert (read.ids, read.metadata) == (written.ids, written.metadata)
    for name in ("targets", "predicted", "probabilities"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


def test_a_stated_answer_decides_a_tie(tmp_path):
    path = write(tmp_path, HEADER + "a,both,both,0.3,0.1,0.3,0.3,101\n")
    assert read_predictions(path).predicted.tolist() == [3]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (GOOD + "a,normal,normal,0.7,0.1,0.1,0.1,9\n", "line 4: ID a repeats that of line 2"),
        (",normal,normal,0.7,0.1,0.1,0.1,9\n", "line 2: blank ID"),
        ("a,rhonchi,normal,0.7,0.1,0.1,0.1,9\n", "line 2, ID a: label 'rhonchi'; expected one of normal"),
        ("a,normal,Normal,0.7,0.1,0.1,0.1,9\n", "ID a: prediction 'Normal'"),
        ("a,normal,normal,nan,0.1,0.1,0.1,9\n", "ID a: probabilities nan, 0.1, 0.1, 0.1; expected numbers from 0 to 1"),
        ("a,normal,normal,1.2,-0.2,0,0,9\n", "expected numbers from 0 to 1"),
        ("a,normal,normal,,0.1,0.1,0.1,9\n", "line 2: p_normal is '', not a number"),
        ("a,normal,normal,0.8,0.1,0.1,0.1,9\n", "sum to 1.1, not 1"),
        ("a,normal,wheeze,0.7,0.1,0.1,0.1,9\n", "prediction 'wheeze' is not the most probable"),
        ("a,normal,normal,0.7,0.1,0.1,0.1\n", "line 2: 7 cells, but the header has 8"),
        (GOOD + "\n" + GOOD, "line 4: 0 cells"),
        ("", "at least one row"),
    ],
)
def test_bad_rows_are_refused_with_their_place(tmp_path, rows, message):
    with pytest.raises(LungSRADError, match=message):
        read_predictions(write(tmp_path, HEADER + rows))


def test_all_problems_are_told_at_once_and_long_lists_cut(tmp_path):
    rows = "".join(f"c{i},normal,normal,0.9,0.2,0,0,9\n" for i in range(14)) + "x,no,normal,1,0,0,0,9\n"
    with pytest.raises(LungSRADError) as caught:
        read_predictions(write(tmp_path, HEADER + rows))
    message = str(caught.value)
    assert "predictions.csv: 15 problems" in message
    assert message.count("\n  line ") == 10
    assert message.endswith("and 5 more")


@pytest.mark.parametrize(
    ("header", "labels", "message"),
    [
        ("ID,label,p_normal,p_both\n", None, "missing prediction"),
        ("ID,label,prediction\n", None, "0 probability columns"),
        ("ID,ID,label,prediction,p_a,p_b\n", None, "repeated ID"),
        ("", None, "missing ID, missing label, missing prediction"),
        ("ID,label,prediction,p_normal,p_wheeze,p_crackle,p_both\n", CLASSES, "in this order"),
    ],
)
def test_bad_headers_are_refused(tmp_path, header, labels, message):
    with pytest.raises(LungSRADError, match=message):
        read_predictions(write(tmp_path, header), labels)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(LungSRADError, match="no such file"):
        read_predictions(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"probabilities": [[1, 0, 0]]}, "expected \\(1, 4\\)"),
        ({"targets": ["normal", "both"]}, "targets: 2 values for 1 IDs"),
        ({"metadata": {"age": [1, 2]}}, "age: 2 values for 1 IDs"),
        ({"targets": ["whistle"]}, "row 1, ID a: label 'whistle'"),
        ({"probabilities": [[np.nan, 0, 0, 1]]}, "row 1, ID a: probabilities nan"),
    ],
)
def test_bad_arrays_are_refused(arguments, message):
    with pytest.raises(LungSRADError, match=message):
        make_table(**{"ids": ["a"], "targets": ["normal"], "probabilities": [[1, 0, 0, 0]], **arguments})


def test_missing_columns_and_blank_patients_are_refused():
    with pytest.raises(LungSRADError, match="no column 'device'; they have patient"):
        table().column("device")
    with pytest.raises(LungSRADError, match="'patient' is blank for b"):
        table(patients=("101", " ", "102")).patients()


def test_complete_names_both_sides():
    check_complete(table(), ["c", "b", "a"], "test.csv")
    with pytest.raises(LungSRADError, match=r"no prediction for d; not in test.csv: b, c"):
        check_complete(table(), ["a", "d"], "test.csv")


def test_rows_and_align():
    first = table()
    shuffled = first.rows([2, 0, 1])
    assert shuffled.ids == ("c", "a", "b")
    assert shuffled.column("patient") == ("102", "101", "101")
    np.testing.assert_array_equal(align(first, shuffled).probabilities, first.probabilities)
    assert first.rows(np.array([True, False, True])).ids == ("a", "c")


def test_align_refuses_other_cycles_labels_or_patients():
    first = table()
    with pytest.raises(LungSRADError, match="no prediction for c"):
        align(first, first.rows([0, 1]))
    with pytest.raises(LungSRADError, match="another label or patient for c"):
        align(first, table(patients=("101", "101", "103")))
    other = make_table(["a"], ["no"], [[1, 0]], labels=("no", "yes"))
    with pytest.raises(LungSRADError, match="labels differ"):
        align(first, other)


def test_utf_16_is_refused_with_the_cure(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text(HEADER + GOOD, encoding="utf-16")
    with pytest.raises(LungSRADError, match="UTF-16; save it as UTF-8"):
        read_predictions(path)


def test_latin_1_is_refused_with_the_line(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_bytes((HEADER + GOOD + "c,normal,normal,0.7,0.1,0.1,0.1,Andr\xe9\n").encode("latin-1"))
    with pytest.raises(LungSRADError, match="line 4: byte 0xe9 is not UTF-8"):
        read_predictions(path)


def test_a_field_that_csv_cannot_hold_is_refused_with_the_line(tmp_path):
    text = HEADER + GOOD + 'c,normal,normal,0.7,0.1,0.1,0.1,"' + "x" * (1 << 18) + '"\n'
    with pytest.raises(LungSRADError, match="line 4: not CSV"):
        read_predictions(write(tmp_path, text))


def test_a_fault_of_every_row_is_one_problem(tmp_path):
    """A column whose header is missing, a label no class has, and a column without numbers, 495 times each."""
    rows = "".join(f"c{i},normal,normal,0.7,0.1,0.1,0.1,101\n" for i in range(495))
    for text, message in (
        (HEADER.replace(",patient", "") + rows, ": 8 cells, but the header has 7"),
        (HEADER + rows.replace(",normal,n", ",dull,n"), ", ID c0: label 'dull'"),
        (HEADER + rows.replace("0.7", ""), ": p_normal is ''"),
    ):
        with pytest.raises(LungSRADError) as caught:
            read_predictions(write(tmp_path, text))
        assert f"1 problem\n  495 rows, the first in line 2{message}" in str(caught.value)


def test_a_foreign_file_is_not_overwritten(tmp_path):
    path = write(tmp_path, "somebody's notes")
    with pytest.raises(LungSRADError, match=r"predictions\.csv: already there"):
        write_predictions(table(), path)
    assert path.read_text(encoding="utf-8") == "somebody's notes"
