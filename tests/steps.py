"""How many steps a call takes: counted, so that no machine's load shows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def steps(call: Callable[[], object]) -> int:
    """
    Return how many instructions of Python *call* carries out.

    What a library written in C does in one call is one instruction here.
    """
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def growth(call: Callable[[int], Callable[[], object]], size: int) -> float:
    """Return how much more a call takes for four times the size."""
    small, large = call(size), call(4 * size)
    # What is made once is not counted, and Pythons 3.12 and 3.13 do not count
    # all the first time that they trace something.
    steps(small)
    steps(small)
    return steps(large) / max(1, steps(small))
