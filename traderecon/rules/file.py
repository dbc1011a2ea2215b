"""A rules file: TOML -> Rules. Whatever the file leaves out is as in the founding rules.

    name = "desk-7"
    grace_seconds = 60
    pnl_required = false
    conflict_policy = "last_wins"           # of legs of one version that contradict each other; or "flag": a break

    [checks]
    ticker = false                          # a check that is off

    [checks.price]                          # or absolute = "0.005", percent = "2", below = "0" with above = "0.01"
    tolerance = { basis_points = "1", base = "execution", bound = "strict" }

    [checks.timestamp]
    tolerance_ms = "2"
    precision = "granularity_aware"

    [checks.pnl]
    basis = "cash_flow"                     # or gross, realized, mark_to_market, net_consideration_sided
    incomplete = "break"

    [checks.account]
    must_be_present = true                  # a side that sends no account fails the check

    [[severity]]                            # see ``rules.severity``
    reason = "TIMESTAMP_DRIFT"
    severity = "low"

Numbers may be strings or TOML numbers; both are read as exact decimals.
"""

import tomllib
from decimal import Decimal

import msgspec

from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.records.numbers import EXACT, FRACTION_DIGITS, INTEGER_DIGITS, ZERO, canonical
from traderecon.records.words import Word
from traderecon.rules.attributes import Attribute, AttributeName, Commission
from traderecon.rules.bases import Basis
from traderecon.rules.drift import Precision, Timestamp
from traderecon.rules.pnl import CommissionSign, Incomplete, Multiplier, OperandSource, Pnl
from traderecon.rules.rules import FOUNDING, AttributeRule, Rule, Rules
from traderecon.rules.severity import SeverityRow, problem
from traderecon.rules.terms import Price, Quantity
from traderecon.rules.tolerance import Absolute, Band, Base, Bound, Relative, Tolerance
from traderecon.rules.wording import explain

_MAX_GRACE_S = 31_536_000
_ATTRIBUTES = (*FOUNDING.attributes, Attribute(AttributeName.ORDER_ID))
_PER_CENT, _PER_BASIS_POINT = Decimal("0.01"), Decimal("0.0001")


class RulesError(ValueError):
    """A rules file is not valid: where, what was found, what to write."""


class ConflictPolicy(Word):
    """What legs of one version mean that contradict each other."""

    FLAG = "flag"
    """A break: nobody can tell which of them is meant."""
    LAST_WINS = "last_wins"
    """The last one counts, as if it were a correction."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: a misspelt name is an error, never ignored."""


class _ToleranceTable(_Table, frozen=True):
    absolute: Decimal | None = None
    percent: Decimal | None = None
    basis_points: Decimal | None = None
    below: Decimal | None = None
    above: Decimal | None = None
    base: Base = Base.EXECUTION
    bound: Bound = Bound.INCLUSIVE


class _AmountTable(_Table, frozen=True):
    tolerance: _ToleranceTable


class _PnlTable(_Table, frozen=True):
    tolerance: _ToleranceTable = _ToleranceTable(absolute=Decimal(1), bound=Bound.STRICT)
    basis: Basis = Basis.NET_CONSIDERATION
    price_source: OperandSource = OperandSource.EXECUTION
    quantity_source: OperandSource = OperandSource.EXECUTION
    incomplete: Incomplete = Incomplete.NOT_CHECKED
    commission_sign: CommissionSign = CommissionSign.COST_POSITIVE
    multiplier_field: Multiplier | None = None


class _TimestampTable(_Table, frozen=True):
    tolerance_ms: Decimal = Decimal(100)
    bound: Bound = Bound.INCLUSIVE
    precision: Precision = Precision.EXACT


class _AttributeTable(_Table, frozen=True):
    must_be_present: bool = False


class _CommissionTable(_AttributeTable, frozen=True):
    tolerance: _ToleranceTable = _ToleranceTable(absolute=ZERO)


class _ChecksTable(_Table, frozen=True):
    ticker: bool = True
    quantity: bool | _AmountTable = True
    price: bool | _AmountTable = True
    timestamp: bool | _TimestampTable = True
    pnl: bool | _PnlTable = True
    side: bool | _AttributeTable = True
    currency: bool | _AttributeTable = True
    account: bool | _AttributeTable = True
    counterparty: bool | _AttributeTable = True
    broker: bool | _AttributeTable = True
    commission: bool | _CommissionTable = True
    trade_date: bool | _AttributeTable = True
    settlement_date: bool | _AttributeTable = True
    order_id: bool | _AttributeTable = False


class _File(_Table, frozen=True):
    name: str
    checks: _ChecksTable = _ChecksTable()
    grace_seconds: Decimal = Decimal(60)
    pnl_required: bool = False
    severity: tuple[SeverityRow, ...] = ()
    conflict_policy: ConflictPolicy = ConflictPolicy.FLAG


