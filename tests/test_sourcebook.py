"""The tables [sources.<topic>] of a rules file: what they may say, and the error texts."""

import re
from pathlib import Path

import pytest
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from traderecon import sourcebook
from traderecon.intake import (
    STANDARD_SETTINGS,
    DateForm,
    EpochUnit,
    Form,
    SettingsBySource,
    SideView,
    SourceSettings,
)
from traderecon.records import Kind, Source
from traderecon.records.currencies import MINOR_UNITS, MinorUnit
from traderecon.rulebook import rules_in_force
from traderecon.rules import FOUNDING
from traderecon.rules.file import RulesError, parse_rules
from traderecon.rules.rules import SourceGrace
from traderecon.settings import ConfigurationError, load
from traderecon.sourcebook import CHANGE_SOURCES, parse_file, parse_sources, sources_agreement, sources_in_force

THEIRS = "[sources.broker_confirmations]\n"


def parse(text: str) -> SettingsBySource:
    """The sources of a rules file; its rules are read too, since a worker reads both."""
    whole = f'name = "founding"\n{text}'
    return parse_sources(whole, parse_rules(whole))


def error_of(text: str) -> str:
    with pytest.raises(RulesError) as error:
        parse(text)
    return str(error.value)


def test_the_example_is_read() -> None:
    lines = (sourcebook.__doc__ or "").splitlines()
    example = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))
    sources = parse(example)
    assert sources[Source.EXECUTIONS] is sources[Source.PNL] is STANDARD_SETTINGS
    assert sources[Source.CONFIRMATIONS] == SourceSettings(
        form=Form("America/New_York", EpochUnit.MS, 3),
        date_forms=(DateForm.DAY_MONTH_SLASH,),
        required=("account",),
        kind_field="exec_type",
        kinds={"F": Kind.NEW, "G": Kind.AMEND, "H": Kind.CANCEL},
        reference_field="exec_ref_id",
        side=SideView.MIRRORED,
        signed=True,
        minor_units=MINOR_UNITS,
        keyed=False,
        fold_case=True,
        aliases={"BRK/B": "BRK.B", "BRK B": "BRK.B"},
    )


def test_sources_are_no_part_of_the_rules() -> None:
    text = f'name = "founding"\n{THEIRS}zone = "Asia/Tokyo"'
    assert parse_rules(text).stamp() == FOUNDING.stamp()


@pytest.mark.parametrize("text", ["", "[sources]", THEIRS, f'{THEIRS}zone = "UTC"', "[sources.pnl_snapshot]"])
def test_what_says_nothing_is_the_standard(text: str) -> None:
    assert all(settings is STANDARD_SETTINGS for settings in parse(text).values())


def test_a_byte_order_mark_is_no_error() -> None:
    assert parse_sources('\ufeffname = "x"', FOUNDING)[Source.PNL] is STANDARD_SETTINGS


def test_a_term_that_no_check_reads_may_be_absent() -> None:
    sources = parse("[checks]\nprice = false\ntimestamp = false\npnl = false")
    assert (
        sources[Source.EXECUTIONS] == sources[Source.CONFIRMATIONS] == SourceSettings(optional=("price", "timestamp"))
    )
    assert sources[Source.PNL] is STANDARD_SETTINGS


@pytest.mark.parametrize(
    ("pnl", "optional"),
    [
        ('basis = "gross"', ("commission",)),
        ('basis = "expression"\nexpression = "price * quantity"', ("commission",)),
        ('basis = "expression"\nexpression = "price - commission"', ()),
        ('basis = "gross"\n[[override]]\nticker = "T"\nchecks.pnl.basis = "cash_flow"', ()),
        ("", ()),
    ],
)
def test_a_snapshot_may_lack_a_commission_that_no_basis_reads(pnl: str, optional: tuple[str, ...]) -> None:
    assert parse(f"[checks.pnl]\n{pnl}")[Source.PNL] == SourceSettings(optional=optional)


def test_unless_its_source_must_send_it() -> None:
    sources = parse(f'[checks]\nprice = false\n{THEIRS}required = ["price"]')
    assert sources[Source.EXECUTIONS].optional == ("price",)
    assert sources[Source.CONFIRMATIONS].optional == ()


