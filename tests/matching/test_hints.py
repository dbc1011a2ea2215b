"""Likely causes of a failed check, where the rules compute with the confirmation."""

from decimal import Decimal

from legs import arrived, booked, ours, theirs
from msgspec.structs import replace

from traderecon.matching import judge_facts
from traderecon.records import Hint, Reason
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING, Absolute, Basis, OperandSource, Pnl


def test_a_pnl_of_the_confirmations_price_needs_none_of_the_executions() -> None:
    pnl = Pnl(Absolute(amount=Decimal(1)), price_source=OperandSource.CONFIRMATION)
    rules = replace(FOUNDING, checks=(*FOUNDING.checks[:-1], pnl))
    facts = arrived(replace(ours(), price=None), theirs(), booked("19050", "50"))
    found = judge_facts(facts, FOREVER_NS, rules)
    assert Reason.PNL_INCONSISTENT in found.reasons
    assert found.hints == (Hint.PNL_FITS_GROSS,)


def test_an_expression_says_what_it_expects_so_its_basis_is_no_suspect() -> None:
    profit = Pnl(Absolute(amount=Decimal(1)), basis=Basis.EXPRESSION, expression="sign * (price - open_price)")
    rules = replace(FOUNDING, checks=(profit,))
    legs = (ours(side="SELL"), theirs(side="SELL"), booked("95", open_price=Decimal(190)))
    verdict = judge_facts(arrived(*legs), FOREVER_NS, rules)
    assert verdict.reasons == (Reason.PNL_INCONSISTENT,)
    assert Hint.PNL_BASIS_SUSPECT not in verdict.hints
    assert Hint.PNL_BASIS_SUSPECT in judge_facts(arrived(*legs), FOREVER_NS, FOUNDING).hints
