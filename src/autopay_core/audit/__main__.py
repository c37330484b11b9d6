"""
``python -m autopay_core.audit``.

Holds: nothing. Imports: `command`.
"""

import sys

from autopay_core.audit.command import main

if __name__ == "__main__":
    sys.exit(main())
