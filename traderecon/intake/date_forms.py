"""Date forms: dates that a source writes in another way than ISO 8601, rewritten as ISO 8601.

    26/07/2025 10:01:23.000000001  DD/MM/YYYY   ->   2025-07-26T10:01:23.000000001
    26-Jul-2025 9:30:00 PM +02:00  DD-MMM-YYYY  ->   2025-07-26T21:30:00+02:00

A closed list, because a form is declared and never guessed: 03/04/2025 is a day in April or in March. Years have four
digits, months are English names or numbers, no locale is asked. What does not fit is left as it was sent.
"""

import re
from typing import Final

from traderecon.records.words import Word


class DateForm(Word):
    """A way to write a date; a time may follow it after a blank, a comma or a T."""

    DAY_MONTH_SLASH = "DD/MM/YYYY"
    MONTH_DAY_SLASH = "MM/DD/YYYY"
    YEAR_MONTH_SLASH = "YYYY/MM/DD"
    DAY_MONTH_POINT = "DD.MM.YYYY"
    DAY_MONTH_HYPHEN = "DD-MM-YYYY"
    MONTH_DAY_HYPHEN = "MM-DD-YYYY"
    DAY_NAME_HYPHEN = "DD-MMM-YYYY"
    COMPACT = "YYYYMMDD"


_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PARTS: Final = {
    "DD": r"(?P<day>\d{1,2})",
    "MMM": r"(?P<name>[A-Za-z]{3})",
    "MM": r"(?P<month>\d{1,2})",
    "YYYY": r"(?P<year>\d{4})",
}
_COMPACT: Final = r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
_TIME: Final = (
    r"(?:(?:[Tt]|,? +)(?P<hour>\d{1,2})(?P<rest>:\d\d:\d\d(?:[.,]\d+)?)(?: ?(?P<half>[AaPp])[Mm])?"
    r"(?P<zone> ?(?:[Zz]|[+-]\d\d:?(?:\d\d)?))?)?"
)


def _pattern(form: DateForm) -> re.Pattern[str]:
    date = "".join(_PARTS.get(part, re.escape(part)) for part in re.split(r"(\W)", form.value))
    return re.compile((_COMPACT if form is DateForm.COMPACT else date) + _TIME, re.ASCII)


_PATTERNS: Final = {form: _pattern(form) for form in DateForm}

AMBIGUOUS_PAIRS: Final = (
    frozenset({DateForm.DAY_MONTH_SLASH, DateForm.MONTH_DAY_SLASH}),
    frozenset({DateForm.DAY_MONTH_HYPHEN, DateForm.MONTH_DAY_HYPHEN}),
)
"""Forms that no source may have at once: one text would be two days."""


def to_iso(text: str, forms: tuple[DateForm, ...]) -> str:
    """A date, or a date and a time, as ISO 8601; unchanged where it has none of the forms.

    >>> to_iso("7/26/2025 9:30:00 AM", (DateForm.MONTH_DAY_SLASH,))
    '2025-07-26T09:30:00'
    >>> to_iso("26.07.2025", (DateForm.DAY_MONTH_POINT,)), to_iso("2025-07-26", (DateForm.DAY_MONTH_POINT,))
    ('2025-07-26', '2025-07-26')
    """
    for form in forms:
        if match := _PATTERNS[form].fullmatch(text):
            return _iso(match) or text
    return text


def _iso(match: re.Match[str]) -> str | None:
    """The date and the time of a match as ISO 8601; None for a month or an hour that there is not."""
    parts = match.groupdict()
    name = (parts.get("name") or "").lower()
    if name and name not in _MONTHS:
        return None
    month = _MONTHS.index(name) + 1 if name else int(parts["month"])
    date = f"{parts['year']}-{month:02}-{int(parts['day']):02}"
    if parts["hour"] is None:
        return date
    hour = int(parts["hour"])
    if half := (parts["half"] or "").lower():
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half == "p")
    return f"{date}T{hour:02}{parts['rest']}{(parts['zone'] or '').strip()}"
