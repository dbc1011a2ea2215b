"""What Alembic runs for every command: the migrations, on the connection passed by ``migration.upgrade``."""

from alembic import context

from traderecon.sink.schema import metadata


def run() -> None:
    """Run the migrations in the connection's transaction."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
    context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic runs this file; importing it does nothing
    run()
