"""Positions: the line and column of every key of a TOML text."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.rules.positions import Path, Position, Positions

EVERY_FORM = '''# a comment, with [brackets] and = signs
name = "a # no comment" # a comment
"quoted name" = 'literal "text"'
dotted . key = 1
'single' = """
[not.a.header]
x = 1 \\""" still text """""
raw = \'\'\'
[nor.this]\'\'\'
dates = 2025-07-26 10:00:00Z
list = [ 1, # one
  [2, 3], { inner = true, other.one = 2 },
]
empty = []
table = {}

[checks.price]  # behind it
  tolerance = { absolute = "0.01", bound = "strict" }

[[override]]
broker = "BRKA"
[override.checks.price]
tolerance.absolute = 1
[[override]]
[[override.list]]
x = 1
[ "odd name" . "\\u0041" ]
last = 1'''


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of everything in a document."""
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from paths(member, (*path, name))


def found(text: str, *path: str | int) -> tuple[int, int]:
    position = Positions.of(text).find(path)
    return position.line, position.column


def test_every_key_of_every_form_has_a_position() -> None:
    assert set(Positions.of(EVERY_FORM).known) == set(paths(tomllib.loads(EVERY_FORM)))


@pytest.mark.parametrize(
    ("path", "position"),
    [
        (("name",), (2, 1)),
        (("quoted name",), (3, 1)),
        (("dotted", "key"), (4, 1)),
        (("list", 0), (11, 10)),
        (("list", 1, 1), (12, 7)),
        (("list", 2, "other", "one"), (12, 27)),
        (("checks",), (17, 1)),
        (("checks", "price", "tolerance", "bound"), (18, 36)),
        (("override", 0, "broker"), (21, 1)),
        (("override", 0, "checks", "price"), (22, 1)),
        (("override", 1), (24, 1)),
        (("override", 1, "list", 0, "x"), (26, 1)),
        (("odd name", "A", "last"), (28, 1)),
        (("checks", "price", "of", "nothing"), (17, 1)),
        (("nothing",), (1, 1)),
    ],
)
def test_a_position_is_that_of_the_key_or_of_the_table_around_it(path: Path, position: tuple[int, int]) -> None:
    assert found(EVERY_FORM, *path) == position
    assert found(EVERY_FORM.replace("\n", "\r\n"), *path) == position


@pytest.mark.parametrize(
    ("text", "path", "position"),
    [
        ("\na = 1", ("a",), (2, 1)),
        ("\n  a = 1", ("a",), (2, 3)),
        ("X = 1\nXX={X=1}", ("XX", "X"), (2, 5)),
        ("a=[[1],2]", ("a", 1), (1, 8)),
        ("[a]#x\nb = 1", ("a", "b"), (2, 1)),
        ("[[a]]#x\nb = 1", ("a", 0, "b"), (2, 1)),
    ],
)
def test_empty_lines_comments_behind_a_header_and_missing_blanks_move_nothing(
    text: str, path: Path, position: tuple[int, int]
) -> None:
    assert found(text, *path) == position


def test_nothing_has_no_position() -> None:
    assert Positions.of("").find(("name",)) == Position(1, 1)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '\\"') + '"'


def inline_table(members: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name} = {value}" for name, value in members.items()) + "}"


names = st.text("abc.[]=#'\" é", min_size=1, max_size=3).map(quoted)
values = st.recursive(
    st.sampled_from(("1", "true", '"#]}"', "'[x]'", '"""\n=\n"""', "2025-07-26T10:00:00Z", "-1.5e3")),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda elements: f"[{', '.join(elements)}]")
        | st.dictionaries(names, inner, max_size=3).map(inline_table)
    ),
    max_leaves=6,
)
HEADERS = ("", "[x]\n", "[[x]]\n", "[x.y]\n")


@given(st.dictionaries(names, values, max_size=4), st.sampled_from(HEADERS))
def test_the_positions_are_those_of_what_tomllib_reads(members: dict[str, str], header: str) -> None:
    text = header + "".join(f"{name} = {value}\n" for name, value in members.items())
    positions = Positions.of(text)
    lines = text.split("\n")
    assert set(positions.known) == set(paths(tomllib.loads(text)))
    for path, position in positions.known.items():
        name = path[-1]
        rest = lines[position.line - 1][position.column - 1 :]
        assert isinstance(name, int) or rest.startswith(("[", quoted(name)))
