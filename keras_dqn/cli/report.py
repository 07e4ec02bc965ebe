"""`keras-dqn report`: writes a page about a run, in one HTML file."""

from __future__ import annotations

from typing import Any

from keras_dqn.cli import log_commands
from keras_dqn.cli.command_line import train_command
from keras_dqn.report import page
from keras_dqn.report import tables
from keras_dqn.report.differences import nearest_preset
from keras_dqn.system import files


def add_command(commands: Any) -> None:
    """Adds `report` to the subparsers of `keras-dqn`."""
    parser = commands.add_parser(
        "report",
        description="Writes a page about a run: curves, evaluations, scores, settings "
        "and the film of\n`keras-dqn record`. It is one HTML file of about 5 MB, which "
        "needs no network.\nNeeds: pip install 'keras_dqn[plot]'",
    )
    add = parser.add_argument
    add("run_path", metavar="RUN", help=log_commands.RUN_HELP)
    add(
        "--out",
        help="file to write, .html (default: report.html in the run directory; for a "
        "file in the current one)",
    )
    add("--force", action="store_true", help="replace a file that exists")
    parser.set_defaults(
        run=lambda namespace: log_commands.run(parser, namespace, _report)
    )


def _report(namespace):
    log_commands.check_installed("report", "plotly")
    [run] = log_commands.read_runs([namespace.run_path])
    path = log_commands.output(
        namespace.out,
        log_commands.folder_of([run]) / "report.html",
        (".html",),
        namespace.force,
    )
    data = page.page_of(run, path.parent, _command(run)).encode()
    files.replace(path, data)
    print(f"Wrote {path} ({len(data) / 1e6:.1f} MB)")


def _command(run):
    """Returns the command line that would make the run again, or `None`."""
    settings = tables.settings_of(run)
    if settings is None:
        return None
    return train_command(*nearest_preset(settings), run.backend)
