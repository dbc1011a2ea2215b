"""Every story that the stream can tell, in many orders: on the embedded log, on a clock that does not wait."""

from collections.abc import Iterator

import msgspec
import pytest
from scenario import Engine
from simulation.world import Bench

from story.copies import Profile, copies_of, in_engine, profile_ids, require_own_ids
from story.course import course_of
from story.stream import GRACE_S, PARTITIONS, run_stream
from traderecon.records.instants import NS_PER_S

PROFILES = in_engine(Engine.STREAM)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("stories"))
    yield bench
    bench.store.close()


@pytest.mark.parametrize("profile", PROFILES, ids=profile_ids(PROFILES))
def test_the_stream_comes_to_the_results_of_the_core(profile: Profile, bench: Bench) -> None:
    told = PROFILES[profile]
    rules = msgspec.structs.replace(profile.parsed_rules, grace_ns=GRACE_S * NS_PER_S)
    copies = [copy for name, story in told.items() for copy in copies_of(name, story)]
    require_own_ids(copies, rules)
    assert run_stream(course_of(copies, rules, PARTITIONS, one_by_one=True), rules, profile.settings, bench) == []
