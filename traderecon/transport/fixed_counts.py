"""Fixed counts: topics whose number of partitions must not change, since it decides which partition a key belongs to.

FixedCounts(app).change({"legs": 6})  ->  an error text if there were 4 at the first call
"""

from collections.abc import Collection, Mapping


class FixedCounts:
    """The partition counts of one app's topics, as first seen."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._first: dict[str, int] = {}

    def change(self, counts: Mapping[str, int]) -> str | None:
        """Describe how counts differ from those first seen, and what to do; None if they do not."""
        changed = {topic: count for topic, count in sorted(counts.items()) if count != self._first.get(topic, count)}
        if changed:
            changes = ", ".join(
                f"{topic} has {count}, and had {self._first[topic]}" for topic, count in changed.items()
            )
            return (
                f"{self._app}: the number of partitions was changed: {changes}. Keys now belong to other partitions, "
                "but their stored rows do not move. Kafka cannot reduce the number again: start over with a new topic "
                "prefix and a new data directory, see docs/operations.md."
            )
        self._first.update(counts)
        return None


def counts_error(
    topics: Collection[str], counts: Mapping[str, int], changelogs: Collection[str], broker: str
) -> str | None:
    """Why an app cannot work with these topics: one is missing, or it has tables and the counts differ; else None."""
    if missing := sorted(set(topics) - counts.keys()):
        text = f"topics missing in {broker}: {', '.join(missing)}. Create them first."
        if missing_changelogs := sorted(set(changelogs) & set(missing)):
            text += (
                f" If {', '.join(missing_changelogs)} existed before, its table is lost: once the topic exists, the "
                "table is rebuilt from the journal and the outputs; if that is impossible, the worker logs why."
            )
        return text
    if changelogs and len(set(counts.values())) > 1:
        listing = ", ".join(f"{topic} {count}" for topic, count in sorted(counts.items()))
        return (
            f"an app with tables needs topics with equal partition counts, found: {listing}. A table must have the "
            "count of its sources: BatchTable(..., partitions=...)."
        )
    return None
