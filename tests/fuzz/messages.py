"""Fuzzed messages: good legs, legs with odd values, mutated bytes, JSON that is none of ours, and noise.

    fuzzed(seed, count)  ->  Fed(topic, key, value), ...        the same for the same arguments

They come in chunks that have trades of their own; a chunk is a function of (seed, its number).
"""

import gzip
import json
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count as naturals
from itertools import islice
from typing import NamedTuple

EXECUTIONS, CONFIRMATIONS, SNAPSHOTS = "executions", "broker_confirmations", "pnl_snapshot"
CHUNK = 1_000
LEGS = 5
"""Messages per trade, on average; one trade of a chunk gets far more than it may have."""
HOT = 80
MAX_DEPTH = 5

NUMBERS = (
    *("0", "-0", "-0.0", "1", "-1", "100", "00012", "+1", "1.", ".5", "1e5", "1E-3", "1e+2", "1e999", "1e-400"),
    *("NaN", "Infinity", "-Infinity", "true", "false", "null", "[]", "{}", "[1]", '{"amount":1}', '""', '"  "'),
    *(
        "9" * 18,
        "9" * 19,
        "9" * 129,
        "9" * 5_000,
        "-1e309",
        "0." + "1" * 18,
        "0." + "1" * 19,
        "0." + "0" * 30,
        "1" + "0" * 17,
    ),
    *('"12.50"', '" 7 "', '"1,000"', '"1 000,5"', '"0x10"', '"1_000"', '"\uff11\uff12"', '"\u0663"', '"1e2"', '"nan"'),
    *('"-inf"', '"1e999999999999"', '"--1"', '"1\\u0030"', "9007199254740993", "0.30000000000000004", "1.50000"),
)
TIMES = (
    *('"2025-07-26T10:01:23"', '"2025-07-26 10:01:23,5+02:00"', '"20250726-10:01:23.000"', '"2025-07-26t10:01:23z"'),
    *('"2025-02-30T00:00:00Z"', '"2024-02-29T00:00:00Z"', '"2016-12-31T23:59:60Z"', '"2025-07-26T10:01:60Z"'),
    *('"2262-04-11T23:47:16.854775807Z"', '"2262-04-11T23:47:16.854775808Z"', '"1970-01-01T00:00:00Z"'),
    *('"1970-01-01T00:00:00.000000001Z"', '"9999-12-31T23:59:59Z"', '"0000-00-00T00:00:00Z"', '"2025-07-26"'),
    *('"2025-07-26T24:00:00Z"', '"2025-07-26T10:01:23.1234567890Z"', '"2025-07-26T10:01:23.1234567891Z"'),
    *('"2025-07-26T10:01:23+15:59"', '"2025-07-26T10:01:23-16:00"', '"2025-07-26T10:01:23+02"', "1753524083000"),
    *("0", "-1", "null", '""', '"yesterday"', '"\uff12\uff10\uff12\uff15-07-26T10:01:23Z"', '"' + "2" * 500 + '"'),
)
KINDS = ('"new"', '"amend"', '"cancel"', '"CANCEL"', '"bust"', '" Amend "', '"fee"', "null", "1", '""')
VERSIONS = (
    "0",
    "1",
    "2",
    "3",
    '"2"',
    "1.0",
    "1e9",
    "1e10",
    "-1",
    "0.5",
    "null",
    '"two"',
    "2e0",
    "1753524083000",
    f"{2**63}",
)
SCHEMAS = ("1", '"1"', "2", "null", "true", "0")
LETTERS = (
    "aZ09 .-/\\|\"'<>&{}[]$=+@\t\n\r\x00\x1f\x7f\x85"
    "\u00e9e\u0301\u202e\u200b\ufeff\u2028\u00a0\u2007\u3000\U0001f4c8\uffff"
)

Fields = list[tuple[str, str]]
"""Names and JSON tokens, in the order of the message."""


class Fed(NamedTuple):
    """One record of an input topic."""

    topic: str
    key: bytes | None
    value: bytes | None


def fuzzed(seed: int, count: int, first_chunk: int = 0) -> Iterator[Fed]:
    """So many messages, beginning with a chunk."""
    return islice((fed for number in naturals(first_chunk) for fed in chunk(seed, number)), count)


def chunk(seed: int, number: int) -> list[Fed]:
    """The messages of one chunk."""
    chance = random.Random(f"fuzz {seed} {number}")
    found = [_fed(chance, seed, number) for _ in range(CHUNK)]
    if number % 5 == 0:  # one trade with more versions than a trade may have
        at = chance.randrange(CHUNK - HOT)
        for version in range(HOT):
            fields = [*_leg(chance, EXECUTIONS, f"F{seed}-{number}-hot"), ("version", str(version + 1))]
            found[at + version] = Fed(EXECUTIONS, b"hot", _object(fields))
    return found


