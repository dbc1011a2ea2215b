"""The demo: the whole pipeline on the embedded log, fed by the simulator, with one command and nothing to install.

day (what has been sent, what is next) -> log -> a worker under a supervisor -> is_complete
"""

FILE = "demo.json"
"""In the data directory of a demo: the progress of its day."""
