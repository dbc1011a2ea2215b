"""Torture: break a workload on a real Kafka by plan, and judge what its topics say afterwards.

    seed -> plan -> broker + feeder + workers + faults -> history -> oracle -> report

``python -m torture --help``. Nothing here imports the product: the workload runs in processes of its own.
"""
