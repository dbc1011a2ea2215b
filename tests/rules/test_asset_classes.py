"""Asset classes: the class of a ticker, and what a list of them may not say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.rules.asset_classes import MAX_TICKERS, AssetClass, AssetClasses, problems_of
from traderecon.rules.file import RulesError, parse_rules

tickers = st.text("AB/", min_size=1, max_size=4)
prefixes = st.text("AB/", max_size=3).map(lambda start: f"{start}*")


@given(st.dictionaries(st.one_of(tickers, prefixes), st.sampled_from("xyz"), max_size=8), tickers)
def test_a_ticker_by_itself_comes_before_the_longest_prefix_that_fits(listed: dict[str, str], ticker: str) -> None:
    rows = [AssetClass(name, tuple([key for key, it in listed.items() if it == name])) for name in "xyz"]
    fitting = [key for key in listed if key.endswith("*") and ticker.startswith(key[:-1])]
    wanted = listed.get(ticker) or listed.get(max(fitting, key=len, default=""), "")
    classes = AssetClasses(rows)
    assert classes.of(ticker) == wanted
    assert classes.of(ticker) == wanted  # from its cache


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('[[asset_class]]\nname = " fx"\ntickers = ["A"]', ["its name is ' fx': write a name without white space"]),
        ('[[asset_class]]\nname = ""\ntickers = ["A"]', ["its name is '': write a name"]),
        ('[[asset_class]]\nname = "fx"\ntickers = []', ["the asset class fx has no tickers: list them, or remove it"]),
        ('[[asset_class]]\nname = "fx"\ntickers = ["E*R"]', ["has the ticker 'E*R': write a ticker, or a prefix"]),
        ('[[asset_class]]\nname = "fx"\ntickers = ["A "]', ["has the ticker 'A '"]),
        ('[[asset_class]]\nname = "fx"\ntickers = [""]', ["has the ticker ''"]),
        (
            '[[asset_class]]\nname = "fx"\ntickers = ["A"]\n[[asset_class]]\nname = "fx"\ntickers = ["B"]',
            ["f:5:1: the asset class fx is listed twice: write its tickers in one list: see line 2"],
        ),
        (
            '[[asset_class]]\nname = "fx"\ntickers = ["A", "B*"]\n[[asset_class]]\nname = "x"\ntickers = ["B*"]',
            ["f:5:1: the ticker B* is listed twice: list it once: see line 2"],
        ),
        ('[[asset_class]]\ntickers = ["A"]', ["f:2:1: asset_class[0].name is missing: it is required"]),
        ('[[asset_class]]\nname = "fx"\ntickers = "A"', ["f:4:1: asset_class[0].tickers is text: write a list"]),
        (
            '[[override]]\nasset_class = "fx"\nchecks.price.tolerance.absolute = 1',
            ["f:3:1: override[0].asset_class is 'fx': add [[asset_class]] with this name and its tickers"],
        ),
    ],
)
def test_a_list_that_says_two_things_or_nothing_is_refused(text: str, lines: list[str]) -> None:
    with pytest.raises(RulesError) as error:
        parse_rules(f'name = "x"\n{text}')
    found = error.value.lines("f")
    assert len(found) == len(lines)
    assert all(line in shown for line, shown in zip(lines, found, strict=True))


def test_a_list_without_a_problem() -> None:
    assert not [*problems_of((AssetClass("fx", ("EUR/*", "EUR/USD")), AssetClass("all", ("*",))))]


def test_a_prefix_for_every_ticker() -> None:
    classes = AssetClasses((AssetClass("other", ("*",)), AssetClass("fx", ("EUR/USD",))))
    assert [classes.of(ticker) for ticker in ("EUR/USD", "X")] == ["fx", "other"]


def test_the_list_is_bounded() -> None:
    tickers = tuple([f"T{number}" for number in range(MAX_TICKERS)])
    assert not [*problems_of((AssetClass("a", tickers),))]
    (problem,) = problems_of((AssetClass("a", tickers), AssetClass("b", ("T",)), AssetClass("c", ("",))))
    assert (problem.row, problem.text) == (
        1,
        "the asset classes have more than 10000 tickers: write prefixes of them",
    )


@pytest.mark.parametrize("wrong", [AssetClass(" b", ("U",)), AssetClass("b", ()), AssetClass("b", ("",))])
def test_a_problem_has_the_row_of_its_class(wrong: AssetClass) -> None:
    assert [problem.row for problem in problems_of((AssetClass("a", ("T",)), wrong))] == [1]


def test_a_ticker_that_is_listed_twice_in_one_class_is_refused() -> None:
    (problem,) = problems_of((AssetClass("a", ("T", "U", "T")),))
    assert problem == (0, "the ticker T is listed twice: list it once", 0)
