"""Simulation: the pipeline in one process, on a clock that does not wait, ended at every point where an end would hurt.

    seed -> a day, faults -> broker + workers on virtual time -> history -> oracle -> verdict

What is real and what is not: docs/simulation.md. ``python -m simulation --help``.
"""