def test_the_grace_of_a_source_is_of_the_rules() -> None:
    for written in ("0.5", '"0.50"'):
        rules, sources = parse_file(f'name = "founding"\n{THEIRS}grace_seconds = {written}\n')
        assert rules.source_graces == (SourceGrace(Source.CONFIRMATIONS, 500_000_000),)
    assert rules.stamp() != FOUNDING.stamp()
    assert all(settings is STANDARD_SETTINGS for settings in sources.values())


def test_minor_units_of_a_desk() -> None:
    sources = parse("[sources.pnl_snapshot.minor_units]\nGBX = 'GBP / 100'")
    assert sources[Source.PNL].minor_units == {"GBX": MinorUnit("GBP", 2)}


def test_aliases_are_folded_where_tickers_are() -> None:
    sources = parse(f'{THEIRS}fold_case = true\naliases = {{ "BRK.B" = ["brk/b", "brk.b", "BRK.B"] }}')
    assert sources[Source.CONFIRMATIONS].aliases == {"BRK/B": "BRK.B"}


def test_a_ticker_in_the_match_key_is_spelt_alike_in_snapshots() -> None:
    tables = f'{THEIRS}fold_case = true\naliases = {{ "BRK.B" = ["brk/b"] }}\n[sources.executions]\nfold_case = true'
    _, sources = parse_file(f'name = "k"\nmatch_key = ["ticker", "trade_id"]\n{tables}')
    snapshots = sources[Source.PNL]
    assert (snapshots.key_fields, snapshots.fold_case, snapshots.aliases) == (("ticker",), True, {"BRK/B": "BRK.B"})
    _, sources = parse_file(f'name = "k"\nmatch_key = ["broker", "trade_id"]\n{tables}')
    assert (sources[Source.PNL].fold_case, sources[Source.PNL].aliases) == (False, {})


def test_the_same_group_in_two_sources_is_one_group() -> None:
    table = 'aliases = { "BRK.B" = ["BRK/B"] }'
    sources = parse(f"[sources.executions]\n{table}\n{THEIRS}{table}")
    assert sources[Source.EXECUTIONS].aliases == sources[Source.CONFIRMATIONS].aliases == {"BRK/B": "BRK.B"}


