"""Source settings: how one source writes its records. Whatever its settings leave out is as in the founding profile.

    SourceSettings(form=Form(naive_zone="America/New_York"), side=SideView.MIRRORED, kinds={"H": Kind.CANCEL})

Source: docs/sources.md.
"""

from collections.abc import Mapping

import msgspec

from traderecon.intake.date_forms import DateForm
from traderecon.intake.instants import UTC_FORM, Form
from traderecon.records import Kind, Source
from traderecon.records.currencies import MinorUnit
from traderecon.records.words import Word

TERMS = ("trade_id", "ticker", "quantity", "price", "timestamp")
PNL = ("trade_id", "pnl_impact", "commission")

COLUMNS = {Source.EXECUTIONS: TERMS, Source.CONFIRMATIONS: TERMS, Source.PNL: PNL}
"""The fields every record of a source has. Source: CONTRACT.md, Topics."""

KIND = "kind"


class SideView(Word):
    """Whose purchase a BUY of this source is."""

    SAME = "same"
    """Ours, as in the executions."""
    MIRRORED = "mirrored"
    """The broker's own: what it buys, we sell."""


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one source.

    ``required``: fields a record must have beside those of ``COLUMNS``. ``optional``: fields of ``COLUMNS`` that a
    record may lack, because no check reads them. ``kinds``: the source's codes for new, amend and cancel, in
    ``kind_field``. ``reference_field``: where an amend or a cancel names the trade_id of what it replaces.
    ``signed``: a negative quantity is a sale. ``minor_units``: the codes of hundredths, by which amounts are divided.
    ``group_field``: the field whose value legs lie under, in place of their trade_id; every record has it.
    ``key_fields``: the fields that refine a trade_id; ``records.match_keys``.
    ``keyed``: the key of a record is its trade_id. ``fold_case``: tickers in upper case. ``aliases``: other spellings
    of tickers -> the standard one.
    """

    form: Form = UTC_FORM
    date_forms: tuple[DateForm, ...] = ()
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    kind_field: str = KIND
    kinds: Mapping[str, Kind] = {}
    reference_field: str | None = None
    group_field: str | None = None
    key_fields: tuple[str, ...] = ()
    side: SideView = SideView.SAME
    signed: bool = False
    minor_units: Mapping[str, MinorUnit] = {}
    keyed: bool = True
    fold_case: bool = False
    aliases: Mapping[str, str] = {}

    @property
    def own_fields(self) -> frozenset[str]:
        """Fields that have a meaning in this source only."""
        return frozenset({self.kind_field, self.reference_field or KIND, self.group_field or KIND} - {KIND})

    @property
    def rekeys(self) -> bool:
        """Whether a leg may lie under another id than the trade_id in its record."""
        return self.reference_field is not None or self.group_field is not None

    def columns(self, source: Source) -> tuple[str, ...]:
        """The columns that a file of this source must have."""
        every = (*COLUMNS[source], *self.required, *sorted(self.own_fields))
        return tuple(name for name in dict.fromkeys(every) if name not in self.optional)


STANDARD_SETTINGS = SourceSettings()
"""The founding profile: UTC, the product's own words, nothing else."""

SettingsBySource = Mapping[Source, SourceSettings]
"""The settings of each source; one that is absent is standard."""


def reads_plainly(settings: SourceSettings) -> bool:
    """Whether a row that has every field of ``COLUMNS`` means the same as in the founding profile."""
    return msgspec.structs.replace(settings, optional=(), keyed=True) == STANDARD_SETTINGS
