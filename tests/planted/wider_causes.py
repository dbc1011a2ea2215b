"""Causes that need more than the founding columns: attributes, multipliers, versions and cancels."""

from collections.abc import Callable
from fractions import Fraction
from random import Random

from planted.causes import (
    Planted,
    either_way,
    everything,
    pnl_wrong,
    price_beyond_tolerance,
    price_within_tolerance,
    quantity,
    shifted,
)


def other_side(planted: Planted, draw: Random) -> None:
    planted.ours["side"], planted.theirs["side"] = "BUY", "SELL"
    planted.reasons.add("SIDE_MISMATCH")


def side_in_another_spelling(planted: Planted, draw: Random) -> None:
    planted.ours["side"], planted.theirs["side"] = "BUY", "1"


def other_currency(planted: Planted, draw: Random) -> None:
    planted.ours["currency"], planted.theirs["currency"] = draw.choice([("USD", "EUR"), ("GBP", "GBp"), ("JPY", "usd")])
    planted.booked.pop("currency", None)
    planted.reasons.add("CURRENCY_MISMATCH")


def currency_in_another_case(planted: Planted, draw: Random) -> None:
    planted.ours["currency"], planted.theirs["currency"] = "EUR", "eur"
    planted.booked.pop("currency", None)
    price_within_tolerance(planted, draw)


def currency_of_one_side(planted: Planted, draw: Random) -> None:
    planted.ours["currency"], planted.theirs["currency"] = draw.choice([("CHF", ""), ("", "CHF")])
    planted.booked.pop("currency", None)
    quantity(planted, draw)


def other_broker(planted: Planted, draw: Random) -> None:
    planted.ours["broker"], planted.theirs["broker"] = "BRKA", "BRKZ"
    price_within_tolerance(planted, draw)
    planted.reasons.add("BROKER_MISMATCH")


def broker_of_one_side(planted: Planted, draw: Random) -> None:
    planted.ours["broker"], planted.theirs["broker"] = draw.choice([("BRKA", ""), ("", "BRKA")])


def broker_of_one_side_and_price(planted: Planted, draw: Random) -> None:
    broker_of_one_side(planted, draw)
    price_beyond_tolerance(planted, draw)


def two_brokers_confirm(planted: Planted, draw: Random) -> None:
    planted.theirs["broker"] = "BRKA"
    planted.ours["broker"] = "BRKA"
    planted.confirmations.append({**planted.theirs, "broker": "BRKB"})
    planted.reasons.add("MULTIPLE_CONFIRMATIONS")


def other_account(planted: Planted, draw: Random) -> None:
    planted.ours["account"], planted.theirs["account"] = "ACC1", "ACC2"
    price_within_tolerance(planted, draw)
    planted.reasons.add("ACCOUNT_MISMATCH")


def other_commission(planted: Planted, draw: Random) -> None:
    planted.ours["commission"], planted.theirs["commission"] = "1.50", draw.choice(["1.75", "-0.5", "1.500000000001"])
    price_within_tolerance(planted, draw)
    planted.reasons.add("COMMISSION_MISMATCH")


def other_commission_and_pnl(planted: Planted, draw: Random) -> None:
    other_commission(planted, draw)
    pnl_wrong(planted, draw)


def pnl_in_another_currency(planted: Planted, draw: Random) -> None:
    """Nothing says what it is worth, so nothing is compared."""
    pnl_wrong(planted, draw)
    planted.ours["currency"] = planted.theirs["currency"] = "USD"
    if planted.booked:
        planted.booked["currency"] = "EUR"
    planted.reasons.clear()


def multiplied(planted: Planted, draw: Random) -> None:
    """The confirmation does not say the multiplier; the execution's, if it has one, is that of both."""
    planted.theirs.pop("contract_multiplier", None)
    everything(planted, draw)


def execution_with_two_multipliers(planted: Planted, draw: Random) -> None:
    """No founding check reads a multiplier."""
    planted.ours["contract_multiplier"] = "10"
    planted.executions.append({**planted.ours, "contract_multiplier": "100"})


def two_multipliers_and_quantities(planted: Planted, draw: Random) -> None:
    planted.theirs["contract_multiplier"] = "10"
    rival = {**planted.theirs, "contract_multiplier": "1000"}
    shifted(rival, "quantity", Fraction(3))
    planted.confirmations.append(rival)
    planted.reasons.add("DUPLICATE_CONFLICT")


