"""Every story that files can tell, in the batch: by the vectorized rules where they apply, and by the core."""

from collections import defaultdict
from pathlib import Path

import pytest
from scenario import Engine, Scenario

from story.batch import expected_rows, files_of, headers, run_batch
from story.copies import Profile, copies_of, in_engine, profile_ids, require_own_ids
from traderecon.batch.vectorized import VectorizedRules
from traderecon.intake import COLUMNS

PROFILES = in_engine(Engine.BATCH)


@pytest.mark.parametrize("vectorized", [True, False], ids=["vectorized", "exact"])
@pytest.mark.parametrize("profile", PROFILES, ids=profile_ids(PROFILES))
def test_files_give_the_results_of_the_core(profile: Profile, vectorized: bool, tmp_path: Path) -> None:
    told = PROFILES[profile]
    rules = profile.parsed_rules
    by_columns = defaultdict(list)
    for name, story in told.items():
        for copy in copies_of(name, story):
            by_columns[tuple(sorted(headers(copy).items()))].append(copy)
    for copies in by_columns.values():
        require_own_ids(copies, rules)
        files = files_of(copies)
        run = run_batch(files, rules, profile.settings, tmp_path, vectorized=vectorized)
        assert run.rows == expected_rows(copies, rules)
        assert run.rejects == files.rejects


def test_most_stories_reach_the_vectorized_rules() -> None:
    """Those with the founding columns; others are judged by the core."""
    plain = [
        name
        for told in PROFILES.values()
        for name, story in told.items()
        if VectorizedRules.of(story.parsed_rules) is not None and has_founding_columns(name, story)
    ]
    assert len(plain) > sum(map(len, PROFILES.values())) // 2


def has_founding_columns(name: str, story: Scenario) -> bool:
    return all(columns == tuple(COLUMNS[topic]) for topic, columns in headers(copies_of(name, story)[0]).items())
