"""The evidence of a trade: the values of a side come only from fields of its own source."""

import json

import pytest
from legs import ours, theirs
from sink.outputs import results_of

from traderecon.records import Source
from traderecon.records.result_message import encode_result
from traderecon.web.evidence import evidence, other_fields


@pytest.mark.parametrize("sent", [95.5, "99.5", "n/a", [1], None, ""], ids=repr)
def test_a_field_the_source_does_not_have_is_a_custom_field(sent: object) -> None:
    """The expected pnl is computed: an execution has no such field."""
    document = json.loads(encode_result(results_of("T1", [ours(), theirs()])[-1]))
    for source in ("executions", "broker_confirmations"):
        document["legs"][source][0]["payload"]["pnl_impact"] = sent
    laid_out = evidence(json.dumps(document))
    [pnl] = [check for check in laid_out.comparisons if check.name == "pnl"]
    assert (pnl.outcome, pnl.execution, pnl.confirmation) == ("NOT_CHECKED", None, None)
    assert "pnl_impact" in dict(other_fields(laid_out.legs[Source.EXECUTIONS][0])), (
        "a custom field is shown among the fields of its leg"
    )
