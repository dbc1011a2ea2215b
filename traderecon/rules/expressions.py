"""Expressions: what a snapshot's pnl_impact is expected to be, as the rules file writes it.

    "price * quantity - commission - 1.25"  ->  parse  ->  Expression  ->  evaluate, with the operands of a trade

Numbers, ``+ - * /``, parentheses and OPERANDS; no calls. Exact: a division is by a number with an exact reciprocal, and
few factors are multiplied. Source: DOMAIN.md 4.2.
"""

import ast
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from traderecon.records.numbers import EXACT, FRACTION_DIGITS, INTEGER_DIGITS

OPERANDS = ("price", "quantity", "commission", "sign", "open_price", "mark_price")
"""What an expression may name. ``sign``: 1 for a sale, -1 for a purchase."""
MAX_CHARACTERS = 200
_WANTED = f"write numbers, + - * /, parentheses and {', '.join(OPERANDS)}"
MAX_FACTORS = 3
"""So a product fits the exact context: amounts of 36 digits, each times a multiplier, and a share as its tolerance."""

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_AMOUNT = Decimal(10) ** INTEGER_DIGITS
_ONE = Decimal(1)
_TERMS: Mapping[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: EXACT.add,
    ast.Sub: EXACT.subtract,
}

Evaluate = Callable[[Mapping[str, Decimal]], Decimal]


class Expression(NamedTuple):
    """``names``: the operands that it reads, in the order of OPERANDS; ``evaluate`` needs a value of each."""

    names: tuple[str, ...]
    evaluate: Evaluate


class _Part(NamedTuple):
    evaluate: Evaluate
    names: frozenset[str]
    factors: int


@lru_cache(maxsize=64)
def parse(text: str) -> Expression:
    """The expression. ValueError: what is wrong with the text, to be read after its name.

    >>> expression = parse("sign * price * quantity / 100 - commission")
    >>> expression.names
    ('price', 'quantity', 'commission', 'sign')
    >>> expression.evaluate(dict(sign=Decimal(-1), price=Decimal("190.5"), quantity=Decimal(3), commission=Decimal(1)))
    Decimal('-6.715')
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"has {len(text)} characters: write at most {MAX_CHARACTERS}")
    if not text.isascii() or "#" in text:
        raise ValueError(f"is {text!a}: {_WANTED}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"is {text!r}, which is not an arithmetic expression: {_WANTED}") from None
    part = _part(tree, text.strip())
    if not part.names:
        raise ValueError(f"is {text!r}, which names no field: write some of {', '.join(OPERANDS)}")
    return Expression(tuple([name for name in OPERANDS if name in part.names]), part.evaluate)


def _part(node: ast.expr, text: str) -> _Part:
    """A part of the text with what it consists of."""
    match node:
        case ast.Name(id=name) if name in OPERANDS:
            return _Part(lambda operands: operands[name], frozenset({name}), 0 if name == "sign" else 1)
        case ast.Constant():
            number = _number(node, text)
            return _Part(lambda _: number, frozenset(), 1)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _part(operand, text)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            part = _part(operand, text)
            return part._replace(evaluate=lambda operands: part.evaluate(operands).copy_negate())
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _product(_part(left, text), _reciprocal(right, text), text)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _product(_part(left, text), _part(right, text), text)
        case ast.BinOp(left=left, op=(ast.Add() | ast.Sub()) as operator, right=right):
            return _combined(_TERMS[type(operator)], _part(left, text), _part(right, text), max)
    shown = ast.get_source_segment(text, node) or text
    raise ValueError(f"has {shown!r}: {_WANTED}")


def _product(left: _Part, right: _Part, text: str) -> _Part:
    part = _combined(EXACT.multiply, left, right, lambda ours, theirs: ours + theirs)
    if part.factors > MAX_FACTORS:
        counted = f"more than {MAX_FACTORS} factors, numbers and divisors included"
        raise ValueError(f"is {text!r}, which multiplies {counted}: combine the numbers, or multiply fewer fields")
    return part


def _combined(
    operator: Callable[[Decimal, Decimal], Decimal], left: _Part, right: _Part, count: Callable[[int, int], int]
) -> _Part:
    return _Part(
        lambda operands: operator(left.evaluate(operands), right.evaluate(operands)),
        left.names | right.names,
        count(left.factors, right.factors),
    )


def _reciprocal(node: ast.expr, text: str) -> _Part:
    """The reciprocal of a number; it must be a finite decimal, within the digits of an amount."""
    shown = ast.get_source_segment(text, node) or text
    if not isinstance(node, ast.Constant):
        raise ValueError(f"divides by {shown!r}: divide by a number")
    number = _number(node, text)
    if not number:
        raise ValueError(f"divides by {shown}")
    try:
        share = EXACT.divide(_ONE, number)
    except ArithmeticError:
        share = None
    if share is None or not _is_amount(share):
        digits = f"a decimal of at most {INTEGER_DIGITS} digits before the point and {FRACTION_DIGITS} after it"
        raise ValueError(f"divides by {shown}, and 1/{shown} is not {digits}: multiply by a number instead")
    return _Part(lambda _: share, frozenset(), 1)


def _number(node: ast.Constant, text: str) -> Decimal:
    """The number as it is written: the parser's own would be rounded."""
    shown = ast.get_source_segment(text, node) or text
    if _NUMBER.fullmatch(shown):
        try:
            number = Decimal(shown)
        except ArithmeticError:  # its exponent is beyond what a decimal may have
            number = _AMOUNT
        if _is_amount(number):
            return number
    wanted = f"at most {INTEGER_DIGITS} digits before the point and {FRACTION_DIGITS} after it"
    raise ValueError(f"has {shown}: write a number with {wanted}")


def _is_amount(number: Decimal) -> bool:
    """Whether the number has no more digits than an amount may have, on either side of the point."""
    exponent = number.as_tuple().exponent
    return number.copy_abs() < _AMOUNT and isinstance(exponent, int) and exponent >= -FRACTION_DIGITS
