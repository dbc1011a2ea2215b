"""An installation on a Kafka that asks who is there: each role a worker of its own, with its own name and rights.

    SecuredInstallation(kafka, directory) -> grant_all -> start_as("intake") -> Running

What the tests themselves do (topics, feeding, looking) goes by the listener that lets everybody in.
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from broker.secured_kafka import SecuredKafka
from broker.waiting import until
from pipeline_case import READY_S, TRADERECON, Installation, Running

from traderecon.settings import PREFIX

SECURED = "SECURED"
ACL = re.compile(r"--allow-principal (\S+) ((?:--operation \S+ )+)--(topic|group) (\S+)")


class SecuredInstallation(Installation):
    """An installation whose workers come by the door ``SECURED``, unless told otherwise."""

    def __init__(self, kafka: SecuredKafka, directory: Path, **settings: object) -> None:
        super().__init__(directory, f"kafka://{kafka.address}", **settings)
        self.kafka = kafka
        self._newest: dict[str, Running] = {}

    def credentials(self, user: str, door: str = SECURED) -> dict[str, str]:
        """What tells a process by which door it comes, and as whom."""
        return {
            "BROKER": f"kafka://{self.kafka.doors[door]}",
            "KAFKA_SECURITY": "sasl_ssl",
            "KAFKA_USERNAME": user,
            "KAFKA_PASSWORD": self.kafka.passwords[user],
            "KAFKA_CA_FILE": str(self.kafka.authority.certificate),
        }

    def environment_of(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The environment with these settings in it, names without prefix."""
        return {**self.environment, **{PREFIX + name: value for name, value in settings.items()}}

    def grant_all(self, *roles: str) -> None:
        """Give the roles what ``traderecon topics acls`` prints for them."""
        chosen = [word for role in roles for word in ("--role", role)]
        for line in self.run("topics", "acls", *chosen).stdout.splitlines():
            found = ACL.search(line)
            assert found, line
            principal, operations, kind, name = (shlex.split(part) for part in found.groups())
            for operation in operations[1::2]:
                prefixed = "--resource-pattern-type prefixed" in line
                self.kafka.allow(principal[0], operation, kind[0], name[0], prefixed=prefixed)

    def start_as(self, role: str, user: str | None = None) -> Running:
        """Start a worker of one role, as its own user unless told otherwise; it says all that it can say."""
        command = [str(TRADERECON), "worker", "--roles", role, "--loglevel", "debug"]
        environment = self.environment_of(self.credentials(user or role))
        log = self.directory / f"{role}-{len(self._workers)}.log"
        self._newest[role] = Running(command, environment, self.directory, log)
        self._workers.append(self._newest[role])
        return self._newest[role]

    def until(self, found: Callable[[], object], what: str, within_s: float = READY_S) -> None:
        """Wait for a condition while the newest worker of every role runs. Raises Ended, or Never."""
        until(lambda: all(worker.alive() for worker in self._newest.values()) and found(), what, within_s)

    def command(self, settings: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command under these settings; whatever comes of it."""
        return subprocess.run(
            [str(TRADERECON), *arguments],
            cwd=self.directory,
            env=self.environment_of(settings),
            capture_output=True,
            text=True,
            check=False,
        )
