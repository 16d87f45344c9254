"""The command line: the list of commands, and their exit statuses.

A command's module is loaded when the command runs. Commands that need no configuration, ledger or
network therefore load no module that does.
"""

from __future__ import annotations

import gc
import importlib
import io
import sys
from collections.abc import Sequence

import click

from archive.errors import ArchiveError, StoreAway
from config.errors import ConfigurationError
from config.umask import restrict_umask
from config.version import VERSION
from ledger.errors import LedgerError
from providers.errors import ProviderError
from tasks.errors import InvalidArgument, JobError
from worker.start import COMMAND, MODULE

from .examples import add_examples

#: Errors whose message is the whole sentence for the operator.
_SELF_EXPLANATORY = (ArchiveError, JobError, LedgerError, OSError, ProviderError, StoreAway)

#: Each command's module, and its line in the list of commands.
COMMANDS = {
    "accounts": (".accounts", "Test the accounts at their providers."),
    "alerts": (".alerts", "Show open alerts, or close one."),
    "archive": (".archive", "Compare the archive with the ledger, or switch archives."),
    "backup": (".backup", "Back up ledger, chain heads and configuration."),
    "call": (".call", "Request a certified call."),
    "calls": (".live", "List the calls in progress."),
    "cancel": (".job_actions", "Cancel a job."),
    "catalogue": (".catalogue", "Print the JSON Schema of every task."),
    "completion": (".completion", "Print the completion script of a shell."),
    "coverage": (".coverage", "Show which days are archived, one line a day."),
    "demo": ("demo.command", "Run everything against simulated providers."),
    "doctor": (".doctor.command", "Check the deployment and say what to fix."),
    "drain": (".drain", "Stop workers from taking new work."),
    "export": (".exports", "Export days of an account."),
    "extract": (".extract", "Take recordings out of the archive, with their proof."),
    "find": (".standalone_archive", "Find recordings in the archive."),
    "health": (".health", "Check whether a service on this host works."),
    "hooks": (".hooks", "Receive the notifications of telephone systems."),
    "messages": (".messages", "Show, put back or remove unreadable messages."),
    "migrate": (".migrate", "Upgrade the ledger to this program's version."),
    "quarantine": (".rebuild", "Show, begin or lift the quarantine of a restored ledger."),
    "rebuild": (".rebuild", "Rebuild the ledger from the archive."),
    "record": (".live", "Start recording a call in progress."),
    "reload": (".reload", "Reload the accounts in all workers."),
    "recordings": (".recordings", "List, fetch or delete recordings at a provider."),
    "report": (".report", "Write a report as one HTML file."),
    "resolve": (".resolve", "Record whether a certified call was placed."),
    "retry": (".job_actions", "Repeat a failed or cancelled job."),
    "show": (".jobs", "Show everything about one job."),
    "status": (".jobs", "Show recent jobs and what is pending."),
    "stop": (".live", "Stop recording a call."),
    "undrain": (".drain", "Return drained workers to work."),
    "verify": (".verify", "Verify every checksum and every chain of an archive."),
}


class CommandGroup(click.Group):
    """A group that loads the module of a command when the command runs."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the commands' names."""
        return sorted(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Load a command; return None for an unknown name."""
        if name not in COMMANDS:
            return None
        # Modules make no garbage. A collection would walk all that they make, many times.
        gc.disable()
        module = importlib.import_module(COMMANDS[name][0], __package__)
        gc.freeze()
        gc.enable()
        command = getattr(module, name)
        assert isinstance(command, click.Command)
        add_examples(command, name)
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that was named; suggest those that are spelt like it."""
        try:
            return super().resolve_command(context, arguments)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=COMMANDS, ctx=context
            ) from None

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="earwitness", message="%(prog)s %(version)s")
@click.option("-q", "--quiet", is_flag=True, help="Print results only, no progress or warnings.")
@click.option("-v", "--verbose", count=True, help="Log each step; -vv logs more.")
def earwitness(quiet: bool, verbose: int) -> None:
    """Earwitness fetches telephony recordings, verifies them and keeps them.

    The worker itself is started by: celery -A worker worker
    """
    if quiet and verbose:
        raise click.UsageError("Give either -q or -v, not both.")


def run(arguments: Sequence[str] | None = None, *, program: str = MODULE) -> int:
    """Run a command and return the exit status. ``program`` is what the user calls.

    0 means done, 1 failed, 2 wrong usage or configuration, 130 interrupted. An error is one
    sentence on standard error.
    """
    restrict_umask()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Characters that the terminal cannot show must not end the command.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = earwitness.main(arguments, prog_name=program, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        asked = error.ctx.command_path if error.ctx else program
        return _refused(f"{error.format_message()} See: {asked} --help", 2)
    except (ConfigurationError, InvalidArgument) as error:
        return _refused(str(error), 2)
    except UnicodeEncodeError:
        # Every write is one transaction, which such text aborts.
        sentence = "not done: an argument contains bytes that are not UTF-8; write it in UTF-8"
        return _refused(sentence, 2)
    except click.Abort:
        return 130
    except click.ClickException as error:
        return _refused(error.format_message(), 1)
    except _SELF_EXPLANATORY as error:
        return _refused(str(error), 1)
    return status if isinstance(status, int) else 0


def _refused(sentence: str, status: int) -> int:
    click.echo(f"{COMMAND}: {sentence}", err=True)
    return status
