"""Accounts in any order, cut in any way, repeated: each offset counts once, and gaps are reported."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.records.account import Account, Disposition, PartitionLedger, decode_account, encode_account, runs_of
from traderecon.records.formats import OtherFormat

FIRST = 1_000

dispositions = st.lists(st.sampled_from(Disposition), min_size=1, max_size=40)


def account_of(truth: Sequence[Disposition], start: int, stop: int) -> Account:
    """The account of a slice of a partition whose offsets, from ``FIRST`` on, have these dispositions."""
    runs = tuple((kind, len([*same])) for kind, same in groupby(truth[start:stop]))
    return Account("executions", 0, FIRST + start, runs)


def counts(ledger: PartitionLedger) -> Counter[Disposition]:
    named = zip(
        Disposition, (ledger.legs, ledger.duplicates, ledger.rejected, ledger.control, ledger.skipped), strict=True
    )
    return Counter({kind: count for kind, count in named if count})


@given(dispositions, st.data())
def test_each_offset_counts_once_in_any_order_of_the_accounts(truth: list[Disposition], data: st.DataObject) -> None:
    indexes = st.integers(0, len(truth))
    cuts = data.draw(st.lists(st.tuples(indexes, indexes), min_size=1, max_size=12))
    spans = [(min(cut), max(cut)) for cut in cuts if cut[0] != cut[1]] or [(0, len(truth))]
    ledger = PartitionLedger.starting_at(account_of(truth, *spans[0]))
    for span in spans:
        ledger = ledger.with_account(account_of(truth, *span))
    accounted = {offset for span in spans for offset in range(*span)}
    assert counts(ledger) == Counter(truth[offset] for offset in accounted)
    assert (ledger.start, ledger.next_offset) == (FIRST + min(accounted), FIRST + max(accounted) + 1)
    assert {offset for gap in ledger.gaps for offset in range(*gap)} == {
        FIRST + offset for offset in range(min(accounted), max(accounted)) if offset not in accounted
    }
    assert ledger.next_offset - ledger.start == counts(ledger).total() + ledger.unaccounted
    assert ledger.with_account(account_of(truth, 0, len(truth))).gaps == ()


def test_an_account_that_begins_too_late_leaves_a_gap_and_a_later_one_fills_it() -> None:
    truth = [Disposition.LEG] * 10
    ledger = (
        PartitionLedger.starting_at(account_of(truth, 0, 3))
        .with_account(account_of(truth, 0, 3))
        .with_account(account_of(truth, 7, 10))
    )
    assert (ledger.gaps, ledger.unaccounted) == (((FIRST + 3, FIRST + 7),), 4)
    ledger = ledger.with_account(account_of(truth, 4, 5))
    assert (ledger.gaps, ledger.unaccounted) == (((FIRST + 3, FIRST + 4), (FIRST + 5, FIRST + 7)), 3)
    assert ledger.with_account(account_of(truth, 2, 8)) == PartitionLedger(FIRST, FIRST + 10, legs=10)


def test_offsets_without_an_account_are_known_before_a_later_account_arrives() -> None:
    truth = [Disposition.LEG] * 10
    ledger = (
        PartitionLedger.starting_at(account_of(truth, 0, 3))
        .with_account(account_of(truth, 0, 3))
        .with_account(account_of(truth, 5, 7))
    )
    assert ledger.missing_spans(FIRST + 4) == ((FIRST + 3, FIRST + 4),)
    assert ledger.missing_spans(FIRST + 9) == ((FIRST + 3, FIRST + 5), (FIRST + 7, FIRST + 9))
    skipped = Account("executions", 0, FIRST, ((Disposition.SKIPPED, 9),))
    assert ledger.with_account(skipped) == PartitionLedger(FIRST, FIRST + 9, legs=5, skipped=4)
    assert ledger.with_account(skipped).missing_spans(FIRST + 9) == ()


@given(dispositions)
def test_runs_have_the_disposition_of_each_offset(truth: list[Disposition]) -> None:
    records = [FIRST + i for i, kind in enumerate(truth) if kind is not Disposition.CONTROL]
    other_dispositions = [
        (offset, truth[offset - FIRST]) for offset in records if truth[offset - FIRST] is not Disposition.LEG
    ]
    runs = runs_of(FIRST, FIRST + len(truth), records, other_dispositions)
    assert [kind for kind, count in runs for _ in range(count)] == truth
    assert all(run[0] is not following[0] for run, following in pairwise(runs))


def test_an_account_of_a_large_hole_is_small() -> None:
    account = Account("executions", 3, 0, runs_of(0, 2**40, [5], [(5, Disposition.REJECTED)]))
    assert encode_account(account) == (
        b'{"topic":"executions","partition":3,"first":0,'
        b'"runs":[["control",5],["rejected",1],["control",1099511627770]],"format":1}'
    )
    assert decode_account(encode_account(account)) == account
    assert (account.next_offset, account.key) == (2**40, b"executions/3")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'{"topic":"t","partition":0,"first":-1,"runs":[["leg",1]]}',
        b'{"topic":"t","partition":0,"first":0,"runs":[["leg",0]]}',
        b'{"topic":"t","partition":0,"first":0,"runs":[["lost",1]]}',
        b'{"topic":"t","partition":0,"first":9223372036854775807,"runs":[["leg",1]]}',
    ],
)
def test_an_invalid_account_is_an_error(value: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_account(value)


def test_an_account_of_a_newer_format_is_refused_by_its_number() -> None:
    with pytest.raises(OtherFormat, match="of format 2, this version reads up to 1"):
        decode_account(b'{"topic":"t","partition":0,"first":0,"runs":[["leg",1]],"format":2}')


def test_an_account_of_nothing_changes_nothing() -> None:
    ledger = PartitionLedger(FIRST, FIRST + 5, legs=5)
    assert ledger.with_account(Account("executions", 0, FIRST + 9, ())) == ledger


@given(st.lists(st.tuples(st.sampled_from(["leg", "rejected", "hole", "batch"]), st.integers(1, 5)), min_size=1))
def test_an_unreadable_batch_counts_with_all_its_offsets(pieces: list[tuple[str, int]]) -> None:
    truth: list[Disposition] = []
    offsets: list[int] = []
    other_dispositions: list[tuple[int, Disposition]] = []
    widths: dict[int, int] = {}
    for kind, width in pieces:
        truth += [{"leg": Disposition.LEG, "hole": Disposition.CONTROL}.get(kind, Disposition.REJECTED)] * width
        stop = FIRST + len(truth)
        if kind in {"leg", "rejected"}:
            offsets += range(stop - width, stop)
        if kind == "rejected":
            other_dispositions += [(offset, Disposition.REJECTED) for offset in range(stop - width, stop)]
        if kind == "batch":
            offsets.append(stop - 1)
            other_dispositions.append((stop - 1, Disposition.REJECTED))
            widths[stop - 1] = width
    assert (
        runs_of(FIRST, FIRST + len(truth), offsets, other_dispositions, widths) == account_of(truth, 0, len(truth)).runs
    )


def test_an_unreadable_batch_that_begins_before_the_account_is_clipped() -> None:
    assert runs_of(5, 8, [6, 7], [(6, Disposition.REJECTED)], {6: 7}) == (
        (Disposition.REJECTED, 2),
        (Disposition.LEG, 1),
    )
