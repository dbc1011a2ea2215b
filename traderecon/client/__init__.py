"""Client: Kafka or the embedded log from outside the consumer groups: administration, rights, diagnosis, appends."""
