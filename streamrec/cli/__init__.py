"""The command line: one file per group of verbs, each a few lines over the library and the transport."""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    from streamrec.cli.app import root

    root(prog_name="streamrec")
