"""Render templates. All output is escaped; a variable that is missing raises an error."""

import hashlib
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from traderecon import __version__
from traderecon.present import labels
from traderecon.present.figures import count, share
from traderecon.present.operands import foreign_codes
from traderecon.records import REASON_INFO, Outcome, Reason, Severity, State
from traderecon.web.evidence import other_fields, totals

MOST_GROUPED = 100
"""Characters of an amount: price * quantity of the longest ones that intake takes has 74."""
SHOWN_DIGITS = 20

_FORM_SUFFIXES = (".json", ".csv", "/")
_DOTS = {".", ".."}
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp"}


@cache
def style() -> str:
    """The style sheet: that of the report, then that of the pages."""
    report = resources.files("traderecon.batch.report") / "report.css"
    pages = resources.files("traderecon.web") / "pages.css"
    return f"{report.read_text(encoding='utf-8')}\n{pages.read_text(encoding='utf-8')}"


@cache
def icon() -> bytes:
    """The favicon."""
    return (resources.files("traderecon.web") / "icon.svg").read_bytes()


def page(template: str, **values: Any) -> str:
    """Render one page; characters that UTF-8 cannot encode are escaped."""
    text: str = _environment().get_template(template).render(values)
    return text.encode(errors="backslashreplace").decode()


def visible(text: str) -> str:
    r"""Text with its invisible characters, such as direction marks, spelled out.

    >>> visible("T-1\u202e"), visible("T-1")
    ('T-1[U+202E]', 'T-1')
    """
    if text.isprintable():
        return text
    return "".join(
        f"[U+{ord(character):04X}]" if unicodedata.category(character) in _INVISIBLE else character
        for character in text
    )


def _finalize(value: Any) -> Any:
    """Make plain strings visible; markup and escaped values stay as they are."""
    return visible(value) if type(value) is str else value


def trade_path(trade_id: str) -> str:
    r"""The path of a trade's page, also for an id that ends like a file name or looks like a parent directory.

    >>> trade_path("T 1/../.."), trade_path("T1.json"), trade_path("..")
    ('/trades/T%201%2F..%2F..', '/trades/T1.json/', '/trades/%20..')
    """
    return trade_file_path(trade_id, "/" if trade_id.endswith(_FORM_SUFFIXES) else "")


def trade_file_path(trade_id: str, form: str) -> str:
    """The path of a trade in another form, ``.json`` or ``.csv``."""
    blank = "%20" if trade_id in _DOTS else ""  # no id begins with a blank; the page strips it
    return f"/trades/{blank}{quote(trade_id, safe='')}{form}"


def moment(text: str | None) -> str:
    """An ISO 8601 instant in readable form, to the second.

    >>> moment("2025-07-26T10:01:23.100000001Z"), moment(None)
    ('2025-07-26 10:01:23', '')
    """
    return text[:19].replace("T", " ") if text else ""


def grouped(text: str | None) -> str:
    """An exact amount with thousands separators; one that is longer than any of ours is shortened.

    >>> grouped("1234567.8900"), grouped("-5"), grouped(None)
    ('1,234,567.8900', '-5', '')
    >>> grouped("1" + "0" * 999_999)
    '10000000000000000000… (1,000,000 characters)'
    """
    if text is None:
        return ""
    if len(text) > MOST_GROUPED:
        return f"{text[:SHOWN_DIGITS]}… ({count(len(text))} characters)"
    whole, point, fraction = text.partition(".")
    sign = whole[: len(whole) - len(whole.lstrip("-"))]
    digits = whole[len(sign) :] or "0"
    return f"{sign}{int(digits):,}{point}{fraction}" if digits.isdecimal() else text


def query(pairs: Iterable[tuple[str, object]]) -> str:
    """A query string with its question mark, without empty parameters.

    >>> query([("reason", "PRICE_MISMATCH"), ("ticker", ""), ("page", 2)]), query([])
    ('?reason=PRICE_MISMATCH&page=2', '')
    """
    encoded = urlencode([(name, value) for name, value in pairs if value not in ("", None)])
    return f"?{encoded}" if encoded else ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("traderecon.web", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        codes=foreign_codes,
        fields=other_fields,
        totals=totals,
        count=count,
        grouped=grouped,
        moment=moment,
        share=share,
        trade_path=trade_path,
        trade_file_path=trade_file_path,
    )
    environment.globals.update(
        Outcome=Outcome,
        Reason=Reason,
        Severity=Severity,
        State=State,
        query=query,
        reason_info=REASON_INFO,
        style=hashlib.sha256(style().encode()).hexdigest()[:12],
        version=__version__,
        labels=labels,
    )
    return environment
