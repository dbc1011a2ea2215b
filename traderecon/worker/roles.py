"""The roles a worker can have: the stages of the pipeline, and the pages."""

ROLES = ("intake", "matching", "sink", "web")
