"""HyperPyYAML text is checked before anything of it is built: every tag, and every place a callable may stand at."""

import pytest

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.utils.yaml_nodes import Arguments, YamlRules, build_checked, check_yaml

COUNTER = "!new:collections.Counter"
RULES = YamlRules({COUNTER: Arguments(("b", "c")), "!apply:builtins.max": Arguments(positions=2)})
EXPRESSIONS = YamlRules(references="expressions")

# What would leave a trace if it were ever built; {trace} is a file that does not exist.
RUNS_CODE = {
    "!new:": "a: !new:subprocess.Popen\n  args: [touch, '{trace}']",
    "!new: without arguments": "a: !new:threading.Thread",
    "!new: flow": "a: !new:subprocess.Popen [[touch, '{trace}']]",
    "!apply:": "a: !apply:os.system ['touch {trace}']",
    "!apply: keywords": "a: !apply:os.mkdir {{path: '{trace}'}}",
    "!applyref:": "a: !applyref:os.mkdir ['{trace}']",
    "!name:": "a: !name:os.system",
    "!module:": "a: !module:antigravity",
    "!include:": "a: !include:{trace}",
    "!copy": "a: 1\nb: !copy <a>",
    "!PLACEHOLDER": "a: !PLACEHOLDER",
    "!tuple": "a: !tuple (1, 2)",
    "tuple that runs code": "a: (!!python/object/apply:os.mkdir ['{trace}'])",
    "tuple in quotes": "a: \"(!!python/object/apply:os.mkdir ['{trace}'])\"",
    "tuple in a list": "a:\n- [(!!python/object/apply:os.mkdir ['{trace}'])]",
    "!!python/object/apply": "a: !!python/object/apply:os.mkdir ['{trace}']",
    "!!python/object/new": "a: !!python/object/new:subprocess.Popen [[touch, '{trace}']]",
    "!!python/name": "a: !!python/name:os.system",
    "!!python/module": "a: !!python/module:antigravity",
    "!!python/tuple": "a: !!python/tuple [1]",
    "verbatim tag": "a: !<tag:yaml.org,2002:python/object/apply:os.mkdir> ['{trace}']",
    "escaped tag": "a: !app%6Cy:os.mkdir ['{trace}']",
    "tag by another name": "%TAG !e! tag:yaml.org,2002:python/object/apply:\n---\na: !e!os.mkdir ['{trace}']",
    "as a key": "? !apply:os.mkdir ['{trace}']\n: 1",
    "as the whole": "!apply:os.mkdir\npath: '{trace}'",
    "in a list": "a: [1, [!apply:os.mkdir ['{trace}']]]",
    "in a mapping": "a: {{b: {{c: !apply:os.mkdir ['{trace}']}}}}",
    "among allowed arguments": f"a: {COUNTER}\n  b: !apply:os.mkdir ['{{trace}}']",
    "attribute of an object": f"a: {COUNTER}\nb: !ref <a.update>",
    "another argument": f"a: {COUNTER} {{{{d: 1}}}}",
    "a value": f"a: {COUNTER} [[1]]",
    "a text": f"a: {COUNTER} text",
    "too many values": "a: !apply:builtins.max [1, 2, 3]",
    "arguments by name": "a: !apply:builtins.max {{key: 1}}",
    "another tag for it": "a: !name:collections.Counter",
}


@pytest.mark.parametrize("case", RUNS_CODE)
def test_what_is_not_allowed_is_refused_with_its_line_and_never_run(tmp_path, case):
    trace = tmp_path / "trace"
    text = "first: 1\n" + RUNS_CODE[case].format(trace=trace)
    if case in ("as the whole", "tag by another name"):
        text = RUNS_CODE[case].format(trace=trace)
    with pytest.raises(LungSRADError, match=r"^some\.yaml(, line [1-9]|: expected `key: value` lines)"):
        build_checked(text, "some.yaml", RULES)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("a: 1\nb: !apply:os.system [x]", 2, "!apply:os.system"),
        ("a: 1\nb: [1,\n !new:os.Thing {}]", 3, "!new:os.Thing"),
        ("a: !!python/name:os.system", 1, "!!python/name:os.system"),
        ("a: 1\nb: 2\na: 3", 3, "'a' is given twice"),
        ("a: {b: 1, b: 2}", 1, "'b' is given twice"),
        ("a: &x 1", 1, "&x"),
        ("a: &x 1\nb: *x", 1, "&x"),
        ("a:\n  <<: {b: 1}", 2, "<<"),
        ("? [1]\n: 2", 1, "!!seq"),
        ("a: 2001-01-01", 1, "!!timestamp"),
        ("a: !!binary abcd", 1, "!!binary"),
        ("a: !!set {b}", 1, "!!set"),
        ("a: !ref <b>", 1, "<b> names no key"),
        ("a: 1\nb: !ref <a> + 1", 2, "!ref <a> + 1"),
        ("a: 1\nb: !ref text/<a>", 2, "text/<a>"),
        ("a: [1]\nb: !ref <a[0]>", 2, "<a[0]>"),
        ("a: 1\nb: !ref a", 2, "!ref a"),
        ("c: 1\na: x<c>\nb: !ref <a>", 3, "x<c>"),
        ("a: !ref [b]", 1, "!ref"),
        ("a: 1\n---\nb: 2", 2, "another document"),
        ("a: 1\nb: [", 2, "not valid yaml"),
        ("a:\n" + " b: " + "[" * 5000, 2, "deeper"),
        ("\n".join(" " * depth + "a:" for depth in range(100)), 31, "deeper"),
    ],
)
def test_each_refusal_names_line_and_cause(text, line, named):
    with pytest.raises(LungSRADError) as caught:
        check_yaml(text, "some.yaml", RULES)
    assert f"line {line}: " in str(caught.value) and named in str(caught.value)