def multiplier_added_with_another_price(planted: Planted, draw: Random) -> None:
    """A field that only one of the rows has is that of both, so the dearer row counts ten times, too."""
    planted.ours["contract_multiplier"] = "10"
    dearer = {**planted.ours, "contract_multiplier": ""}
    shifted(dearer, "price", either_way(draw, Fraction(5)))
    planted.executions.append(dearer)
    planted.reasons.add("DUPLICATE_CONFLICT")


def execution_with_two_currencies(planted: Planted, draw: Random) -> None:
    planted.booked.pop("currency", None)
    planted.ours["currency"] = planted.theirs["currency"] = "USD"
    planted.executions.append({**planted.ours, "currency": "EUR"})
    planted.reasons.add("DUPLICATE_CONFLICT")


def amended_into_agreement(planted: Planted, draw: Random) -> None:
    """The first version is far off; nobody asks it any more."""
    planted.executions.append({**planted.ours, "version": "2", "kind": "amend"})
    planted.ours |= {"price": "1", "quantity": "1", "ticker": "ZZZT"}


def amended_into_a_break(planted: Planted, draw: Random) -> None:
    agreed = dict(planted.theirs)
    price_beyond_tolerance(planted, draw)
    planted.theirs |= {"version": "3", "kind": "amend"}
    planted.confirmations += [agreed, {**agreed, "version": "2", "kind": "amend", "price": "77"}]


def cancelled_by_both(planted: Planted, draw: Random) -> None:
    planted.executions.append(cancel(planted, draw))
    planted.confirmations.append(cancel(planted, draw))
    planted.state = "CANCELLED"


def cancelled_by_us(planted: Planted, draw: Random) -> None:
    planted.executions.append(cancel(planted, draw))
    planted.reasons.add("CANCELLED_ONE_SIDE")


def cancelled_by_them(planted: Planted, draw: Random) -> None:
    planted.confirmations.append(cancel(planted, draw))
    planted.reasons.add("CANCELLED_ONE_SIDE")


def cancelled_and_never_confirmed(planted: Planted, draw: Random) -> None:
    planted.executions.append(cancel(planted, draw))
    planted.theirs.clear()
    planted.state = "CANCELLED"


def cancelled_and_sent_again(planted: Planted, draw: Random) -> None:
    planted.executions += [
        {"trade_id": planted.trade_id, "kind": "cancel", "version": "2"},
        {**planted.ours, "version": "3"},
    ]


def cancel_of_nothing(planted: Planted, draw: Random) -> None:
    planted.executions.append({**planted.ours, "kind": "cancel"})
    planted.ours.clear()
    planted.theirs.clear()
    planted.state = "UNMATCHED"
    planted.reasons.add("CANCEL_UNKNOWN_TRADE")


def cancel_of_nothing_without_terms(planted: Planted, draw: Random) -> None:
    planted.confirmations.append({"trade_id": planted.trade_id, "kind": "cancel", "broker": "BRKB", "currency": "EUR"})
    planted.ours.clear()
    planted.theirs.clear()
    planted.state = "UNMATCHED"
    planted.reasons.add("CANCEL_UNKNOWN_TRADE")


def cancel(planted: Planted, draw: Random) -> dict[str, str]:
    """A cancel of the first version, or of every one; terms sent with it count for nothing."""
    terms = draw.choice([{}, {**planted.ours, "price": "1234567.89"}])
    return {"trade_id": planted.trade_id} | terms | {"kind": "cancel", "version": draw.choice(["", "1", "2"])}


WIDER: tuple[Callable[[Planted, Random], None], ...] = (
    other_side,
    side_in_another_spelling,
    other_currency,
    currency_in_another_case,
    currency_of_one_side,
    other_broker,
    broker_of_one_side,
    broker_of_one_side_and_price,
    two_brokers_confirm,
    other_account,
    other_commission,
    other_commission_and_pnl,
    pnl_in_another_currency,
    multiplied,
    execution_with_two_multipliers,
    two_multipliers_and_quantities,
    multiplier_added_with_another_price,
    execution_with_two_currencies,
    amended_into_agreement,
    amended_into_a_break,
    cancelled_by_both,
    cancelled_by_us,
    cancelled_by_them,
    cancelled_and_never_confirmed,
    cancelled_and_sent_again,
    cancel_of_nothing,
    cancel_of_nothing_without_terms,
)
