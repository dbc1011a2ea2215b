"""The three feeds of a trading day that never was: the same bytes for the same arguments, on every machine.

    (seed, i, profile) -> Trade: who states what, when, and what is wrong with it      trades, hostile
    trades -> rows in the order they are sent -> three CSV files                       feed, files
                                              -> records of three topics, in time      messages, pace

Integers only: money in mills (thousandths), time in milliseconds, chance in per mille. A trade draws its numbers from a
hash of its own name, so no trade depends on another, or on how many there are.
"""

from traderecon.simulator.feed import Message, feed, trade_of
from traderecon.simulator.files import write_csv
from traderecon.simulator.flaws import Flaw
from traderecon.simulator.messages import Sent, messages
from traderecon.simulator.pace import paced
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
    "paced",
    "trade_of",
    "write_csv",
]
