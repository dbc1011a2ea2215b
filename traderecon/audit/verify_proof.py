"""Check the proof of one trade with plain Python: python3 -I verify_proof.py proof.json [checkpoints.jsonl].

Exit 0: every link, event id and rule is valid. Exit 1: something was changed; the message says what. The heads of the
chains are only as trustworthy as the checkpoints they are compared with: use a copy that you trust.
"""

import hashlib
import json
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

AMOUNTS = {"quantity", "price", "pnl_impact", "commission", "open_price", "mark_price", "contract_multiplier"}
SHARED: dict[str, Any] = {"trade_id": None, "version": 1, "currency": None, "hints": []}
SHARED |= {"member_id": None, "sent_id": None}
PNL = SHARED | dict.fromkeys(("pnl_impact", "commission", "open_price", "mark_price"))
TERMS = SHARED | dict.fromkeys(("ticker", "quantity", "price", "side", "account", "broker", "counterparty", "order_id"))
NEW = ("commission", "trade_date", "settlement_date", "contract_multiplier")
TERMS |= dict.fromkeys(NEW)
TERMS |= {"kind": "new", "granularity": 0, "timestamp_ns": None}  # other names are a producer's own fields
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def sha256(text: str) -> str:
    """In hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def require(condition: bool, message: str) -> None:
    """Exit with the message unless the condition is true."""
    if not condition:
        sys.exit(f"NOT PROVEN: {message}")


def check_fact(fact: dict[str, Any], source: str, leg: dict[str, Any], version: int) -> None:
    """A fact must agree with its leg: the payload, the digits of its time, and its hints. ``version``: its format."""
    payload, defaults = leg["payload"], PNL if source == "pnl_snapshot" else TERMS
    foreign = (NEW if version < 3 and defaults is TERMS else ()) + ("member_id", "sent_id")[max(version, 3) - 3 :]
    payload = {name: sent for name, sent in payload.items() if name not in foreign}  # those were a producer's own
    expected = {name: payload.get(name, defaults[name]) for name in defaults}
    expected |= {"source": source, "hints": leg.get("hints", [])}
    if defaults is TERMS:
        whole, _, fraction = payload.get("timestamp", "1970-01-01").rstrip("Z").partition(".")
        since = datetime.fromisoformat(whole) - datetime.fromisoformat("1970-01-01")
        time_ns = (since.days * 86400 + since.seconds) * 10**9 + int(fraction.ljust(9, "0"))
        timestamp_ns = time_ns if "timestamp" in payload else None
        expected |= {"granularity": leg.get("granularity", 0), "timestamp_ns": timestamp_ns}
        expected |= {"version": payload.get("version", 2**63 - 1 if expected["kind"] == "cancel" else 1)}
    for name in sorted({*expected, *fact}):
        value: Any = fact.get(name, defaults.get(name))
        sent: Any = expected.get(name)
        same = Decimal(value) == Decimal(sent) if name in AMOUNTS and None not in {value, sent} else value == sent
        require(same, f"{name} of {source} is {sent!r} in the result, {value!r} in its fact")


def check_chain(chain: dict[str, Any], results: list[tuple[str, dict[str, Any]]]) -> str:
    """The links must lead to the head; the trade's results in them are added to ``results``."""
    head, last, until, where = chain["before"], -1, chain["until"], f"{chain['topic']}[{chain['partition']}]"
    for link in chain["links"]:
        require(last < link["offset"] < until["next_offset"], f"{where}: the offsets do not increase")
        last, content = link["offset"], link.get("sha256") or sha256(link["result"])
        head = sha256(f"{head} {chain['topic']} {chain['partition']} {last} {content}")
        results += [(f"{where} offset {last}", json.loads(link["result"]))] if "sha256" not in link else []
    require(head == until["head"], f"{where}: the links lead to {head}, not to {until['head']}")
    return f"{where}: {len(chain['links'])} links lead to {head}, the {until['from']} at {until['next_offset']}\n"


def check_result(where: str, result: dict[str, Any], proof: dict[str, Any]) -> str:
    """The result must be of this trade, and its event id must follow from its legs, checks, verdict and rules."""
    title = f"{where}: version {result['version']}, {result['state']} {result['reasons']}"
    require(result["trade_id"] == proof["trade_id"], f"{where} is of another trade")
    rules, claim = result["rules"]["sha256"], proof["claims"].get(result["event_id"])
    require(rules in {rule["sha256"] for rule in proof["rules"]}, f"{where}: its rules are not in the proof")
    require(claim is not None, f"{where}: the proof has no claim for its event id")
    legs = [(source, leg) for source, legs in result["legs"].items() for leg in legs]
    for (source, leg), fact in zip(legs, claim["facts"], strict=True):
        check_fact(json.loads(fact), source, leg, result.get("format", 1))
    expected = {name: result[name] for name in ("reasons", "state", "trade_id")} | {"rules": rules}
    expected |= {"checks": {check["name"]: check["outcome"] for check in result["checks"]}}
    expected |= {"facts": sorted(map(sha256, claim["facts"]))}
    require(json.loads(claim["text"]) == expected, f"{where}: its event id does not follow from its content")
    require(sha256(claim["text"]) == result["event_id"], f"{where}: its event id is not {result['event_id']}")
    return f"{title}; event id {result['event_id'][:16]} follows from its {len(legs)} legs, its checks and rules\n"


def main(path: str, checkpoints: str = "") -> None:
    """Check everything; what was proven goes to stdout."""
    raw, results = Path(path).read_bytes().decode(), list[tuple[str, dict[str, Any]]]()
    proof, digest = json.loads(raw)["proof"], sha256(canonical(json.loads(raw)["proof"]))
    require(raw == canonical({"proof": proof, "sha256": digest}) + "\n", "the file was changed")
    require(proof["format"] == 1, f"format {proof['format']} is of a later version")
    for rule in proof["rules"]:
        require(
            rule["text"] is None or sha256(rule["text"]) == rule["sha256"],
            f"the text of the rules {rule['name']} was changed",
        )
    report = [check_chain(chain, results) for chain in proof["chains"]]
    report += [check_result(where, result, proof) for where, result in results]
    lines = Path(checkpoints).read_bytes().splitlines() if checkpoints else []
    published = [json.loads(line) for line in lines if line.endswith(b"}")]  # the last line may have been cut off
    for chain in proof["chains"] if checkpoints else []:
        end = {name: {**chain, **chain["until"]}[name] for name in ("topic", "partition", "next_offset", "head")}
        require(any(end.items() <= checkpoint.items() for checkpoint in published), f"no checkpoint has {end}")
    summary = f"PROVEN: {len(results)} results of {proof['trade_id']!r}"
    sys.stdout.write("".join(report) + summary + (", up to checkpoints\n" if checkpoints else "\n"))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        sys.exit(f"NOT PROVEN: the proof or the checkpoints cannot be read: {type(error).__name__}: {error}")
