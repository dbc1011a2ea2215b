"""Migrations: the steps that make the tables of the database; ``sink.migration`` runs them."""
