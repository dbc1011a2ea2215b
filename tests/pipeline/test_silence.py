"""A feed that stops: the worker holds what waits for it, says so, and resolves it when the feed is back."""

import json
import time
from pathlib import Path

import pytest
from pipeline_case import Installation
from pipeline.trades import message

INCIDENT = 'traderecon_incidents_open{kind="source_silent"}'
HELD = 'traderecon_held_trades{held_by="broker_confirmations"}'
PAUSE_S = 0.3
"""Between two trades."""
