"""Words of an earlier private vocabulary do not come back as names. docs/GLOSSARY.md has the words of the field."""

import ast
import re
from collections.abc import Iterator

import pytest
from test_architecture import TREES

GONE = {
    "belonging": "log identity",
    "doors": "middleware",
    "elsewhere": "siblings",
    "halt": "fail_stop",
    "notary": "checkpointer",
    "strikes": "retry counts",
    "untold": "missing, unpublished",
    "became": "disposition",
    "talk": "console",
    "moves": "break projection",
    "alike": "common prefix",
    "aside": "skipped, rejected, quarantined",
    "book": "ledger",
    "disputed": "contested",
    "explained": "to_store_error, to_log_error",
    "killer": "poison",
    "lacking": "missing",
    "lasts": "last marks",
    "looked": "clear_timer, open_for_audit",
    "rising": "monotonic",
    "said": "operand text",
    "stated": "distinct values",
    "struck": "failure counted",
    "suspects": "is_suspect",
    "together": "join",
    "told": "last published",
}
"""A word, and what to say instead."""


def names(tree: ast.AST) -> Iterator[str]:
    """Every name that a module gives: of functions, classes, parameters, variables."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def words(name: str) -> set[str]:
    """
    >>> sorted(words("RetryCounts")), sorted(words("_last_published"))
    (['counts', 'retry'], ['last', 'published'])
    """
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


@pytest.mark.parametrize("module", TREES)
def test_a_word_that_was_replaced_does_not_come_back(module: str) -> None:
    used = {name: words(name) & GONE.keys() for name in (*names(TREES[module]), module.rpartition(".")[2])}
    assert {name: [GONE[word] for word in sorted(found)] for name, found in used.items() if found} == {}