def parse_rules(text: str) -> Rules:
    """Read a rules file, with or without a byte order mark. Raises RulesError."""
    try:
        file = msgspec.convert(tomllib.loads(text.removeprefix("\ufeff"), parse_float=Decimal), _File)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(str(error)) from None
    except msgspec.ValidationError as error:
        raise RulesError(explain(str(error), _File)) from None
    checks = [rule for founding in FOUNDING.checks if (rule := _rule(founding, file.checks)) is not None]
    attributes = [rule for every in _ATTRIBUTES if (rule := _attribute(every, file.checks)) is not None]
    if not file.name.strip():
        raise RulesError("name is blank: results show it as the rules in force")
    if not checks:
        raise RulesError("every check of a term is off: every pair without attributes would match")
    if file.grace_seconds > _MAX_GRACE_S:
        raise RulesError(f"grace_seconds is {file.grace_seconds}: write at most {_MAX_GRACE_S}, a year")
    if file.pnl_required and not file.checks.pnl:
        raise RulesError(
            "pnl_required is true but the pnl check is off: trades would wait for a snapshot that is never checked"
        )
    for number, row in enumerate(file.severity, start=1):
        if (found := problem(row)) is not None:
            raise RulesError(f"row {number} of severity: {found}")
    return Rules(
        name=file.name.strip(),
        checks=(*checks, *[rule for rule in attributes if rule.must_be_present]),
        attributes=tuple([rule for rule in attributes if not rule.must_be_present]),
        grace_ns=_whole_ns(file.grace_seconds, NS_PER_S, "grace_seconds"),
        pnl_required=file.pnl_required,
        severity=file.severity,
        last_wins=file.conflict_policy is ConflictPolicy.LAST_WINS,
    )


def _rule(founding: Rule, checks: _ChecksTable) -> Rule | None:
    """The founding rule with the changes of the file; None if it is off."""
    table = getattr(checks, founding.name)
    if table is False:
        return None
    if isinstance(table, _PnlTable):
        return Pnl(
            tolerance=_tolerance(table.tolerance, "checks.pnl.tolerance"),
            basis=table.basis,
            price_source=table.price_source,
            quantity_source=table.quantity_source,
            incomplete=table.incomplete,
            commission_sign=table.commission_sign,
            multiplier_field=table.multiplier_field,
        )
    if isinstance(founding, Quantity | Price) and isinstance(table, _AmountTable):
        tolerance = _tolerance(table.tolerance, f"checks.{founding.name}.tolerance")
        return msgspec.structs.replace(founding, tolerance=tolerance)
    if isinstance(table, _TimestampTable):
        tolerance_ns = _whole_ns(table.tolerance_ms, NS_PER_MS, "checks.timestamp.tolerance_ms")
        return Timestamp(tolerance_ns=tolerance_ns, bound=table.bound, precision=table.precision)
    return founding


def _attribute(every: AttributeRule, checks: _ChecksTable) -> AttributeRule | None:
    """The check with the changes of the file; None if it is off."""
    table = getattr(checks, every.name)
    if table is False:
        return None
    if isinstance(table, _CommissionTable):
        tolerance = _tolerance(table.tolerance, "checks.commission.tolerance")
        return Commission(tolerance=tolerance, must_be_present=table.must_be_present)
    if isinstance(table, _AttributeTable) and isinstance(every, Attribute):
        return Attribute(every.attribute, must_be_present=table.must_be_present)
    return every


def _tolerance(table: _ToleranceTable, path: str) -> Tolerance:
    sizes = {
        name: _size(getattr(table, name), f"{path}.{name}")
        for name in ("absolute", "percent", "basis_points", "below", "above")
        if getattr(table, name) is not None
    }
    match sizes:
        case {"absolute": amount} if len(sizes) == 1:
            return Absolute(amount=amount, bound=table.bound)
        case {"percent": share} if len(sizes) == 1:
            return Relative(share=canonical(EXACT.multiply(share, _PER_CENT)), base=table.base, bound=table.bound)
        case {"basis_points": share} if len(sizes) == 1:
            return Relative(
                share=canonical(EXACT.multiply(share, _PER_BASIS_POINT)), base=table.base, bound=table.bound
            )
        case {"below": below, "above": above} if len(sizes) == 2:
            return Band(below=below, above=above, bound=table.bound)
    names = " and ".join(sizes) or "nothing"
    raise RulesError(f"{path} has {names}: write absolute, or percent, or basis_points, or below and above")


def _size(number: Decimal, path: str) -> Decimal:
    """A finite number of zero or more, within the digits that keep every sum exact."""
    if not number.is_finite() or number < ZERO or len(number.as_tuple().digits) > INTEGER_DIGITS:
        raise RulesError(f"{path} is {number}: write a number of zero or more, of at most {INTEGER_DIGITS} digits")
    if number and not -FRACTION_DIGITS <= number.adjusted() < INTEGER_DIGITS:
        raise RulesError(f"{path} is {number}: write a number between 1E-{FRACTION_DIGITS} and 1E{INTEGER_DIGITS}")
    return canonical(number)  # 0.005 and 0.0050 are the same rules


def _whole_ns(number: Decimal, unit_ns: int, path: str) -> int:
    duration_ns = EXACT.multiply(_size(number, path), Decimal(unit_ns))
    if duration_ns != duration_ns.to_integral_value():
        raise RulesError(f"{path} is {number}: write whole nanoseconds at most")
    return int(duration_ns)
