"""Telemetry: all metrics in one place. Floats are allowed here, because nothing here affects a decision."""

from traderecon.telemetry.merged import MergedMetrics
from traderecon.telemetry.metrics import Metrics

__all__ = ["MergedMetrics", "Metrics"]
