"""
The command line: ``python -m autopay_core``, the same as ``autopay``.

Holds: `main`. Imports: `command`.
"""

from __future__ import annotations

import sys

from autopay_core.command import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
