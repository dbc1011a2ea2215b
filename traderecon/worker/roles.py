"""The roles of a worker: the stages of the pipeline, and the pages."""

ROLES = ("intake", "matching", "sink", "web")
