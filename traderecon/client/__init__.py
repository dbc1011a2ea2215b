"""Clients of Kafka or the embedded log outside consumer groups: administration, rights, diagnosis, appends."""
