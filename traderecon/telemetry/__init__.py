"""Telemetry: every metric, in one place. Floats begin here, and nothing here decides anything."""

from traderecon.telemetry.merged import Merged
from traderecon.telemetry.metrics import Metrics

__all__ = ["Merged", "Metrics"]
