"""Problems in one report: those of one kind become one line, with their number and examples."""

import pytest

from lung_srad_plugin.datasets.problems import LISTED, Problem, describe_problems, raise_problems
from lung_srad_plugin.errors import LungSRADError


def missing(number):
    group = "{count} recordings have no .txt beside them"
    return [
        Problem(f"a/{index}.wav", f"recording without its annotation {index}.txt", group=group)
        for index in range(number)
    ]


def test_problems_of_one_kind_in_many_files_become_one_line():
    lines = describe_problems(missing(108))
    assert lines == [("108 recordings have no .txt beside them, for example a/0.wav, a/1.wav, a/2.wav", 108)]


def test_a_few_problems_of_one_kind_are_listed_one_by_one():
    lines = describe_problems(missing(LISTED))
    assert [count for _, count in lines] == [1] * LISTED
    assert lines[-1][0] == "a/2.wav: recording without its annotation 2.txt"


def test_equal_messages_need_no_group():
    problems = [Problem(f"{index}.wav", "empty file") for index in range(5)]
    assert describe_problems(problems) == [("5 times (0.wav, 1.wav, 2.wav, ...): empty file", 5)]


def test_kinds_columns_and_files_are_kept_apart():
    problems = [
        Problem(file, "blank; expected seconds", row=row, column=column)
        for row in range(2, 7)
        for file in ("train.csv", "test.csv")
        for column in ("start", "stop")
    ]
    lines = describe_problems(problems)
    assert len(lines) == 4
    assert lines[0] == ("train.csv, column 'start', 5 rows (2, 3, 4, ...): blank; expected seconds", 5)


def test_lines_of_a_text_file_are_named():
    problems = [
        Problem("split.txt", f"{n}; expected 'name train'", n, group="{count} lines are malformed") for n in range(1, 6)
    ]
    assert describe_problems(problems) == [("split.txt: 5 lines are malformed, lines 1, 2, 3, ...", 5)]


def test_a_line_stands_where_its_first_problem_stood_and_the_rest_is_counted():
    problems = [Problem("x.wav", "first"), *missing(50), Problem("y.wav", "last")]
    with pytest.raises(LungSRADError) as caught:
        raise_problems(problems, "data", limit=2)
    first, *lines = str(caught.value).splitlines()
    assert first == "data: 52 problems"
    assert lines[0].strip() == "x.wav: first"
    assert lines[1].strip().startswith("50 recordings")
    assert lines[2:] == ["  ... and 1 more"]


def test_braces_in_a_message_are_text():
    problems = [Problem("m.csv", f"{{data_root}}/{n}", row=n, group="{count} of {data_root}") for n in range(2, 8)]
    assert describe_problems(problems)[0][0] == "m.csv: 6 of {data_root}, rows 2, 3, 4, ..."
