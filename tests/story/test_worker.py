"""Every story that the stream can tell, in ``traderecon worker`` on the embedded log, whose clock is put ahead.

The founding rules with every change; the other rules, one worker each, at night: test_stream.py has them always.
"""

from functools import partial
from pathlib import Path

import pytest
from scenario import Engine
from tiers import nightly_but

from story.copies import copies_of, in_engine, profile_ids, require_own_ids
from story.course import course_of
from story.worker import advance_embedded, install, run_worker, send_embedded

pytestmark = pytest.mark.system

PROFILES = in_engine(Engine.STREAM)
NAMES = profile_ids(PROFILES)
ORDERS = 6


@pytest.mark.parametrize("name", nightly_but("founding", NAMES))
def test_a_worker_comes_to_the_results_of_the_core(name: str, tmp_path: Path) -> None:
    profile = [*PROFILES][NAMES.index(name)]
    installation, rules = install(tmp_path, profile)
    copies = [copy for name, story in PROFILES[profile].items() for copy in copies_of(name, story, orders=ORDERS)]
    require_own_ids(copies, rules)
    course = course_of(copies, rules, installation.partitions)
    installation.create_topics()
    try:
        worker = installation.start_ready()
        found = run_worker(
            installation, worker, course, partial(send_embedded, installation), partial(advance_embedded, installation)
        )
        assert found == []
        assert worker.leave() == 0
    finally:
        installation.close()
