"""Every regular expression of the project takes linear time, or sees only texts of a stated length.

Python's engine backtracks: a pattern that reads a text in two ways can take hours for some hundred characters. polars'
engine does not, so its patterns are not looked at.
"""

import ast
import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from re import _parser as parser  # type: ignore[attr-defined]

import pytest

import flows
import tasks

LENGTHS = (12, 16, 20, 24, 28, 32, 48, 96, 256, 1_000, 4_000, 16_000, 100_000)
LIMIT_S = 0.5  # of CPU time; linear patterns take milliseconds
CALLS = {"search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
# Patterns that never see a text from outside, or only a short one; each says which.
BOUNDED = {
    "tasks.acquire.crawl.sources._CONTACT": 1_000,  # the user's own address
}
# What cannot be read off the code: these see one address at a time, from its start.
APPLIED = {"tasks.core.logs._OTHER": {"match"}, "tasks.core.logs._WEB": {"match"}}


def modules() -> Iterator[str]:
    for package in (flows, tasks):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.ispkg and not found.name.endswith("__main__"):
                yield found.name


def patterns() -> dict[str, re.Pattern]:
    """Return all patterns: compiled ones in modules and classes, and literals in calls of `re`, by where they are."""
    found: dict[str, re.Pattern] = {}
    for name in modules():
        module = importlib.import_module(name)
        for owner in (module, *(each for each in vars(module).values() if isinstance(each, type))):
            if getattr(owner, "__module__", name) == name:
                found |= {f"{name}.{key}": value for key, value in vars(owner).items() if isinstance(value, re.Pattern)}
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in CALLS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and isinstance(node.args[0], ast.Constant)
            ):
                found[f"{name}:{node.lineno}"] = re.compile(node.args[0].value)
    unique: dict[tuple, str] = {}
    for where, pattern in found.items():
        unique.setdefault((pattern.pattern, pattern.flags), where)
    return {where: found[where] for where in unique.values()}


def ways(where: str) -> set[str]:
    """Return how a pattern is applied: from the start of a text, or at every place in it."""
    if where in APPLIED:
        return APPLIED[where]
    name = where.rpartition(".")[2]
    if ":" in where:
        module, line = where.split(":")
        lines = Path(importlib.import_module(module).__file__).read_text(encoding="utf-8").splitlines()
        used = set(re.findall(r"\bre\.(\w+)\(", lines[int(line) - 1]))
    else:
        texts = [Path(importlib.import_module(each).__file__).read_text(encoding="utf-8") for each in modules()]
        used = {method for text in texts for method in re.findall(rf"\b{name}\.(\w+)\(", text)}
    return {"fullmatch"} | ({"match"} if used <= {"match", "fullmatch"} and used else {"search"})


def example(node: list, random: Random) -> str:
    """Return a text that a parsed pattern matches, look-arounds aside."""
    text = ""
    for kind, value in node:
        match str(kind):
            case "LITERAL":
                text += chr(value)
            case "NOT_LITERAL":
                text += random.choice([char for char in "a1 ." if char != chr(value)])
            case "ANY":
                text += random.choice("a1 .")
            case "IN":
                text += of_class(value, random)
            case "BRANCH":
                text += example(random.choice(value[1]), random)
            case "SUBPATTERN":
                text += example(value[3], random)
            case "ATOMIC_GROUP":
                text += example(value, random)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, body = value
                text += "".join(example(body, random) for _ in range(random.randint(low, min(int(high), low + 2))))
    return text


def of_class(items: list, random: Random) -> str:
    """Return a character of a class such as `[a-z.]`, or outside of one that is negated."""
    chars = []
    for kind, value in items:
        match str(kind):
            case "LITERAL":
                chars.append(chr(value))
            case "RANGE":
                chars += [chr(value[0]), chr(value[1])]
            case "CATEGORY":
                chars.append({"SPACE": " ", "DIGIT": "1", "WORD": "a"}.get(str(value).rpartition("_")[2], "-"))
    if str(items[0][0]) == "NEGATE":
        chars = [char for char in "a1 .,;(<" if char not in chars]
    return random.choice(chars)


def pumps(node: list, before: str, random: Random) -> Iterator[tuple[str, str]]:
    """Return for each repeat of a parsed pattern what leads to it, and something that it repeats."""
    for index, (kind, value) in enumerate(node):
        start = before + example(node[:index], random)
        match str(kind):
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                if value[1] > 1:
                    yield start, example(value[2], random) or "a"
                yield from pumps(value[2], start, random)
            case "SUBPATTERN":
                yield from pumps(value[3], start, random)
            case "ATOMIC_GROUP":
                yield from pumps(value, start, random)
            case "BRANCH":
                for each in value[1]:
                    yield from pumps(each, start, random)


def hostile(pattern: re.Pattern) -> list[tuple[str, str]]:
    """Return pairs of a text and one to repeat after it, made from what the pattern reads and from plain characters."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    parsed, random = parser.parse(text, pattern.flags & re.VERBOSE), Random(1)
    found = {pair for _ in range(12) for pair in pumps(parsed, "", random)}
    return sorted(found | {("", unit) for _, unit in found} | {("", char) for char in "a1 .:@"})


def slowest(pattern: re.Pattern, methods: set[str], max_length: int) -> tuple[float, int, str | bytes]:
    """Return the CPU seconds of the slowest text, its length and its beginning; stop at the first beyond the limit."""
    worst: tuple[float, int, str | bytes] = (0.0, 0, "")
    for length in LENGTHS:
        if length > max_length:
            break
        for (start, unit), method, end in itertools.product(hostile(pattern), methods, ("\x00", "")):
            text: str | bytes = start + (unit * (length // len(unit) + 1))[:length] + end
            text = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
            began_s = time.process_time()
            getattr(pattern, method)(*(("", text) if method in ("sub", "subn") else (text,)))
            taken_s = time.process_time() - began_s
            worst = max(worst, (taken_s, length, text[:40]), key=lambda each: each[0])
            if worst[0] > LIMIT_S:
                return worst
    return worst


@pytest.mark.parametrize("where", patterns())
def test_a_pattern_takes_linear_time(where):
    pattern = patterns()[where]
    taken_s, length, text = slowest(pattern, ways(where), BOUNDED.get(where, LENGTHS[-1]))
    assert taken_s < LIMIT_S, f"{pattern.pattern!r} takes {taken_s:.1f} s for {length} characters like {text!r}"


@pytest.mark.parametrize("slow", [r"(?:[01](?:\.0?)?[\s,]*)+x", r"\s*=\s*(.*?)\s*", r"(a|a)*b"])
def test_slow_patterns_are_found(slow):
    assert slowest(re.compile(slow), {"search"}, LENGTHS[-1])[0] > LIMIT_S
