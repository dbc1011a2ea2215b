"""Copies of a story: the same messages in another order, under trade ids of their own, so that many share one run.

    copies_of("F04-amended", story) -> [Copy(entries, expected), ...]

What a copy must come to is what the core says of its messages; that the core says what the story expects is
test_scenarios.py.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice, permutations
from math import factorial
from typing import Any, NamedTuple

import msgspec
from scenario import Engine, Grace, Message, Played, Scenario, Step, play, stories

from traderecon.intake import STANDARD_SETTINGS, SettingsBySource, decode
from traderecon.intake.blanks import trim
from traderecon.intake.values import is_no_id
from traderecon.records import Hint, Origin, Rejected, Result, Source, State, Transition
from traderecon.rules import FOUNDING, Rules
from traderecon.sourcebook import parse_file

FOUNDING_NAME = "founding"
MAX_ORDERS = 24
"""Of the orders of a story, this many run at most, spread over all of them."""
MAX_BYTES = 1_000_000
"""The copies of a story have at most this size together; one that is larger runs in its own order only."""
MAX_ID = 512
_RAW_ID = re.compile(rb'("trade_id"\s*:\s*")')


class Profile(NamedTuple):
    """What the stories of one run share: the text of the rules, and as JSON the tables [sources.<topic>].

    ``alone``: the name of a story that needs a run of its own, because its trade ids cannot be lengthened and another
    story with the same rules has them too.
    """

    rules: str
    sources: str
    alone: str = ""

    @classmethod
    def of(cls, story: Scenario) -> "Profile":
        """The profile that a story needs."""
        tables = {topic.value: table for topic, table in story.sources.items()}
        return cls(story.rules, json.dumps(tables, sort_keys=True) if tables else "")

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """The tables [sources.<topic>]."""
        return dict(json.loads(self.sources)) if self.sources else {}

    @property
    def rules_file(self) -> str | None:
        """The rules file that a user writes for these stories; None where nobody needs one."""
        if not self.sources:
            return None if self.rules == FOUNDING_NAME else self.rules
        lines = [f'name = "{FOUNDING.name}"' if self.rules == FOUNDING_NAME else self.rules]
        for topic, table in self.tables.items():
            lines += [f"[sources.{topic}]", *(f"{name} = {_toml(value)}" for name, value in table.items())]
        return "\n".join(lines) + "\n"

    @property
    def parsed_rules(self) -> Rules:
        """The rules."""
        return _parsed(self)[0]

    @property
    def settings(self) -> SettingsBySource:
        """How each source writes its records."""
        return _parsed(self)[1]


@cache
def _parsed(profile: Profile) -> tuple[Rules, SettingsBySource]:
    text = profile.rules_file
    return (FOUNDING, dict.fromkeys(Source, STANDARD_SETTINGS)) if text is None else parse_file(text)


def _toml(value: object) -> str:
    """A value of a table, as TOML on one line.

    >>> _toml({"BRK.B": ["BRK/B"], "signed": True})
    '{ "BRK.B" = ["BRK/B"], "signed" = true }'
    """
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(name)} = {_toml(it)}' for name, it in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


class Copy(NamedTuple):
    """One order of a story's messages. ``entries``: what arrives, and where a grace passes.

    ``stepwise``: each entry waits until the one before has had its effect, because the story tells the way; only the
    copy in the story's own order is.
    """

    name: str
    story: Scenario
    entries: tuple[Message | Grace, ...]
    stepwise: bool
    prefix: str

    @property
    def key(self) -> str:
        """Its own among all copies of a run."""
        return self.prefix or self.name

    @property
    def messages(self) -> list[Message]:
        """The messages alone."""
        return [entry for entry in self.entries if isinstance(entry, Message)]

    def decoded(self) -> list[Step]:
        """Every message as intake decodes it."""
        return [
            entry if isinstance(entry, Grace) else _decoded(self.story, entry, offset)
            for offset, entry in enumerate(self.entries)
        ]

    def played(self, rules: Rules, grace: Grace | None = None) -> Played:
        """What the core says of it; ``grace``: where time has got at the end, as the story says unless given."""
        return play(self.decoded(), rules, grace or self.story.grace)

    def results(self, rules: Rules, grace: Grace | None = None) -> dict[str, Result]:
        """The result of every trade that has one: a pending trade has none."""
        played = self.played(rules, grace).results
        return {trade_id: it for trade_id, it in played.items() if it.verdict.state is not State.PENDING}

    def arrival_hints(self, trade_id: str) -> tuple[Hint, ...]:
        """The hints of this trade that come from arrival times, as the story expects them of all its messages."""
        if len(self.entries) < len(self.story.sent):
            return ()
        return next((trade.arrival_hints for trade in self.story.out if self.prefix + trade.trade_id == trade_id), ())

    @property
    def states(self) -> list[State] | None:
        """The states that are published on the way, as the story tells it; None where it does not."""
        if self.story.states is None or not self.stepwise or len(self.entries) < len(self.story.sent):
            return None
        ends = [trade.state for trade in self.story.out]
        return [state for state in distinct([*self.story.states, *ends]) if state is not State.PENDING]

    @property
    def breaks(self) -> list[Transition] | None:
        """What happens to the break on the way, as the story tells it; None where it does not."""
        told = self.stepwise and len(self.entries) == len(self.story.sent)
        return [*self.story.breaks] if told and self.story.breaks is not None else None


def distinct(states: Iterable[State]) -> list[State]:
    """Each state that differs from the one before.

    >>> distinct([State.PENDING, State.PENDING, State.MATCHED])
    [<State.PENDING: 'PENDING'>, <State.MATCHED: 'MATCHED'>]
    """
    found: list[State] = []
    for state in states:
        if found[-1:] != [state]:
            found.append(state)
    return found


def profile_ids(profiles: dict[Profile, dict[str, Scenario]]) -> list[str]:
    """A name for a test of each profile: the founding one's, else the first story's."""
    return [
        "founding" if profile == Profile(FOUNDING_NAME, "") else next(iter(told)) for profile, told in profiles.items()
    ]


def in_engine(engine: Engine) -> dict[Profile, dict[str, Scenario]]:
    """Every story that runs there, by profile."""
    by_profile: dict[Profile, dict[str, Scenario]] = {}
    for name, story in stories().items():
        if engine not in story.not_in:
            profile = Profile.of(story)
            if _shares_ids(name, story, by_profile.get(profile, {})):
                profile = profile._replace(alone=name)
            by_profile.setdefault(profile, {})[name] = story
    return by_profile


def _shares_ids(name: str, story: Scenario, others: dict[str, Scenario]) -> bool:
    """Whether the story keeps its trade ids, and one of the others keeps one of them too."""
    if _can_be_prefixed(name, story):
        return False
    taken = {trade.trade_id for other, it in others.items() if not _can_be_prefixed(other, it) for trade in it.out}
    return not taken.isdisjoint(trade.trade_id for trade in story.out)


def copies_of(name: str, story: Scenario, *, orders: int = MAX_ORDERS) -> list[Copy]:
    """The story in its own order, then in others; once, where its trade ids cannot be lengthened."""
    entries = tuple(story.messages)
    size = sum(len(entry.value or b"") for entry in entries if isinstance(entry, Message))
    orders = min(orders, max(1, MAX_BYTES // max(1, size)))
    if not _can_be_prefixed(name, story):
        return [Copy(name, story, entries, stepwise=story.tells_the_way, prefix="")]
    chosen = [entries, *(_orders(entries, orders - 1) if story.any_order else ())]
    return [
        Copy(
            name,
            story,
            tuple([_renamed(story, entry, prefix) for entry in order]),
            stepwise=story.tells_the_way and not number,
            prefix=prefix,
        )
        for number, order in enumerate(chosen)
        for prefix in [f"{name}/{number}/"]
    ]


def require_own_ids(copies: Iterable[Copy], rules: Rules) -> None:
    """ValueError where two copies share a trade."""
    owners: dict[str, str] = {}
    for copy in copies:
        for trade_id in copy.played(rules).results:
            if trade_id in owners:
                raise ValueError(f"{copy.name} and {owners[trade_id]} both have the trade {trade_id!r}")
            owners[trade_id] = copy.name


def _orders(entries: tuple[Message | Grace, ...], count: int) -> Iterator[tuple[Message | Grace, ...]]:
    """At most so many orders other than the given one, evenly spread over all."""
    others = factorial(len(entries)) - 1
    step = max(1, -(-others // count)) if count else 1
    return islice(islice(permutations(entries), 1, None), 0, count * step, step) if count else iter(())


def _can_be_prefixed(name: str, story: Scenario) -> bool:
    """Whether the story is the same with longer trade ids: not if they are numbers, very long, or mean no id."""
    plain = [message.fields for message in story.messages if isinstance(message, Message) and message.fields]
    ids = [fields.get("trade_id", "") for fields in plain]
    longest = MAX_ID - len(f"{name}/999/")
    return all(isinstance(it, str) and len(it) <= longest and not is_no_id(trim(it)) for it in ids)


def _renamed(story: Scenario, entry: Message | Grace, prefix: str) -> Message | Grace:
    if isinstance(entry, Grace) or entry.value is None:
        return entry
    if entry.fields is None:
        return entry._replace(value=_RAW_ID.sub(lambda match: match[0] + prefix.encode(), entry.value))
    fields = dict(entry.fields)
    group_field = Profile.of(story).parsed_rules.group_by or None
    for name in ("trade_id", group_field, story.sources.get(entry.topic, {}).get("reference_field")):
        if name in fields and trim(str(fields[name] or "")):
            fields[name] = _prefixed(fields[name], prefix)
    return Message(entry.topic, msgspec.json.encode(fields), fields)


def _prefixed(trade_id: str, prefix: str) -> str:
    """The prefix is behind blanks at the beginning: those are not part of an id."""
    blanks = len(trade_id) - len(trade_id.lstrip())
    return trade_id[:blanks] + prefix + trade_id[blanks:]


def _decoded(story: Scenario, message: Message, offset: int) -> Step:
    return decode(
        message.topic, message.value, Origin(message.topic, 0, offset), Profile.of(story).settings[message.topic]
    )


def rejected_codes(steps: Iterable[Step]) -> dict[int, str]:
    """The code of each entry that is no leg, by its position."""
    return {position: str(step.code) for position, step in enumerate(steps) if isinstance(step, Rejected)}
