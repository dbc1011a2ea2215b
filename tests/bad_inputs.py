"""The bad inputs of docs/bad-input.md as messages: for every row of the table, what is sent.

    BadInput("09", [Sent(topic, key, value, headers)], trades)        expected("09") -> Expected(outcome, codes)

A row that is rejected is sent on both sides, so that a half of it would be seen; of a row that is taken, both sides
come, and ``trades`` are the trade ids under which they must be found.
"""

import gzip
import hashlib
import json
import struct
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from domain import tables_in
from pipeline_case import Installation
from pipeline_truth import LATE_HINTS, assert_history_holds

PAGE = Path(__file__).parents[1] / "docs" / "bad-input.md"
SIDES = ("executions", "broker_confirmations")
TERMS: Mapping[str, Any] = {
    "ticker": "AAPL",
    "quantity": 100,
    "price": "190.50",
    "timestamp": "2025-07-26T10:01:23Z",
}
_CANCELLED_SNAPSHOTS = [
    b'{"trade_id":"B34f","pnl_impact":"1","commission":"0","kind":"%s"}' % kind for kind in (b"cancel", b"BUST")
]
LARGE = 10_000_000
MANY = 10_000


class Sent(NamedTuple):
    """One record; no ``key`` is no key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class BadInput(NamedTuple):
    """What is sent for one row; ``trades``: the ids under which it is kept, none where it is rejected."""

    row: str
    sent: Sequence[Sent]
    trades: Sequence[str] = ()


class Expected(NamedTuple):
    """What the table says: ``dead letter`` with its code, or a state with the hints and reasons it has."""

    outcome: str
    codes: tuple[str, ...]

    @property
    def is_letter(self) -> bool:
        """Whether it becomes a dead letter."""
        return self.outcome == "dead letter"


def table() -> Mapping[str, Expected]:
    """The rows of the page, by number."""
    (rows,) = (found for found in tables_in(PAGE.read_text(encoding="utf-8")) if "Outcome" in found[0])
    said = {row["No."]: Expected(row["Outcome"], tuple(row["Code, hint"].replace("`", "").split())) for row in rows}
    assert len(said) == len(rows), "a number stands twice in docs/bad-input.md"
    return said


def body(trade_id: Any, **terms: Any) -> dict[str, Any]:
    """A leg, with some of its terms as they should not be."""
    return {"trade_id": trade_id, **TERMS, **terms}


def text(fields: Mapping[str, Any]) -> bytes:
    """A message as most producers write it."""
    return json.dumps(fields, ensure_ascii=False).encode()


def swapped(trade_id: str, name: str, token: str) -> bytes:
    """A leg whose one term is this JSON, as it stands."""
    return text(body(trade_id, **{name: "@"})).replace(b'"@"', token.encode())


def rejected(row: str, *values: bytes | None) -> BadInput:
    """Values that are no leg, on both sides."""
    return BadInput(row, [Sent(topic, b"B%s" % row.encode(), value) for value in values for topic in SIDES])


def taken(row: str, *legs: Mapping[str, Any] | tuple[str, bytes]) -> BadInput:
    """Legs that are sent alike on both sides; one that is given as bytes has its trade id beside it."""
    values = [leg if isinstance(leg, tuple) else (leg["trade_id"], text(leg)) for leg in legs]
    sent = [Sent(topic, trade_id.encode(), value) for trade_id, value in values for topic in SIDES]
    return BadInput(row, sent, [trade_id for trade_id, _ in values])


def keyed(row: str, key: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> BadInput:
    """A good leg under a key that it should not have, or with headers that nobody needs."""
    value = text(body(f"B{row}"))
    return BadInput(row, [Sent(topic, key, value, headers) for topic in SIDES], [f"B{row}"])


def corpus() -> list[BadInput]:
    """All of them, in the order of the page."""
    return [*_no_object(), *_trade_ids(), *_texts(), *_numbers(), *_shapes(), *_keys(), *_bytes(), *_times(), *_ends()]


def _no_object() -> list[BadInput]:
    values: list[bytes | None] = [b"{bad", b"", None, b"null", b"[]", b'"x"', b"1", b"true"]
    return [rejected(f"{number:02d}", value) for number, value in enumerate(values, 1)]


def _trade_ids() -> list[BadInput]:
    nfc, nfd = "B17-\u00e9", unicodedata.normalize("NFD", "B17-\u00e9")
    padded = [Sent(topic, b"B18a", text(body(name))) for topic, name in zip(SIDES, ("  B18a ", "B18a"), strict=True)]
    unseen = [
        Sent(topic, b"B18c", text(body(name, ticker=f"{name[0]}AAPL\u3000")))
        for topic, name in zip(SIDES, ("\u00a0B18c\u2007", "\ufeffB18c\u200b"), strict=True)
    ]
    return [
        rejected("09", text(TERMS)),
        rejected("10", text(body(None))),
        rejected("11", text(body(""))),
        rejected("12", text(body("T" * 5_000_000))),
        rejected("13", text(body("B13\x00"))),
        taken("14", body("B14|executions|1")),
        rejected("15", text(body("B15\r\n\tT"))),
        taken("16", body("B16\u202ecod\u200b\ufeffe")),
        taken("17", body(nfc), body(nfd)),
        BadInput("18a", padded, ["B18a"]),
        taken("18b", body("B18b"), body("b18B")),
        BadInput("18c", unseen, ["B18c"]),
        taken("18d", body("B18d 1"), body("B18d\u00a01"), body("B18d\u20071")),
    ]


def _texts() -> list[BadInput]:
    texts = {
        "19": "../../etc/passwd",
        "20": "=cmd|'/c calc'!A1",
        "21": "<script>alert(1)</script>",
        "22": "'; DROP TABLE results; --",
        "23a": "{{7*7}}",
        "23b": "${jndi:ldap://x/a}",
    }
    return [taken(row, body(f"B{row}-{said}", ticker=said)) for row, said in texts.items()]


def _numbers() -> list[BadInput]:
    noise = [
        Sent(topic, b"B32", swapped("B32", "quantity", token))
        for topic, token in zip(SIDES, ("0.3", "0.30000000000000004"), strict=True)
    ]
    return [
        rejected("24", text(body("B24", quantity="abc"))),
        rejected("25", text(body("B25", quantity=True))),
        rejected("26", swapped("B26", "quantity", "NaN"), swapped("B26", "price", '"nan"')),
        rejected("27a", swapped("B27a", "price", "Infinity"), swapped("B27a", "price", '"-inf"')),
        rejected("27b", swapped("B27b", "price", "1e999")),
        rejected("28a", swapped("B28a", "quantity", "-0")),
        taken("28b", ("B28b", swapped("B28b", "price", "-0.0"))),
        rejected("29", swapped("B29", "price", "1e-400")),
        rejected("30", swapped("B30", "quantity", "1" * 29)),
        rejected("31", text(body("B31", price="1,000.5")), text(body("B31", price="1 000,5"))),
        BadInput("32", noise, ["B32"]),
    ]


def _shapes() -> list[BadInput]:
    def unknown(count: int) -> dict[str, int]:
        return {f"f{number}": 1 for number in range(count)}

    deep = b"[" * 100_000 + b"]" * 100_000
    nested = b"[" * 40 + b"]" * 40
    return [
        rejected("33a", b'{"trade_id":"B33a",' + text(body("B33a"))[1:]),
        taken("33b", ("B33b", text(body("B33b"))[:-1] + b',"x":1,"x":{"y":1,"y":2}}')),
        taken("34a", {**body("B34a"), **unknown(5_000)}),
        rejected("34b", text({**body("B34b"), **unknown(MANY)})),
        rejected("34c", text(body("B34c", versoin=2)), text(body("B34c", orderId="1"))),
        taken("34d", body("B34d", venue="X", size=1, brokers=[], price2="a lot")),
        taken(
            "34e", ("B34e", text(body("B34e", x="@", y="@")).replace(b'"@"', b"-Infinity", 1).replace(b"@", b"\xfc"))
        ),
        BadInput("34f", [Sent("pnl_snapshot", b"B34f", cancelled) for cancelled in _CANCELLED_SNAPSHOTS]),
        taken("34g", ("B34g", text(body("B34g"))[:-1] + b',"x":' + b"9" * 5_000 + b',"y":[1e999]}')),
        rejected("35a", text(body("B35a"))[:-1] + b',"x":' + deep + b"}"),
        taken("35b", ("B35b", text(body("B35b"))[:-1] + b',"x":' + nested + b"}")),
        rejected("36a", text(body("B36a")).replace(b"AAPL", b"AA\xff\xfe")),
        taken("36b", ("B36b", b"\xef\xbb\xbf" + text(body("B36b")))),
    ]


def _keys() -> list[BadInput]:
    return [
        keyed("37", b"\xff\xfe\x00"),
        keyed("38", None),
        keyed("39", b"another trade"),
        keyed("40", b'"B40"'),
    ]


def _bytes() -> list[BadInput]:
    leg = text(body("B41"))
    return [
        rejected("41a", leg.decode().encode("utf-16")),
        rejected("41b", gzip.compress(leg, mtime=0)),
        rejected("41c", b"\x00" + struct.pack(">I", 7) + leg),
        rejected("42a", text(body("B42a@")).replace(b"@", b"\\ud800")),
        rejected("42b", text(body("B42b", ticker="@")).replace(b'"@"', b'"\\udfff"')),
        taken("42c", ("B42c", text(body("B42c", x="@")).replace(b'"@"', b'"\\udfff"'))),
    ]


def _times() -> list[BadInput]:
    return [
        rejected("43a", text(body("B43a", timestamp=0)), text(body("B43a", timestamp=-1))),
        rejected("43b", text(body("B43b", timestamp="1970-01-01T00:00:00Z"))),
        rejected("43c", text(body("B43c", timestamp="9999-12-31T23:59:59Z"))),
        rejected("43d", text(body("B43d", timestamp="-2025-07-26T10:01:23Z"))),
        taken("43e", body("B43e", timestamp="2025-07-26T10:01:23")),
        rejected("43f", text(body("B43f", timestamp="2025-07-26T10:01:60Z"))),
        taken("43g", body("B43g", timestamp="2016-12-31T23:59:60Z")),
        taken("43h", body("B43h", version=1_753_524_083_000), body("B43h-2", version=2**63 - 2)),
        rejected("43i", text(body("B43i", version=2**63))),
    ]


def _ends() -> list[BadInput]:
    strange = {"__faust": {"ns": "app.Trade"}, "__proto__": {"admin": True}, "constructor": 1, "__class__": "x"}
    many = [(f"h{number}", b"x") for number in range(MANY)]
    return [
        taken("44", {**body("B44"), **strange}),
        rejected("45a", text(body("B45a", ticker="x" * 1_000_000))),
        rejected("45b", text(body("B45b", ticker="x" * LARGE))),
        keyed("45c", b"B45c", many),
        keyed("45d", b"B45d", [("h", b"1"), ("h", b"2"), ("h", b"\xff"), ("\u00e9", b"")]),
    ]


def neighbour(number: int, topic: str) -> Sent:
    """A leg of a trade that all three agree on."""
    trade_id = f"N{number}"
    if topic == "pnl_snapshot":
        return Sent(
            topic,
            trade_id.encode(),
            json.dumps({"trade_id": trade_id, "pnl_impact": "19050", "commission": "0"}).encode(),
        )
    return Sent(topic, trade_id.encode(), text(body(trade_id)))


def sequences() -> Mapping[str, list[tuple[Sent, str]]]:
    """What is appended to each input topic: every bad input between good neighbours, with its row (theirs is empty)."""
    found: dict[str, list[tuple[Sent, str]]] = {}
    for topic in (*SIDES, "pnl_snapshot"):
        lines = found.setdefault(topic, [])
        for number, bad in enumerate(corpus()):
            lines += [(sent, bad.row) for sent in bad.sent if sent.topic == topic]
            lines.append((neighbour(number, topic), ""))
    return found


def assert_outcomes(installation: Installation) -> None:
    """Dead letters and trades are those of the table; each topic was filled with its sequence, in one partition."""
    said, sent = table(), sequences()
    expected = {
        (installation.prefix + topic, offset): said[row].codes[0]
        for topic, lines in sent.items()
        for offset, (_, row) in enumerate(lines)
        if row and said[row].is_letter
    }
    letters = installation.rows("SELECT source_topic, source_offset, code, size, sha256 FROM dead_letters")
    assert {(topic, offset): code for topic, offset, code, *_ in letters} == expected
    for topic, offset, _, size, sha256 in letters:
        value = sent[topic.removeprefix(installation.prefix)][offset][0].value
        assert size == len(value or b"")
        assert sha256 == (None if value is None else hashlib.sha256(value).hexdigest())
    trades = {trade_id: said[bad.row] for bad in corpus() for trade_id in bad.trades}
    trades |= {f"N{number}": Expected("MATCHED", ()) for number in range(len(corpus()))}
    found = installation.rows("SELECT trade_id, state, hints FROM results")
    became = {
        trade_id: Expected(state, tuple(sorted(set(json.loads(hints)) - LATE_HINTS)))
        for trade_id, state, hints in found
    }
    assert became == trades, sorted(became.items() ^ trades.items())
    assert_history_holds(installation)
