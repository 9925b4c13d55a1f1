"""The ``fusar`` command, a module a subcommand; light to import."""

from fusar_gpt.cli.main import main

__all__ = ["main"]
