"""Errors while the app of a role is made: each ends the command with its exit code and one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from traderecon.cli.broker import broker_errors
from traderecon.cli.console import fail
from traderecon.cli.rules import effective_settings
from traderecon.exit_codes import Exit
from traderecon.settings import ConfigurationError
from traderecon.sink.database import StoreError
from traderecon.worker.identity import OtherIdentity


@contextmanager
def start_errors() -> Iterator[None]:
    """End the command with 4 if the log or the database does not answer, 78 if a setting is wrong, or leads nowhere.

    Slow to import, like what it guards.
    """
    try:
        with broker_errors():
            yield
    except (ConfigurationError, OtherIdentity) as error:
        fail(Exit.CONFIG, str(error))
    except StoreError as error:
        fail(error.code, str(error))
    except BrokenPipeError:
        raise  # standard output was closed
    except OSError as error:
        directory = effective_settings().data_dir
        fail(Exit.CONFIG, f"{directory}: {error.strerror or error}: correct TRADERECON_DATA_DIR")
