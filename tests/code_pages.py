"""docs/codes.md and docs/codes.json: the registry of codes, for people and for programs.

python -m code_pages         writes them
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from traderecon.records.registry import REGISTRY, Code, FixValue, Vocabulary, registry_json

FOLDER = Path(__file__).parents[1] / "docs"
HEADINGS = {
    Vocabulary.REASON: (
        "Reasons",
        "What keeps a trade from `MATCHED`. The severity is that of a break with this reason.",
    ),
    Vocabulary.HINT: ("Hints", "What helps to understand a trade. A hint decides nothing."),
    Vocabulary.REJECT: (
        "Reject codes",
        "Why a message or a row is refused. It becomes a dead letter and changes no trade.",
    ),
}
INTRODUCTION = """# Codes

Every code of a result and of a dead letter. The same list is [codes.json](codes.json), and `/api/v1/reasons` of a
running worker. This page is generated from `traderecon/records/codes.py`.

FIX is MatchExceptionType (2773) and, behind the slash, MatchExceptionElementType (2774); where FIX has no such element,
the type stands alone. ISO 20022 is the unmatched reason of sese.024. A reserved code has a name and a meaning, and
nothing in this version gives it.
"""
REJECT_FIX = """
In FIX, 2773 is 2 (allocation data element missing) for an execution and 3 (confirmation data element missing) for a
confirmation. In ISO 20022 it is `OTHR`.
"""


def files() -> dict[str, str]:
    """The content of both files, by name."""
    sections = [_section(vocabulary) for vocabulary in Vocabulary]
    return {
        "codes.md": "\n".join([INTRODUCTION, *sections]),
        "codes.json": json.dumps(msgspec.json.decode(registry_json()), indent=2, ensure_ascii=False) + "\n",
    }


def _section(vocabulary: Vocabulary) -> str:
    heading, about = HEADINGS[vocabulary]
    codes = [code for code in REGISTRY if code.kind is vocabulary]
    match vocabulary:
        case Vocabulary.REASON:
            table = _table(("Code", "Given", "Severity", "FIX", "ISO 20022", "Meaning"), map(_reason, codes))
        case Vocabulary.HINT | Vocabulary.REJECT:
            table = _table(
                ("Code", "Given", "Meaning"), ((_name(code), _given(code), _meaning(code)) for code in codes)
            )
    note = REJECT_FIX if vocabulary is Vocabulary.REJECT else ""
    return f"## {heading}\n\n{about}\n{note}\n{table}"


def _reason(code: Code) -> tuple[str, ...]:
    (fix,) = code.fix_types
    element = f" / {_fix(code.fix_element)}" if code.fix_element else ""
    return _name(code), _given(code), code.severity or "", f"{_fix(fix)}{element}", f"`{code.iso_code}`", _meaning(code)


def _fix(value: FixValue) -> str:
    return f"{value.value} {value.name}"


def _name(code: Code) -> str:
    return f"`{code.code}`"


def _given(code: Code) -> str:
    return "yes" if code.given else "reserved"


def _meaning(code: Code) -> str:
    fix = ", ".join(_fix(value) for value in code.fix_types)
    late = f" FIX {fix}, ISO 20022 `{code.iso_code}`." if code.kind is Vocabulary.HINT and code.fix_types else ""
    return f"{code.meaning}{late}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
        sys.stdout.write(f"{name}\n")
