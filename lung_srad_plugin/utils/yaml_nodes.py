"""HyperPyYAML text as nodes, checked against a list of what it may call before anything of it is built.

HyperPyYAML runs what its text names: ``!new:``, ``!apply:`` and ``!name:`` call anything, ``!include:`` opens files,
``!!python/...`` and even a text in parentheses run code. Text from elsewhere is therefore composed as nodes, which
builds nothing, and refused unless all of it is known.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import Literal, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, MappingStartEvent, NodeEvent, SequenceStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lung_srad_plugin.errors import LungSRADError

SHOWN_PROBLEMS = 5
MOST_ROUNDS = 4  # of writing and reading a text until it stays the same

_YAML = "tag:yaml.org,2002:"
_PLAIN_SCALARS = {_YAML + kind for kind in ("str", "int", "float", "bool", "null")}
_REFERENCE = re.compile(r"<([^<>]*)>")
_KEY_NAME = re.compile(r"\w+")
_INDEXED_NAME = re.compile(r"\w+(\[[\w-]+\])*")
# HyperPyYAML reads a text in parentheses as a tuple, with a loader that runs code.
_TUPLE = re.compile(r"\s*\(.*\)\s*", re.DOTALL)


class Arguments(NamedTuple):
    """What may be given to a callable: arguments by these names, None for any, or a list of at most so many values."""

    names: tuple[str, ...] | None = ()
    positions: int = 0


@dataclass(frozen=True)
class YamlRules:
    """What HyperPyYAML text may hold besides plain mappings, lists, numbers, texts, booleans and nulls.

    Arguments
    ---------
    callables : mapping
        By the tag as the text writes it, for example ``"!new:torch.nn.Linear"``, the arguments that may be given.
    references : str
        ``"names"``: ``!ref <key>`` of one top-level key of the text, and nothing else. ``"expressions"``: also nested
        values (``<key[inner]>``), text around, arithmetic, and keys that another file defines. References with a dot
        read attributes of objects and are refused in both.
    tags : tuple of str
        Further tags that a scalar may have, for example ``"!PLACEHOLDER"``. ``"!copy"`` is read like ``!ref``.
    aliases : bool
        Whether yaml's own anchors and aliases are allowed, which a saved run has.
    max_characters, max_depth, max_nodes : int
        Sizes that no honest text comes near.
    """

    callables: Mapping[str, Arguments] = field(default_factory=dict)
    references: Literal["names", "expressions"] = "names"
    tags: tuple[str, ...] = ()
    aliases: bool = False
    max_characters: int = 200_000
    max_depth: int = 30
    max_nodes: int = 20_000


def check_yaml(text: str, origin: str, rules: YamlRules, cure: str = "") -> MappingNode:
    """Return HyperPyYAML text as nodes, after checking that it holds nothing but what the rules allow.

    Nothing is built, imported or opened.

    Arguments
    ---------
    text : str
    origin : str
        Where it comes from, for messages.
    rules : YamlRules
    cure : str
        What to do about a refusal, for messages.

    Returns
    -------
    ruamel.yaml.nodes.MappingNode

    Raises
    ------
    LungSRADError
        Naming the line of each thing that is not allowed, and the thing.

    Example
    -------
    >>> rules = YamlRules({"!new:torch.nn.Linear": Arguments(("in_features", "out_features"))})
    >>> check_yaml("size: 3\\nlayer: !new:torch.nn.Linear {in_features: !ref <size>}", "a.yaml", rules).tag
    'tag:yaml.org,2002:map'
    >>> check_yaml("size: 3\\nlayer: !apply:os.system [reboot]", "a.yaml", rules)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: a.yaml, line 2: !apply:os.system is not allowed
    """
    if len(text) > rules.max_characters:
        raise LungSRADError(f"{origin}: {len(text):,} characters; expected at most {rules.max_characters:,}")
    try:
        problem = _first_structural_problem(text, rules)
        root = None if problem else YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise LungSRADError(f"{origin}{line}: not valid yaml ({error.problem})") from None
    except (YAMLError, ValueError) as error:
        raise LungSRADError(f"{origin}: not valid yaml ({str(error).splitlines()[0]})") from None
    end = f"; {cure}" if cure else ""
    if problem:
        raise LungSRADError(f"{origin}, {problem}{end}")
    if not isinstance(root, MappingNode) or root.tag != f"{_YAML}map":
        raise LungSRADError(f"{origin}: expected `key: value` lines, got {text.strip()[:60]!r}")
    problems = _Checker(rules, root).problems()
    shown = [problem for problem, _ in zip(problems, range(SHOWN_PROBLEMS), strict=False)]
    if shown:
        raise LungSRADError(f"{origin}, {'; '.join(shown)}{end}")
    return root


def build_checked(
    text: str,
    origin: str,
    rules: YamlRules,
    overrides: dict | str | None = None,
    overrides_must_match: bool = True,
    cure: str = "",
) -> dict:
    """Build what HyperPyYAML text describes, after checking it.

    It is checked again with references and overrides filled in, so that neither can bring in anything else, and in the
    very form in which HyperPyYAML builds it.

    Arguments
    ---------
    text, origin, rules, cure
        As for ``check_yaml``.
    overrides : dict or str, optional
        Changes to the values.
    overrides_must_match : bool
        Whether an override of a key that is not there is an error.

    Returns
    -------
    dict

    Raises
    ------
    LungSRADError
        As ``check_yaml``. Other exceptions come from HyperPyYAML and from what is built.

    Example
    -------
    >>> build_checked("size: 3\\nsame: !ref <size>", "a.yaml", YamlRules())
    {'size': 3, 'same': 3}
    """
    from hyperpyyaml import load_hyperpyyaml, resolve_references

    check_yaml(text, origin, rules, cure)
    if isinstance(overrides, str) and overrides:
        check_yaml(overrides, f"{origin}, overrides", replace(rules, references="expressions"), cure)
    filled = replace(rules, references="names", aliases=True, max_characters=10 * rules.max_characters)
    resolved = resolve_references(StringIO(text), overrides, overrides_must_match).getvalue()
    for _ in range(MOST_ROUNDS):
        check_yaml(resolved, f"{origin}, references filled in", filled, cure)
        again = resolve_references(StringIO(resolved)).getvalue()
        if again == resolved:
            # Loading writes and reads the text once more: it is the same, and so it is the checked one that is built.
            return load_hyperpyyaml(resolved)
        resolved = again
    raise LungSRADError(f"{origin}: changes each time it is written and read; write its values in plain style")


def called_tags(text: str) -> set[str]:
    """Return the tags with which a text calls something, such as ``!new:torch.nn.Linear``; nothing is built.

    Example
    -------
    >>> sorted(called_tags("a: !new:torch.nn.Identity\\nb: !name:len"))
    ['!name:len', '!new:torch.nn.Identity']
    """
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [YAML(typ="safe", pure=True).compose(text)]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if ":" in str(node.tag) and str(node.tag).startswith("!"):
            found.add(str(node.tag))
        if isinstance(node, MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, SequenceNode):
            waiting += node.value
    return found


def _first_structural_problem(text: str, rules: YamlRules) -> str | None:
    """Return what makes text unfit to be composed: composing nests as deep as the text, and follows its aliases."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
            return f"line {line}: a % directive is not allowed"
        if isinstance(event, NodeEvent) and event.anchor and not rules.aliases:
            sign = "*" if isinstance(event, AliasEvent) else "&"
            return f"line {line}: {sign}{event.anchor} is not allowed (anchors and aliases of yaml)"
        depth += isinstance(event, MappingStartEvent | SequenceStartEvent)
        depth -= type(event).__name__ in ("MappingEndEvent", "SequenceEndEvent")
        if depth > rules.max_depth:
            return f"line {line}: nested deeper than {rules.max_depth} levels"
    return None


