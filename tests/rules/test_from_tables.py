"""What a file says of sources and overrides, and the whole text of what is refused."""

import pytest

from traderecon.rules.file import RulesError, parse_rules


def lines_of(text: str) -> list[str]:
    with pytest.raises(RulesError) as error:
        parse_rules(f'name = "x"\n{text}')
    return error.value.lines("f")


def test_the_tables_of_sources_are_read_elsewhere_except_for_their_grace() -> None:
    rules = parse_rules('name = "x"\n[sources.executions]\npercent = "a lot"\nticks = "many"')
    assert rules == parse_rules('name = "x"')
    assert lines_of('[sources.executions]\npercent = "a lot"\ngrace_seconds = "0_5"') == [
        "f:4:1: sources.executions.grace_seconds is '0_5': write a decimal with a point and nothing else in it"
    ]


def test_a_text_that_is_cut_off_has_the_position_of_its_end() -> None:
    with pytest.raises(RulesError) as error:
        parse_rules('name = "x"\na = 1\nb = """')
    assert [(it.position.line, it.position.column) for it in error.value.problems] == [(3, 8)]
