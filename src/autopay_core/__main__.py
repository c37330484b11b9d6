"""
The command line: ``python -m autopay_core demo``.

Holds: `main`. Imports: `demo`, once it is asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    from autopay_core import demo

    parser = argparse.ArgumentParser(
        prog="python -m autopay_core",
        description="Recurring automatic payment of a law firm's invoices.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo.add_arguments(
        commands.add_parser(
            "demo",
            help="run a firm's auto-pays over a year, and say what was paid",
            description="Run a firm's auto-pays day by day over a year.",
        )
    )
    return demo.main(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
