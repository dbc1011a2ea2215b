"""Torture: break a workload on a real Kafka by plan, and judge what its topics say afterwards.

    seed -> plan -> broker + feeder + workers + faults -> history -> oracle -> report

What is tortured is a workload (workload.py): the counting app, which leans on the transport as hard as it can, or the
whole pipeline. It runs in processes of its own: nothing here imports the product. ``python -m torture --help``.
"""
