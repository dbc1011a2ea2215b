"""Fixed counts: topics whose number of partitions must stay, since it says where a key belongs.

FixedCounts(app).changed({"legs": 6})  ->  a sentence, where it had 4 when it was first looked at
"""

from collections.abc import Collection, Mapping


class FixedCounts:
    """The counts of one app's topics, as they were when they were first looked at."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._first: dict[str, int] = {}

    def changed(self, counts: Mapping[str, int]) -> str | None:
        """What to say where a topic has another count than it had; None where all are as they were."""
        wrong = {topic: count for topic, count in sorted(counts.items()) if count != self._first.get(topic, count)}
        if wrong:
            found = ", ".join(f"{topic} has {count}, and had {self._first[topic]}" for topic, count in wrong.items())
            return (
                f"{self._app}: the number of partitions was changed: {found}. Keys belong to other partitions now, and "
                "what is stored of them does not move along. A topic cannot be given fewer: begin with a topic prefix "
                "and a data directory of their own, docs/operations.md says how."
            )
        self._first.update(counts)
        return None


def unfit(topics: Collection[str], counts: Mapping[str, int], changelogs: Collection[str], where: str) -> str | None:
    """Why an app cannot work with these topics: one is missing, or beside tables the counts differ; else None."""
    if missing := sorted(set(topics) - counts.keys()):
        said = f"topics missing in {where}: {', '.join(missing)}. Create them first."
        if gone := sorted(set(changelogs) & set(missing)):
            said += (
                f" If {', '.join(gone)} was there before, the table went with it: made again, the table is rebuilt "
                "from the journal and the outputs, or the worker says why it cannot be."
            )
        return said
    if changelogs and len(set(counts.values())) > 1:
        found = ", ".join(f"{topic} {count}" for topic, count in sorted(counts.items()))
        return (
            f"an app with tables needs topics of one partition count, found: {found}. A table takes the count of its "
            "sources: BatchTable(..., partitions=...)."
        )
    return None
