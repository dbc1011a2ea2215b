"""The three feeds of a simulated trading day: the same bytes for the same arguments, on every machine.

    (seed, i, profile) -> Trade: the statements of each source, and the faults planted in them    trades, hostile
    trades -> rows in the order they are sent -> three CSV files                                  feed, files
                                              -> records of three topics, at a rate                    messages, pace

Integers only: money in mills (thousandths), time in milliseconds, probability in per mille. The random numbers of a
trade are a hash of its seed and index, so no trade depends on another, or on the number of trades.
"""

from traderecon.simulator.feed import Message, feed, trade_of
from traderecon.simulator.files import write_csv
from traderecon.simulator.flaws import Flaw
from traderecon.simulator.messages import Sent, messages
from traderecon.simulator.pace import pace
from traderecon.simulator.profiles import PROFILES, Profile
from traderecon.simulator.rows import header
from traderecon.simulator.statements import Booking, Planted, Statement, Terms, Trade
from traderecon.simulator.trades import SLOT_MS, START_MS

__all__ = [
    "PROFILES",
    "SLOT_MS",
    "START_MS",
    "Booking",
    "Flaw",
    "Message",
    "Planted",
    "Profile",
    "Sent",
    "Statement",
    "Terms",
    "Trade",
    "feed",
    "header",
    "messages",
    "pace",
    "trade_of",
    "write_csv",
]
