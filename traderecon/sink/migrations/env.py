"""What Alembic runs for every command: the migrations, on the connection it was handed (``migration.upgrade``)."""

from alembic import context

from traderecon.sink.schema import metadata


def run() -> None:
    """Run the migrations within the transaction of the connection."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
    context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic runs this file; an import does nothing
    run()