ERRORS = {
    "an unknown source": (
        "[sources.fills]",
        "sources.fills is not known. Known names: executions, broker_confirmations, pnl_snapshot",
    ),
    "a misspelt setting": (
        f"{THEIRS}zones = 'UTC'",
        "sources.broker_confirmations.zones is not known: did you mean zone?",
    ),
    "no table": ("sources = 1", "sources is a whole number: write a table"),
    "a time setting of a source without times": (
        "[sources.pnl_snapshot]\nzone = 'UTC'",
        "sources.pnl_snapshot.zone is not known. Known names: required, minor_units, key",
    ),
    "a misspelt zone": (
        f"{THEIRS}zone = 'America/NewYork'",
        "sources.broker_confirmations.zone is 'America/NewYork' (did you mean America/New_York?): write a name of the "
        "IANA database, as in America/New_York",
    ),
    "a zone of this machine": (
        f"{THEIRS}zone = 'localtime'",
        "sources.broker_confirmations.zone is 'localtime': write a name of the IANA database, as in America/New_York",
    ),
    "a path as zone": (
        f"{THEIRS}zone = '../etc/passwd'",
        "sources.broker_confirmations.zone is '../etc/passwd': write",
    ),
    "an unknown unit": (
        f"{THEIRS}epoch_unit = 'sec'",
        "sources.broker_confirmations.epoch_unit is 'sec': write s or ms or us or ns",
    ),
    "an unknown form": (
        f"{THEIRS}date_forms = ['%d/%m/%Y']",
        "sources.broker_confirmations.date_forms has '%d/%m/%Y': write DD/MM/YYYY or MM/DD/YYYY or ",
    ),
    "two forms of one text": (
        f"{THEIRS}date_forms = ['DD/MM/YYYY', 'MM/DD/YYYY']",
        "sources.broker_confirmations.date_forms has DD/MM/YYYY and MM/DD/YYYY: one text would be two days, write one",
    ),
    "ten digits": (f"{THEIRS}granularity = 10", "sources.broker_confirmations.granularity is invalid"),
    "an unknown side": (
        f"{THEIRS}side = 'theirs'",
        "sources.broker_confirmations.side is 'theirs': write same or mirrored",
    ),
    "an unknown kind": (
        f"{THEIRS}kinds = {{ bust = ['H'] }}",
        "sources.broker_confirmations.kinds.bust is not known. Known names: new, amend, cancel",
    ),
    "one code for two kinds": (
        f"{THEIRS}kinds = {{ amend = ['G'], cancel = ['H', 'G'] }}",
        "sources.broker_confirmations.kinds.amend and sources.broker_confirmations.kinds.cancel both have 'G': write "
        "it in one of them",
    ),
    "a code with blanks": (
        f"{THEIRS}kinds = {{ amend = [' G'] }}",
        "sources.broker_confirmations.kinds.amend has ' G'",
    ),
    "a term as kind": (
        f"{THEIRS}kind_field = 'side'",
        "sources.broker_confirmations.kind_field is side, which has a meaning of its own: write another field",
    ),
    "a reference of its own": (
        f"{THEIRS}reference_field = 'trade_id'",
        "sources.broker_confirmations.reference_field is trade_id, which has a meaning of its own: write another field",
    ),
    "no name": (
        f"{THEIRS}reference_field = ''",
        "sources.broker_confirmations.reference_field is '': write the name of a",
    ),
    "one field for both": (
        f"{THEIRS}reference_field = 'x'\nkind_field = 'x'",
        "sources.broker_confirmations has one field for kind_field and reference_field: write two",
    ),
    "an unknown field": (
        f"{THEIRS}required = ['acount']",
        "sources.broker_confirmations.required has 'acount', which is no field of this source (did you mean account?)",
    ),
    "a field of another source": (
        "[sources.pnl_snapshot]\nrequired = ['price']",
        "sources.pnl_snapshot.required has 'price', which is no field of this source",
    ),
    "an unknown currency": (
        f"{THEIRS}minor_units = {{ GBX = 'gbp / 100' }}",
        "minor_units.GBX is 'gbp / 100': write a currency and a power of ten, as in \"GBP / 100\"",
    ),
    "not ISO 4217": (
        f"{THEIRS}minor_units = {{ GBX = 'XXY / 100' }}",
        "minor_units.GBX is 'XXY / 100': write a currency",
    ),
    "no power of ten": (
        f"{THEIRS}minor_units = {{ GBX = 'GBP / 12' }}",
        "minor_units.GBX is 'GBP / 12': write a currency",
    ),
    "one": (f"{THEIRS}minor_units = {{ GBX = 'GBP / 1' }}", "minor_units.GBX is 'GBP / 1': write a currency"),
    "a currency as minor unit": (
        f"{THEIRS}minor_units = {{ USD = 'GBP / 100' }}",
        "sources.broker_confirmations.minor_units has 'USD': that is not the code of a minor unit",
    ),
    "a number as minor unit": (
        f"{THEIRS}minor_units = {{ GBX = 100 }}",
        "sources.broker_confirmations.minor_units[...] is a whole number: write text",
    ),
    "an alias in two groups (E06)": (
        f"{THEIRS}aliases = {{ 'BRK.B' = ['BRK/B'], 'BRK.A' = ['BRK/B'] }}",
        "BRK/B is an alias in sources.broker_confirmations.aliases.BRK.A and in "
        "sources.broker_confirmations.aliases.BRK.B, and may be in one of them: see line 3",
    ),
    "an alias in the groups of two sources": (
        f"[sources.executions]\naliases = {{ 'BRK.A' = ['BRK/B'] }}\n{THEIRS}aliases = {{ 'BRK.B' = ['BRK/B'] }}",
        "BRK/B is an alias in sources.broker_confirmations.aliases.BRK.B and in sources.executions.aliases.BRK.A, and "
        "may be in one of them: see line 3",
    ),
    "an alias of an alias": (
        f"{THEIRS}aliases = {{ 'BRK.B' = ['BRK/B'], 'BRK/B' = ['BRKB'] }}",
        "BRK/B is an alias in sources.broker_confirmations.aliases.BRK.B, and the standard ticker of "
        "sources.broker_confirmations.aliases.BRK/B: see line 3",
    ),
    "a grace in words": (
        f"{THEIRS}grace_seconds = 'long'",
        "sources.broker_confirmations.grace_seconds is 'long': write a decimal",
    ),
    "a grace before the trade": (
        f"{THEIRS}grace_seconds = -1",
        "sources.broker_confirmations.grace_seconds is -1: write",
    ),
    "a grace of more than a year": (
        f"{THEIRS}grace_seconds = 31536001",
        "sources.broker_confirmations.grace_seconds is 31536001: write at most 31536000, a year",
    ),
    "a word as the code of another kind": (
        f"{THEIRS}kinds = {{ new = ['Cancel'] }}",
        "kinds.new has 'Cancel', which always means cancel: remove it",
    ),
    "a currency in another case as a minor unit": (
        f"{THEIRS}minor_units = {{ usd = 'USD / 100' }}",
        "has 'usd': that is not the code of a minor unit",
    ),
    "an alias with blanks": (
        f"{THEIRS}aliases = {{ 'BRK.B' = ['BRK/B '] }}",
        "has 'BRK/B ': write tickers without blanks",
    ),
    "an empty alias": (f"{THEIRS}aliases = {{ 'BRK.B' = [''] }}", "has '': write tickers without blanks"),
}


