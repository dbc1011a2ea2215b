"""The stories of tests/scenarios in every engine besides the core.

    story -> copies, each with trade ids of its own -> one run for all stories of the same rules
          -> what it stored is what the core says of each copy

``batch``: the command over files. ``stream``: the agents on the embedded log, on a clock that does not wait.
``worker``: ``traderecon worker`` on the embedded log and on Kafka.
"""
