"""Expressions of the pnl check: arithmetic, exact, and nothing else. Source: DOMAIN.md 4.2."""

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from traderecon.records.numbers import EXACT
from traderecon.rules.expressions import MAX_CHARACTERS, MAX_FACTORS, OPERANDS, parse

D = Decimal
amounts = st.decimals(-(10**12), 10**12, places=6, allow_nan=False)
numbers = st.decimals(0, 10**6, places=4, allow_nan=False).map(lambda number: format(number, "f"))
divisors = st.sampled_from(["2", "4", "0.5", "100", "1.25", "8"])
WIDEST = D("9" * 18 + "." + "9" * 18)


def combined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(parts, st.sampled_from(["+", "-", "*"]), parts).map(lambda it: f"({it[0]} {it[1]} {it[2]})"),
        st.tuples(parts, divisors).map(lambda it: f"({it[0]} / {it[1]})"),
        parts.map(lambda it: f"-{it}"),
    )


texts = st.recursive(st.one_of(st.sampled_from(OPERANDS), numbers), combined, max_leaves=6)


@given(texts, st.lists(amounts, min_size=6, max_size=6))
def test_an_expression_has_the_value_of_the_arithmetic_it_spells(text: str, drawn: list[D]) -> None:
    assume({*words_of(text)} & {*OPERANDS})
    assume(text.count("*") + text.count("/") < MAX_FACTORS and len(text) <= MAX_CHARACTERS)
    operands = dict(zip(OPERANDS, drawn, strict=True))
    expression = parse(text)
    fractions = {name: Fraction(value) for name, value in operands.items()}
    for number in sorted({*numbers_in(text)}, key=len, reverse=True):
        fractions[f"n{number.replace('.', '_')}"] = Fraction(number)
    spelled = " ".join(f"n{word.replace('.', '_')}" if word[0].isdigit() else word for word in words_of(text))
    assert Fraction(expression.evaluate(operands)) == eval(spelled, {"__builtins__": {}}, fractions)
    assert {*expression.names} == {word for word in words_of(text) if word in OPERANDS}


def words_of(text: str) -> list[str]:
    for sign in "()+-*/":
        text = text.replace(sign, f" {sign} ")
    return text.split()


def numbers_in(text: str) -> list[str]:
    return [word for word in words_of(text) if word[0].isdigit()]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("abs(price)", "has 'abs(price)': write numbers, + - * /, parentheses and price, quantity"),
        ("price.real", "has 'price.real': "),
        ("price ** 2", "has 'price ** 2': "),
        ("fees", "has 'fees': "),
        ("price // 2", "has 'price // 2': "),
        ("not price", "has 'not price': "),
        ("price < 1", "has 'price < 1': "),
        ("__import__('os')", "has \"__import__('os')\": "),
        ("price * 'x'", "has 'x': write a number with at most 18 digits"),
        ("price * True", "has True: write a number"),
        ("price * 0x10", "has 0x10: write a number"),
        ("price * 1_0", "has 1_0: write a number"),
        ("price * 2j", "has 2j: write a number"),
        ("price * 1e18", "has 1e18: write a number"),
        ("price * 1e-19", "has 1e-19: write a number"),
        ("price * 1e999", "has 1e999: write a number"),
        ("price * 1e99999999999999999999", "has 1e99999999999999999999: write a number"),
        ("price / 0e99999999999999999999", "has 0e99999999999999999999: write a number"),
        (
            "price / 3",
            "divides by 3, and 1/3 is not a decimal of at most 18 digits before the point and 18 after it: mul",
        ),
        ("price / 0.0", "divides by 0.0"),
        ("price / 524288", "divides by 524288, and 1/524288 is not a decimal"),
        ("price # c", "is 'price # c': write numbers, + - * /"),
        ("\uff50rice", "is '\\uff50rice': write numbers"),
        ("price / quantity", "divides by 'quantity': divide by a number"),
        ("1.5", "is '1.5', which names no field: write some of price, quantity, commission"),
        (
            "price * price * price * price",
            "which multiplies more than 3 factors, numbers and divisors included: combine the numbers",
        ),
        ("price * 2 * 3 / 100", "is 'price * 2 * 3 / 100', which multiplies more than 3 factors"),
        ("((price)", "is '((price)', which is not an arithmetic expression"),
        ("price; quantity", "which is not an arithmetic expression"),
        ("", "is '', which is not an arithmetic expression"),
        ("\0", "which is not an arithmetic expression"),
        ("price" + " " * 196, "has 201 characters: write at most 200"),
    ],
)
def test_what_is_no_arithmetic_of_an_amount_is_refused(text: str, finding: str) -> None:
    with pytest.raises(ValueError, match=re.escape(finding)):
        parse(text)


def test_a_number_keeps_the_digits_that_were_written() -> None:
    expression = parse("price - 0.100000000000000001")
    assert expression.evaluate({"price": D("0.1")}) == D("-0.000000000000000001")
    assert parse("+price").evaluate({"price": D(2)}) == parse(" price ").evaluate({"price": D(2)}) == 2


def test_a_sign_is_no_factor_and_every_digit_of_an_amount_may_be_written() -> None:
    assert parse("sign * price * quantity / 2").evaluate({"sign": D(-1), "price": D(3), "quantity": D(5)}) == D("-7.5")
    assert parse("price - 0.000000000000000001").evaluate({"price": D(1)}) == D("0.999999999999999999")
    assert parse("price - 999999999999999999").evaluate({"price": D(0)}) == D("-999999999999999999")


def test_the_deepest_and_widest_expressions_have_a_value() -> None:
    assert parse("-" * (MAX_CHARACTERS - 5) + "price").evaluate({"price": D(1)}) == -1
    assert parse("(" * 97 + "price" + ")" * 97).evaluate({"price": D(1)}) == 1
    multiplied = EXACT.multiply(WIDEST, WIDEST)  # a quantity times its multiplier
    cube = parse(" * ".join(["quantity"] * MAX_FACTORS)).evaluate({"quantity": multiplied})
    assert EXACT.multiply(cube, WIDEST) > 0