class _Checker:
    """One walk over the nodes of a text."""

    def __init__(self, rules: YamlRules, root: MappingNode):
        self.rules = rules
        self.root = root
        self.nodes = {key.value: value for key, value in root.value if isinstance(key, ScalarNode)}
        self.visited = 0

    def problems(self) -> Iterator[str]:
        return self._visit(self.root, 0)

    def _visit(self, node: Node, depth: int) -> Iterator[str]:
        # Aliases are followed each time, as HyperPyYAML does, so that few lines may stand for very many nodes.
        self.visited += 1
        if self.visited > self.rules.max_nodes or depth > self.rules.max_depth:
            if self.visited <= self.rules.max_nodes + 1:
                self.visited = self.rules.max_nodes + 1
                yield _at(node, f"more than {self.rules.max_nodes} values or {self.rules.max_depth} levels")
            return
        if isinstance(node, MappingNode):
            yield from self._visit_mapping(node, depth)
        elif isinstance(node, SequenceNode):
            if node.tag != f"{_YAML}seq":
                yield from self._check_call(node)
            for item in node.value:
                yield from self._visit(item, depth + 1)
        elif isinstance(node, ScalarNode):
            yield from self._check_scalar(node)

    def _visit_mapping(self, node: MappingNode, depth: int) -> Iterator[str]:
        if node.tag != f"{_YAML}map":
            yield from self._check_call(node)
        seen = set()
        for key, value in node.value:
            if key.tag == f"{_YAML}merge":
                yield _at(key, "the merge key << is not allowed")
            elif not isinstance(key, ScalarNode) or key.tag not in _PLAIN_SCALARS or _TUPLE.fullmatch(key.value):
                yield _at(key, f"a key of kind {_kind(key.tag)} is not allowed")
            elif key.value in seen:
                yield _at(key, f"the key {key.value!r} is given twice")
            else:
                seen.add(key.value)
            yield from self._visit(value, depth + 1)

    def _check_call(self, node: Node) -> Iterator[str]:
        arguments = self.rules.callables.get(str(node.tag))
        if arguments is None:
            yield _at(node, f"{_kind(str(node.tag))} is not allowed")
        elif isinstance(node, SequenceNode) and len(node.value) > arguments.positions:
            yield _at(node, f"{node.tag} with {len(node.value)} values; expected {_describe(arguments)}")
        elif isinstance(node, MappingNode) and arguments.names is not None:
            for key, _ in node.value:
                if key.value not in arguments.names:
                    yield _at(key, f"{node.tag} with the argument {key.value!r}; expected {_describe(arguments)}")
        elif isinstance(node, ScalarNode) and node.value:
            yield _at(node, f"{node.tag} with {node.value!r}; expected {_describe(arguments)}")

    def _check_scalar(self, node: ScalarNode) -> Iterator[str]:
        if node.tag in ("!ref", *(tag for tag in self.rules.tags if tag == "!copy")):
            yield from self._check_reference(node)
        elif node.tag in self.rules.tags:
            pass
        elif node.tag not in _PLAIN_SCALARS:
            yield from self._check_call(node)
        if _TUPLE.fullmatch(node.value):
            yield _at(node, f"{node.value[:40]!r} is not allowed (!tuple: a text in parentheses)")

    def _check_reference(self, node: ScalarNode) -> Iterator[str]:
        names = _REFERENCE.findall(node.value)
        rest = _REFERENCE.sub("", node.value)
        shape = _KEY_NAME if self.rules.references == "names" else _INDEXED_NAME
        wrong = [name for name in names if not shape.fullmatch(name)]
        # The power operator of a few digits takes forever.
        if wrong or "<" in rest or ">" in rest or "**" in rest:
            yield _at(node, f"{node.tag} {node.value[:60]} is not allowed")
        elif self.rules.references == "names" and (len(names) != 1 or rest):
            yield _at(node, f"{node.tag} {node.value[:60]} is not allowed; expected {node.tag} <key>")
        elif self.rules.references == "names":
            target = self.nodes.get(names[0])
            if target is None:
                yield _at(node, f"{node.tag} <{names[0][:60]}> names no key")
            elif isinstance(target, ScalarNode) and target.tag != "!ref" and "<" in target.value:
                # HyperPyYAML would work out the reference in it, though it is not marked as one.
                yield _at(node, f"{node.tag} <{names[0]}> of the text {target.value[:60]!r} is not allowed")


def _at(node: Node, problem: str) -> str:
    return f"line {node.start_mark.line + 1}: {problem}"


def _kind(tag: str) -> str:
    return f"!!{tag.removeprefix(_YAML)}" if tag.startswith(_YAML) else tag


def _describe(arguments: Arguments) -> str:
    if arguments.positions:
        return f"a list of at most {arguments.positions}"
    if arguments.names is None:
        return "arguments by name"
    return f"only {', '.join(arguments.names)}" if arguments.names else "none"
