"""Profiles: the kinds and rates of faults in a simulated day.

Rates are per mille of the trades; faults of a leg, of the trades that have that leg.
"""

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Rates per mille, and delays in slots, the time between two executions.

    A confirmation is delayed by at most ``delay_slots``, a pnl row by twice that, a repetition by another
    ``delay_slots``. ``versioned`` rows have the columns ``version`` and ``kind``. A trade has at most one of the last
    five faults. ``odd_keys_per_mille`` is per mille of the messages: keys that are missing, quoted, or another trade's;
    files have no keys.
    """

    name: str
    about: str
    delay_slots: int = 0
    versioned: bool = False
    pnl_per_mille: int = 1000
    repeated_per_mille: int = 0
    missing_execution_per_mille: int = 0
    missing_confirmation_per_mille: int = 0
    ticker_per_mille: int = 0
    quantity_per_mille: int = 0
    price_per_mille: int = 0
    price_tolerated_per_mille: int = 0
    drift_per_mille: int = 0
    drift_tolerated_per_mille: int = 0
    pnl_wrong_per_mille: int = 0
    pnl_tolerated_per_mille: int = 0
    pnl_realised_per_mille: int = 0
    odd_keys_per_mille: int = 0
    malformed_per_mille: int = 0
    strange_per_mille: int = 0
    conflict_per_mille: int = 0
    amended_per_mille: int = 0
    cancelled_per_mille: int = 0

    @property
    def reach_slots(self) -> int:
        """The maximum delay of a trade's rows after its execution."""
        return 3 * self.delay_slots


CLEAN = Profile(name="clean", about="all three sources agree, in order")

TYPICAL = Profile(
    name="typical",
    about="a few per cent of breaks of every kind, duplicates, out-of-order rows, missing legs",
    delay_slots=300,
    pnl_per_mille=500,
    repeated_per_mille=25,
    missing_execution_per_mille=2,
    missing_confirmation_per_mille=5,
    ticker_per_mille=2,
    quantity_per_mille=7,
    price_per_mille=7,
    price_tolerated_per_mille=60,
    drift_per_mille=5,
    drift_tolerated_per_mille=400,
    pnl_wrong_per_mille=8,
    pnl_tolerated_per_mille=50,
    pnl_realised_per_mille=2,
)

HOSTILE = msgspec.structs.replace(
    TYPICAL,
    name="hostile",
    about="typical, plus malformed rows, missing keys, conflicts, amendments, cancellations, injections",
    versioned=True,
    odd_keys_per_mille=150,
    malformed_per_mille=60,
    strange_per_mille=20,
    conflict_per_mille=20,
    amended_per_mille=20,
    cancelled_per_mille=20,
)

PROFILES = {profile.name: profile for profile in (CLEAN, TYPICAL, HOSTILE)}
"""Every profile by its name."""