@pytest.mark.parametrize(("text", "expected"), ERRORS.values(), ids=ERRORS)
def test_an_error_says_what_was_found_and_what_to_write(text: str, expected: str) -> None:
    assert re.sub(r"\s+", " ", expected) in error_of(text)


def test_every_error_of_the_file_has_its_place() -> None:
    text = f"""name = ""
[checks]
prise = false
{THEIRS}zone = "Mars"
signed = 1
required = [1]
[sources.executions]
aliases = {{ "BRK.B" = ["BRK/B"] }}
[sources.broker_confirmations.aliases]
"BRK.A" = ["BRK/B"]
"""
    with pytest.raises(RulesError) as error:
        parse_file(text)
    places = [line.split(": ")[0] for line in error.value.lines("f")]
    assert places == ["f:1:1", "f:3:1", "f:5:1", "f:6:1", "f:7:13", "f:11:1"]


def test_a_whole_file_is_read_at_once() -> None:
    rules, sources = parse_file(f'name = "desk"\n{THEIRS}signed = true')
    assert rules.name == "desk"
    assert sources[Source.CONFIRMATIONS] == SourceSettings(signed=True)


def test_an_error_names_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "desk.toml").write_text(f'name = "x"\n{THEIRS}zone = 1')
    monkeypatch.setenv("TRADERECON_RULES", "desk.toml")
    with pytest.raises(
        ConfigurationError, match=r"desk\.toml:3:1: sources\.broker_confirmations\.zone is a whole number"
    ):
        sources_in_force(load())


def test_without_a_file_every_source_is_standard(here: Path) -> None:
    assert not list(here.iterdir())
    assert sources_in_force(load()) == dict.fromkeys(Source, STANDARD_SETTINGS)


class TestAgreement:
    def test_standard_workers_join_those_of_an_earlier_version(self) -> None:
        """Faust gives an app without tables the stock assignor, whose name is the group's protocol."""
        assert sources_agreement(parse("")).protocol == RoundRobinPartitionAssignor.name == "roundrobin"

    def test_other_settings_are_another_protocol(self) -> None:
        protocols = {
            sources_agreement(parse(f"{THEIRS}{text}")).protocol
            for text in ("signed = true", "fold_case = true", "zone = 'Asia/Tokyo'", "kinds = { new = ['F'] }")
        }
        assert len(protocols) == 4
        assert all(re.fullmatch(r"sources-[0-9a-f]{64}", protocol) for protocol in protocols)

    def test_the_order_of_a_file_does_not_matter(self) -> None:
        first, second = (
            sources_agreement(parse(f"{THEIRS}kinds = {kinds}")).protocol
            for kinds in ("{ new = ['F', 'A'], cancel = ['H'] }", "{ cancel = ['H'], new = ['A', 'F'] }")
        )
        assert first == second

    def test_a_waiting_worker_says_what_each_has(self) -> None:
        agreement = sources_agreement(parse(f"{THEIRS}signed = true"))
        assert agreement.describe("roundrobin") == "the standard settings of every source"
        assert re.fullmatch(r"settings of the sources with sha256 [0-9a-f]{8}", agreement.describe(agreement.protocol))
        assert agreement.describe("") == "other settings of the sources"
        assert agreement.describe("faust") == "the unknown protocol 'faust'"
        assert agreement.todo == CHANGE_SOURCES


def test_rules_and_sources_are_one_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "desk.toml").write_text(f'name = "desk-7"\n[checks]\nticker = false\n{THEIRS}signed = true')
    monkeypatch.setenv("TRADERECON_RULES", "desk.toml")
    settings = load()
    assert rules_in_force(settings).name == "desk-7"
    assert sources_in_force(settings)[Source.CONFIRMATIONS] == SourceSettings(signed=True, optional=("ticker",))
