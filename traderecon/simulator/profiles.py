"""Profiles: how much goes wrong in a simulated day.

A rate counts trades per mille; what is wrong with a leg counts among the trades that have it.
"""

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Rates per mille, and how long rows travel; a slot is the time between two executions.

    A confirmation travels at most ``delay_slots``, a pnl row twice that, a repetition one ``delay_slots`` more.
    ``versioned`` rows have the columns ``version`` and ``kind``. Of the last five at most one befalls a trade.
    ``odd_keys_per_mille`` counts messages: their keys are missing, in quotes, or another trade's; files have no keys.
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
        """No row of a trade is sent later than this after its execution."""
        return 3 * self.delay_slots


CLEAN = Profile(name="clean", about="all three say the same, in order")

TYPICAL = Profile(
    name="typical",
    about="a few per cent of breaks of every kind, duplicates, disorder, missing legs",
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
    about="typical, and malformed rows, missing keys, conflicts, amends, cancels, injections",
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