def _fed(chance: random.Random, seed: int, number: int) -> Fed:
    trade_id = f"F{seed}-{number}-{chance.randrange(CHUNK // LEGS)}"
    topic = chance.choices((EXECUTIONS, CONFIRMATIONS, SNAPSHOTS), (4, 4, 2))[0]
    fields = _leg(random.Random(trade_id), topic, trade_id)
    value = chance.choices((_plain, _odd, _bytes, _json, _noise), (35, 40, 15, 6, 4))[0](chance, topic, fields, number)
    return Fed(topic, _key(chance, trade_id, value), value)


def _leg(chance: random.Random, topic: str, trade_id: str) -> Fields:
    """What all sides say of a trade."""
    quantity, price = chance.randrange(1, 1_000), f"{chance.randrange(1, 500)}.{chance.randrange(100):02d}"
    second = chance.randrange(60)
    if topic == SNAPSHOTS:
        amount = json.dumps(str(quantity * int(price.replace(".", "")))[:-2] or "0")
        return [("trade_id", json.dumps(trade_id)), ("pnl_impact", amount), ("commission", "0")]
    return [
        ("trade_id", json.dumps(trade_id)),
        ("ticker", json.dumps(chance.choice(("AAPL", "MSFT", "VOD.L")))),
        ("quantity", str(quantity)),
        ("price", json.dumps(price)),
        ("timestamp", f'"2025-07-26T10:01:{second:02d}.{chance.randrange(1000):03d}Z"'),
    ]


def _key(chance: random.Random, trade_id: str, value: bytes | None) -> bytes | None:
    way = chance.randrange(20)
    if way == 0 and value is not None:  # a record that is nothing at all, nobody can send
        return None
    keys = (b'"%s"' % trade_id.encode(), b"another", b"", chance.randbytes(chance.randrange(40)), b"k" * 5_000)
    return keys[way - 1] if 0 < way <= len(keys) else trade_id.encode()


# -- ways to write a message


def _plain(chance: random.Random, topic: str, fields: Fields, number: int) -> bytes:
    """As it should be, or with an optional field that is in order."""
    if chance.random() < 0.2:
        fields = [*fields, ("version", chance.choice("123"))]
    return _object(fields)


def _odd(chance: random.Random, topic: str, fields: Fields, number: int) -> bytes:
    """Fields with odd values, absent, repeated, unknown, in another order, with blanks and escapes."""
    found = dict(fields)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        name, token = chance.choice(ODD)(chance, topic, found, number)
        found[name] = token
    pairs = list(found.items())
    if chance.random() < 0.05:
        pairs.append(chance.choice(pairs))
    if chance.random() < 0.05:
        del pairs[chance.randrange(len(pairs))]
    if chance.random() < 0.3:
        chance.shuffle(pairs)
    gap = chance.choice(("", "", "", " ", "\n\t", "\r\n"))
    return _object(pairs, gap, escaped=chance.random() < 0.05)


def _bytes(chance: random.Random, topic: str, fields: Fields, number: int) -> bytes:
    """A leg of which bytes were flipped, cut out, doubled, put in or cut off."""
    value = bytearray(_object(fields))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(value) + 1)
        to = min(len(value), at + chance.randrange(1, 9))
        way = chance.randrange(6)
        if way == 0 and at < len(value):
            value[at] ^= 1 << chance.randrange(8)
        elif way == 1:
            del value[at:to]
        elif way == 2:
            value[at:at] = value[at:to]
        elif way == 3:
            value[at:at] = chance.randbytes(chance.randrange(1, 4))
        elif way == 4:
            value[at:at] = chance.choice((b'"', b",", b":", b"{", b"}", b"\\", b"\\u", b" ", b"0", b"-", b"e"))
        elif chance.random() < 0.3:
            del value[at:]
    return bytes(value)


def _json(chance: random.Random, topic: str, fields: Fields, number: int) -> bytes:
    """JSON that has nothing of a leg, or a leg with much of it beside it."""
    if chance.random() < 0.5:
        return _value(chance, 0).encode("utf-8", "surrogatepass")
    strangers = [(_string(chance)[:20] + str(at), _value(chance, 0)) for at in range(chance.choice((1, 3, 200)))]
    return _object([*fields, *strangers])


