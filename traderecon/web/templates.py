"""Templates: values in, a page out. Everything is escaped; nothing a template asks for may be missing."""

import hashlib
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from traderecon import __version__
from traderecon.present import labels as words
from traderecon.present.figures import count, share
from traderecon.present.operands import foreign_codes
from traderecon.records import REASON_INFO, Outcome, Reason, Severity, State
from traderecon.web.evidence import other_fields

_TWINS = (".json", ".csv", "/")
_DOTS = {".", ".."}
_UNSEEN = {"Cc", "Cf", "Zl", "Zp"}


@cache
def style() -> str:
    """The style of all pages: the report's, and what pages have beside it."""
    report = resources.files("traderecon.batch.report") / "report.css"
    ours = resources.files("traderecon.web") / "pages.css"
    return f"{report.read_text(encoding='utf-8')}\n{ours.read_text(encoding='utf-8')}"


@cache
def icon() -> bytes:
    """The icon of a tab."""
    return (resources.files("traderecon.web") / "icon.svg").read_bytes()


def page(template: str, **values: Any) -> str:
    """One page; a character that UTF-8 cannot hold is spelled out."""
    text: str = _environment().get_template(template).render(values)
    return text.encode(errors="backslashreplace").decode()


def visible(text: str) -> str:
    r"""Text whose characters that nobody sees, such as marks of direction, are spelled out.

    >>> visible("T-1\u202e"), visible("T-1")
    ('T-1[U+202E]', 'T-1')
    """
    if text.isprintable():
        return text
    return "".join(f"[U+{ord(one):04X}]" if unicodedata.category(one) in _UNSEEN else one for one in text)


def _shown(value: Any) -> Any:
    """What a template gives out: markup, and what is spelled out for an address or a form, as it is."""
    return visible(value) if type(value) is str else value


def trade_path(trade_id: str) -> str:
    r"""Where a trade's page is. An id may look like a twin's name, or like a step up; the page is still its own.

    >>> trade_path("T 1/../.."), trade_path("T1.json"), trade_path("..")
    ('/trades/T%201%2F..%2F..', '/trades/T1.json/', '/trades/%20..')
    """
    return trade_twin(trade_id, "/" if trade_id.endswith(_TWINS) else "")


def trade_twin(trade_id: str, form: str) -> str:
    """Where a trade's page is in another form, ``.json`` or ``.csv``."""
    blank = "%20" if trade_id in _DOTS else ""  # no id begins with a blank; the page takes it off
    return f"/trades/{blank}{quote(trade_id, safe='')}{form}"


def moment(text: str | None) -> str:
    """ISO 8601 as a desk reads it: to the second.

    >>> moment("2025-07-26T10:01:23.100000001Z"), moment(None)
    ('2025-07-26 10:01:23', '')
    """
    return text[:19].replace("T", " ") if text else ""


def grouped(text: str | None) -> str:
    """An amount with separators, exact.

    >>> grouped("1234567.8900"), grouped("-5"), grouped(None)
    ('1,234,567.8900', '-5', '')
    """
    if text is None:
        return ""
    whole, point, fraction = text.partition(".")
    sign = whole[: len(whole) - len(whole.lstrip("-"))]
    return f"{sign}{int(whole[len(sign) :] or '0'):,}{point}{fraction}"


def query(pairs: Iterable[tuple[str, object]]) -> str:
    """A query string with its question mark, without what is empty.

    >>> query([("reason", "PRICE_MISMATCH"), ("ticker", ""), ("page", 2)]), query([])
    ('?reason=PRICE_MISMATCH&page=2', '')
    """
    told = urlencode([(name, value) for name, value in pairs if value not in ("", None)])
    return f"?{told}" if told else ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("traderecon.web", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        codes=foreign_codes,
        fields=other_fields,
        count=count,
        grouped=grouped,
        moment=moment,
        share=share,
        trade_path=trade_path,
        trade_twin=trade_twin,
    )
    environment.globals.update(
        Outcome=Outcome,
        Reason=Reason,
        Severity=Severity,
        State=State,
        query=query,
        standings=REASON_INFO,
        style=hashlib.sha256(style().encode()).hexdigest()[:12],
        version=__version__,
        words=words,
    )
    return environment
