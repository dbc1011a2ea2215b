"""The demo: the whole pipeline on the embedded log, fed by the simulator, with one command and nothing to install.

day (what was sent, what comes next) -> log -> a worker, watched by its supervisor -> decided?
"""
