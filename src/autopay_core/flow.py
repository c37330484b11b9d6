"""
Moved to `autopay_core.runs`; importable from here with a warning.

Holds: nothing of its own. Imports: `_moved`.
"""

from autopay_core._moved import moved

__getattr__ = moved(__name__)
