"""The bytes on the topics are those of before: others read them, and read them with the next version too."""

from collections.abc import Mapping

import pytest
from golden_files import FOLDER, files

from traderecon.topics import topics


@pytest.fixture(scope="module")
def written() -> Mapping[str, bytes]:
    return files()


@pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.iterdir()))
def test_the_bytes_are_those_of_the_golden_file(written: Mapping[str, bytes], name: str) -> None:
    assert written[name].splitlines() == (FOLDER / name).read_bytes().splitlines()


def test_every_topic_has_a_golden_file(written: Mapping[str, bytes]) -> None:
    """``python -m golden_files`` in tests/ writes them."""
    ours = set(topics()) - set(topics().inputs)
    assert (
        {file.name for file in FOLDER.iterdir()}
        == set(written)
        == {f"{topic}.jsonl" for topic in ours} | {"heads.json"}
    )