def _noise(chance: random.Random, topic: str, fields: Fields, number: int) -> bytes | None:
    """Nothing, bytes, another format, or far too much."""
    leg = _object(fields)
    ways: Sequence[Callable[[], bytes | None]] = (
        lambda: None,
        lambda: b"",
        lambda: chance.randbytes(chance.randrange(300)),
        lambda: leg.decode("utf-8", "replace").encode("utf-16"),
        lambda: gzip.compress(leg, mtime=0),
        lambda: b"\x00\x00\x00\x00\x07" + leg,
        lambda: b"\xef\xbb\xbf" + leg,
        lambda: leg + leg,
        lambda: b"[" * chance.choice((31, 33, 3_000)),
        lambda: leg[:-1] + b',"x":"' + b"x" * chance.choice((64_000, 66_000)) + b'"}',
    )
    return chance.choice(ways)()


# -- one odd field


def _odd_number(chance: random.Random, topic: str, fields: dict[str, str], number: int) -> tuple[str, str]:
    names = ("pnl_impact", "commission", "open_price", "mark_price") if topic == SNAPSHOTS else ("quantity", "price")
    if chance.random() < 0.5:
        digits = chance.randrange(1, 20)
        exact = f"{chance.randrange(10**digits)}.{chance.randrange(10**digits)}"
        return chance.choice(names), chance.choice((exact, f'"{exact}"', f"-{exact}"))
    return chance.choice(names), chance.choice(NUMBERS)


def _odd_time(chance: random.Random, topic: str, fields: dict[str, str], number: int) -> tuple[str, str]:
    if chance.random() < 0.4:  # a little off, as clocks are
        return "timestamp", f'"2025-07-26T10:01:{chance.randrange(60):02d}.{chance.randrange(10**9):09d}Z"'
    return "timestamp", chance.choice(TIMES)


def _odd_text(chance: random.Random, topic: str, fields: dict[str, str], number: int) -> tuple[str, str]:
    name = chance.choice(("ticker", "side", "currency", "account", "broker", "counterparty", "order_id"))
    return name, _string_token(chance)


def _odd_trade_id(chance: random.Random, topic: str, fields: dict[str, str], number: int) -> tuple[str, str]:
    """Blanks around it, or text that this chunk alone has."""
    if chance.random() < 0.5:
        return "trade_id", f'"  {fields["trade_id"].strip(chr(34))} "'
    return "trade_id", chance.choice((_string_token(chance, str(number)), "null", "true", "7.5", '""', str(number)))


def _odd_fact(chance: random.Random, topic: str, fields: dict[str, str], number: int) -> tuple[str, str]:
    return chance.choice(("kind", "version", "schema_version")), chance.choice((*KINDS, *VERSIONS, *SCHEMAS))


def _right_fact(chance: random.Random, topic: str, fields: dict[str, str], number: int) -> tuple[str, str]:
    name, tokens = chance.choice((("kind", KINDS), ("version", VERSIONS), ("schema_version", SCHEMAS)))
    return name, chance.choice(tokens)


def _stranger(chance: random.Random, topic: str, fields: dict[str, str], number: int) -> tuple[str, str]:
    return chance.choice(("__proto__", "__faust", "id", "price ", "Price", "x")), _value(chance, 0)


ODD = (_odd_number, _odd_number, _odd_time, _odd_text, _odd_trade_id, _right_fact, _right_fact, _odd_fact, _stranger)


# -- JSON


def _object(pairs: Fields, gap: str = "", *, escaped: bool = False) -> bytes:
    """A message of these fields."""
    spelled: Callable[[str], str] = _escaped if escaped else json.dumps
    members = (f"{gap}{spelled(name)}{gap}:{gap}{token}" for name, token in pairs)
    return ("{" + ",".join(members) + gap + "}").encode("utf-8", "surrogatepass")


def _escaped(name: str) -> str:
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in name) + '"'


def _value(chance: random.Random, depth: int) -> str:
    """Any JSON, and a little of what is none."""
    way = chance.randrange(8 if depth < MAX_DEPTH else 4)
    if way < 2:
        return chance.choice(NUMBERS)
    if way < 4:
        return _string_token(chance)
    inside = [_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if way < 6:
        return "[" + ",".join(inside) + "]"
    return "{" + ",".join(f"{_string_token(chance)}:{one}" for one in inside) + "}"


def _string(chance: random.Random) -> str:
    way = chance.randrange(12)
    if way == 0:
        return "x" * chance.choice((511, 512, 513, 5_000))
    if way == 1:
        return "".join(chr(at if (at := chance.randrange(0x20, 0xF7FE)) < 0xD800 else at + 0x800) for _ in range(3))
    return "".join(chance.choice(LETTERS) for _ in range(chance.randrange(1, 12)))


def _string_token(chance: random.Random, ending: str = "") -> str:
    token = json.dumps(_string(chance) + ending, ensure_ascii=chance.random() < 0.5)
    return token if chance.random() < 0.97 else token[:-1] + chance.choice(("\\ud83d", "\\udc00", "\\q", "")) + '"'