def test_several_refusals_are_listed_up_to_five():
    text = "\n".join(f"k{index}: !apply:f{index} []" for index in range(9))
    with pytest.raises(LungSRADError) as caught:
        check_yaml(text, "some.yaml", RULES)
    named = [index for index in range(9) if f"line {index + 1}: !apply:f{index} " in str(caught.value)]
    assert named == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("text", ["", "- 1", "text", "a: \x00", "[1, 2]"])
def test_what_is_no_mapping_is_refused(text):
    with pytest.raises(LungSRADError, match=r"some\.yaml"):
        check_yaml(text, "some.yaml", RULES)


def test_a_text_that_is_too_long_is_refused():
    with pytest.raises(LungSRADError, match="200,004 characters; expected at most 200,000"):
        check_yaml("a: '" + "x" * 199_999 + "'", "some.yaml", RULES)


def test_aliases_are_refused_or_counted_each_time():
    bomb = "a0: &a0 [1, 1]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 25))
    loop = "a: &a {b: *a}"
    for text in (bomb, loop):
        with pytest.raises(LungSRADError, match="anchors and aliases"):
            check_yaml(text, "some.yaml", RULES)
        with pytest.raises(LungSRADError, match="more than 20000 values or 30 levels"):
            check_yaml(text, "some.yaml", YamlRules(aliases=True))
    assert check_yaml("a: &x [1]\nb: *x", "some.yaml", YamlRules(aliases=True))


def test_a_reference_in_a_circle_is_refused():
    with pytest.raises(LungSRADError, match="levels"):
        build_checked("a: {b: !ref <a>}", "some.yaml", RULES)


def test_what_is_allowed_is_built_as_hyperpyyaml_builds_it():
    text = f"size: 3\nplain: [1, 2.5, true, null, 'text']\na: {COUNTER}\n  b: !ref <size>\nsame: !ref <a>\n" + (
        "most: !apply:builtins.max [!ref <size>, 2]\n"
    )
    built = build_checked(text, "some.yaml", RULES, {"size": 5})
    assert built["a"] == {"b": 5} and built["same"] is built["a"] and built["most"] == 5
    assert built["plain"] == [1, 2.5, True, None, "text"]


@pytest.mark.parametrize(
    "value",
    [
        *("!apply:os.mkdir ['{trace}']", "!applyref:os.mkdir ['{trace}']", "!include:{trace}"),
        "(!!python/object/apply:os.mkdir ['{trace}'])",
    ],
)
def test_overrides_bring_in_nothing_that_the_rules_refuse(tmp_path, value):
    trace = tmp_path / "trace"
    value = value.format(trace=trace)
    with pytest.raises(LungSRADError, match=r"some\.yaml, overrides, line 1"):
        build_checked("size: 3", "some.yaml", RULES, f"size: {value}")
    if value.startswith("("):
        with pytest.raises(LungSRADError, match=r"some\.yaml, references filled in, line 1"):
            build_checked("size: 3", "some.yaml", RULES, {"size": value})
    assert not trace.exists()


def test_what_is_built_is_what_was_checked(monkeypatch):
    import hyperpyyaml

    built, load = [], hyperpyyaml.load_hyperpyyaml
    monkeypatch.setattr(hyperpyyaml, "load_hyperpyyaml", lambda text: built.append(text) or load(text))
    text = "a: 1.50\nb: 'quoted'\nc: |\n  two\n  lines\nd: {e: [1,    2]}  # comment\nf: !ref <d>\ng: 1e-5\nh:\n"
    result = build_checked(text, "some.yaml", RULES)
    assert hyperpyyaml.resolve_references(built[0]).getvalue() == built[0]
    assert result == load(text)


def test_expressions_are_a_choice():
    text = "a: 2\nb: {c: 3}\nsum: !ref <a> + <b[c]>\npath: !ref results/<a>/x"
    built = build_checked(text, "some.yaml", EXPRESSIONS)
    assert (built["sum"], built["path"]) == (5, "results/2/x")
    assert check_yaml("a: !ref results/<key_of_another_file>", "some.yaml", EXPRESSIONS)
    for reference in ("<a.b>", "<a> ** <a>", "<a", "(<a>)", "<a[b].c>"):
        with pytest.raises(LungSRADError, match="line 2"):
            check_yaml(f"a: 1\nb: !ref {reference}", "some.yaml", EXPRESSIONS)


def test_a_tuple_put_together_from_references_is_refused(tmp_path):
    trace = tmp_path / "trace"
    text = f"a: \"(!!python/object/apply:os.mkdir ['{trace}']\"\nb: ')'\nc: !ref <a><b>"
    with pytest.raises(LungSRADError, match="!tuple"):
        build_checked(text, "some.yaml", EXPRESSIONS)
    assert not trace.exists()


def test_further_tags_are_a_choice():
    rules = YamlRules(tags=("!PLACEHOLDER", "!copy"))
    assert check_yaml("a: !PLACEHOLDER\nb: !copy <a>", "some.yaml", rules)
    with pytest.raises(LungSRADError, match="<c> names no key"):
        check_yaml("b: !copy <c>", "some.yaml", rules)
