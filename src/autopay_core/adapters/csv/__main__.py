"""
Run ``python -m autopay_core.adapters.csv``.

Holds: nothing of its own. Imports: `command`.
"""

import sys

from autopay_core.adapters.csv.command import main

if __name__ == "__main__":
    sys.exit(main())
