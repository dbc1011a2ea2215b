"""The registry is complete, says what FIX says, and is what the documentation and the pages show."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from code_pages import FOLDER, files

import traderecon
from traderecon.present import labels
from traderecon.records import Hint, Reason, RejectCode
from traderecon.records.codes import RESERVED, RESERVED_HINTS
from traderecon.records.registry import FIX_ELEMENTS, FIX_TYPES, REGISTRY, Vocabulary, registry_json

CODE_SETS = tomllib.loads((Path(__file__).parent / "fix_code_sets.toml").read_text(encoding="utf-8"))
MISSPELT = {"QUALITY_ALLOCATED": "QUANTITY_ALLOCATED"}
"""In the code set of QuickFIX; the field is the quantity allocated."""


def test_every_code_is_listed_once_with_a_meaning() -> None:
    listed = [(code.kind, code.code) for code in REGISTRY]
    vocabularies = {Vocabulary.REASON: Reason, Vocabulary.HINT: Hint, Vocabulary.REJECT: RejectCode}
    assert listed == [(kind, code.value) for kind, codes in vocabularies.items() for code in codes]
    assert all(code.meaning.strip() for code in REGISTRY)
    assert len({(code.kind, code.meaning) for code in REGISTRY}) == len(REGISTRY)


def test_only_reserved_codes_are_not_given() -> None:
    """Of a code that is given, the product outside the registry speaks; of a reserved one it does not."""
    package = Path(traderecon.__file__).parent
    registry = {"codes.py", "registry.py"}
    source = "".join(path.read_text() for path in package.rglob("*.py") if path.name not in registry)
    enums = {Vocabulary.REASON: "Reason", Vocabulary.HINT: "Hint", Vocabulary.REJECT: "RejectCode"}
    named = {(code.kind, code.code) for code in REGISTRY if re.search(rf"\b{enums[code.kind]}\.{code.code}\b", source)}
    assert {(code.kind, code.code) for code in REGISTRY if code.given} == named
    reserved = {code.code for code in REGISTRY if not code.given}
    assert reserved == {*RESERVED, *RESERVED_HINTS}


@pytest.mark.parametrize(("field", "names"), [("2773", FIX_TYPES), ("2774", FIX_ELEMENTS)])
def test_the_values_and_names_are_those_of_fix(field: str, names: dict[int, str]) -> None:
    code_set = {int(value): MISSPELT.get(name, name) for value, name in CODE_SETS[field].items()}
    assert {value: name.upper().replace(" ", "_") for value, name in names.items()}.items() <= code_set.items()


def test_every_type_of_fix_is_known_and_a_difference_names_its_element() -> None:
    assert {str(value) for value in FIX_TYPES} == CODE_SETS["2773"].keys()
    difference = {code.code for code in REGISTRY if 4 in {value.value for value in code.fix_types}}
    assert difference == {code.code for code in REGISTRY if code.fix_element}
    assert FIX_ELEMENTS.keys() == {code.fix_element.value for code in REGISTRY if code.fix_element}


def test_an_iso_code_has_four_letters() -> None:
    assert all(re.fullmatch("[A-Z]{4}", code.iso_code) for code in REGISTRY if code.iso_code)


def test_the_pages_say_what_the_registry_says() -> None:
    meanings = {(code.kind, code.code): code.meaning for code in REGISTRY}
    assert {hint.value: text for hint, text in labels.HINTS.items()} == {
        code: text for (kind, code), text in meanings.items() if kind is Vocabulary.HINT
    }
    assert {reject.value: text for reject, text in labels.REJECTS.items()} == {
        code: text for (kind, code), text in meanings.items() if kind is Vocabulary.REJECT
    }


def test_the_files_of_the_documentation_are_current() -> None:
    """``python -m code_pages`` in tests/ writes them."""
    assert {name: (FOLDER / name).read_text(encoding="utf-8") for name in files()} == files()
    assert msgspec.json.decode((FOLDER / "codes.json").read_bytes()) == msgspec.json.decode(registry_json())
