"""
Calls of a posting store that are interrupted, and what comes after them.

Holds: `CALLS`, `check`; `Interrupter` with `Lines` for blocking stores and
`Suspensions` for awaitable ones; `apart`. Imports: `_base` and the core.

A blocking call is interrupted as by a KeyboardInterrupt: an exception is
raised at a line of the adapter's own modules. An awaitable one is cancelled
where it is suspended, before the answer that it waits for comes, or just as
it has come. Every trial is about names of its own, so that what one leaves
behind is found by those after it; connections that are lost add up.
"""

from __future__ import annotations

import asyncio
import dis
import os
import select
import signal
import sys
import time
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import (
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Sequence,
)
from concurrent.futures import CancelledError, ThreadPoolExecutor
from datetime import date
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, final

import pytest

from autopay_core.batches import Batch
from autopay_core.commits import (
    BatchFilter,
    Change,
    Committed,
    Conflict,
    Decoded,
    PostingFilter,
    PostingMove,
)
from autopay_core.holds import Hold
from autopay_core.movements import MovementState
from autopay_core.ports import PostingStore
from autopay_core.postings import Posting, PostingStatus, move_posting
from autopay_core.runs import postings_of
from autopay_core.testing.contracts._base import (
    START,
    intended,
    invoice,
    notice,
    paid,
    run_key,
    usd,
)

_T = TypeVar("_T")

# -- What is called, and what can be seen of it -------------------------------


@final
class _Names:
    """A run, its client, invoice, posting and notice, for one trial."""

    def __init__(self, number: int) -> None:
        self.client = f"C-{number}"
        self.invoice = f"INV-{number}"
        self.key = run_key(f"ap-{number}")
        self.opened = intended(
            self.key, invoice(self.invoice, 10_000, client=self.client)
        )
        self.done = paid(self.opened)
        self.postings = postings_of(self.done)
        self.notice = notice(f"n-{number}")
        self.hold = Hold.on_autopay(self.key.autopay, by="kit", reason="why")
        self.method = self.opened.attempts[0].method

    def begin(self, store: PostingStore) -> object:
        """Open the run on open amounts that nobody changed."""
        return store.commit(
            Change(
                runs=(self.opened,),
                only_doubtful=True,
                unless_held=(self.hold.target,),
                expect_versions={self.client: 0},
                expect_open={self.invoice: usd(0)},
            )
        )

    def end(self, store: PostingStore) -> object:
        """Write a run, its posting, a notice and a hold."""
        return store.commit(
            Change(
                runs=(self.done,),
                postings=self.postings,
                notices=(self.notice,),
                holds=(self.hold,),
            )
        )

    def move(self, store: PostingStore) -> object:
        """Move the posting on, and mark the notice."""
        return store.commit(
            Change(
                moves=tuple(
                    PostingMove(
                        before=each,
                        after=move_posting(each, PostingStatus.QUEUED),
                    )
                    for each in self.postings
                ),
                delivered=(self.notice.key,),
            )
        )

    def standing(self, store: PostingStore) -> object:
        """Read the run."""
        return store.standing(self.key, self.method)

    def open_amounts(self, store: PostingStore) -> object:
        """Read what is open."""
        return store.open_amounts((self.client,))

    def spent(self, store: PostingStore) -> object:
        """Read what the auto-pay took."""
        return store.spent(self.key.autopay, date.min, date.max, "USD")

    def attempts(self, store: PostingStore) -> object:
        """Read the attempts of every trial: they have one method."""
        return store.attempts(self.method, START)

    def unfinished(self, store: PostingStore) -> object:
        """Read a page of runs under way."""
        return store.unfinished(None, 3)

    def find(self, store: PostingStore) -> Sequence[Posting]:
        """Read the run's postings."""
        return Decoded(store.postings(PostingFilter(run=str(self.key))))

    def undelivered(self, store: PostingStore) -> object:
        """Read a page of notices."""
        return store.undelivered(3)

    def waiting(self, store: PostingStore) -> object:
        """Read a page of runs that wait."""
        return store.waiting(None, 3)

    def under_way(self, store: PostingStore) -> object:
        """Read a page of runs under way."""
        return store.under_way(None, 3)

    def referenced(self, store: PostingStore) -> object:
        """Read the runs of a payment."""
        return store.referenced(f"pay-{self.opened.attempts[0].key}", "")

    def sent(self, store: PostingStore) -> object:
        """Read a page of runs by when they were sent."""
        return len(store.sent(START, 3))

    def keyed(self, store: PostingStore) -> object:
        """Read the run of a key."""
        return store.keyed(str(self.opened.attempts[0].key))

    def movement(self, store: PostingStore) -> object:
        """Read a movement that nobody received."""
        return store.movement(f"ev-{self.key}")

    def movements(self, store: PostingStore) -> object:
        """Read a page of movements that wait."""
        return store.movements(MovementState.WAITING, "", 3)

    def put_into_batch(self, store: PostingStore) -> object:
        """Put the posting into a batch of its own."""
        moves = tuple(
            PostingMove(
                before=each, after=move_posting(each, PostingStatus.QUEUED)
            )
            for each in self.postings
        )
        made = Batch(
            id=f"b-{self.key}",
            made_at=START,
            by="kit",
            postings=tuple(each.after for each in moves),
        )
        return store.commit(Change(batches=(made,), moves=moves))

    def batch(self, store: PostingStore) -> object:
        """Read the batch."""
        return len(store.batch(f"b-{self.key}"))

    def batches(self, store: PostingStore) -> object:
        """Read the batches that the posting is in."""
        wanted = BatchFilter(posting=self.postings[0].id)
        return len(store.batches(wanted))

    def totals(self, store: PostingStore) -> object:
        """Add up the run's postings."""
        return store.posting_totals(PostingFilter(run=str(self.key)))

    def holds(self, store: PostingStore) -> object:
        """Read a page of holds."""
        return len(store.holds("", 3))

    def claim(self, store: PostingStore) -> object:
        """Claim the run."""
        return store.claim(self.key, 60)


_Step: TypeAlias = Callable[[_Names, PostingStore], object]


class _Call(NamedTuple):
    """A call, and the steps that come before it."""

    before: tuple[_Step, ...]
    call: _Step
    is_answer_certain: bool = True


_BEGUN: Final[tuple[_Step, ...]] = (_Names.begin,)
_ENDED: Final[tuple[_Step, ...]] = (_Names.begin, _Names.end)
_BATCHED: Final[tuple[_Step, ...]] = (*_ENDED, _Names.put_into_batch)
CALLS: Final[dict[str, _Call]] = {
    "begin": _Call((), _Names.begin),
    "end": _Call(_BEGUN, _Names.end),
    "move": _Call(_ENDED, _Names.move),
    "standing": _Call(_BEGUN, _Names.standing),
    "open_amounts": _Call(_BEGUN, _Names.open_amounts),
    "spent": _Call(_BEGUN, _Names.spent),
    "attempts": _Call(_BEGUN, _Names.attempts),
    "unfinished": _Call(_BEGUN, _Names.unfinished),
    "postings": _Call(_ENDED, _Names.find),
    "undelivered": _Call(_ENDED, _Names.undelivered),
    "waiting": _Call(_BEGUN, _Names.waiting),
    "under_way": _Call(_BEGUN, _Names.under_way),
    "referenced": _Call(_BEGUN, _Names.referenced),
    "sent": _Call(_BEGUN, _Names.sent),
    "keyed": _Call(_BEGUN, _Names.keyed),
    "movement": _Call((), _Names.movement),
    "movements": _Call((), _Names.movements),
    "put_into_batch": _Call(_ENDED, _Names.put_into_batch),
    "batch": _Call(_BATCHED, _Names.batch),
    "batches": _Call(_BATCHED, _Names.batches),
    "posting_totals": _Call(_ENDED, _Names.totals),
    "holds": _Call(_BEGUN, _Names.holds),
    # A claim that was interrupted may stand: it ends by itself (PS-14).
    "claim": _Call(_BEGUN, _Names.claim, is_answer_certain=False),
}
"""Every call of the port, by name; commits in four forms."""


def _seen(it: _Names, store: PostingStore) -> object:
    """Read all that a call can have written, without the trial's names."""
    standing = store.standing(it.key, "")
    opened = store.open_amounts((it.client,))
    found = standing.run
    run = {None: "none", it.opened: "begun", it.done: "ended"}.get(found)
    amounts = sorted(
        (str(number) == it.invoice, amount.amount_minor)
        for number, amount in opened.amounts.items()
    )
    return (
        f"run {run}",
        f"held {len(standing.holds)}",
        f"under way {len(standing.unfinished)}",
        f"open {amounts}, version {dict(opened.versions)[it.client]}",
        f"spent {store.spent(it.key.autopay, date.min, date.max, 'USD')}",
        [str(each.status) for each in it.find(store)],
        f"in {it.batch(store)} batch",
        f"told {it.notice in store.undelivered(1_000)}",
    )


def _answer(value: object) -> object:
    """Return an answer without the trial's names."""
    if isinstance(value, Committed):
        return ("committed", len(value.new_notices))
    if isinstance(value, Conflict):
        return ("conflict", value.reason)
    return value


# -- How it is interrupted ----------------------------------------------------

_Place: TypeAlias = tuple[Any, ...]


class Interrupter(ABC):
    """Interrupts calls at places that an uninterrupted one passed."""

    @abstractmethod
    def places(self, call: Callable[[], object], /) -> Sequence[_Place]:
        """Make a call, and return where it can be interrupted."""

    @abstractmethod
    def is_cut(self, call: Callable[[], object], place: _Place, /) -> bool:
        """Interrupt a call at a place; tell whether it came by there."""


class Interruption(KeyboardInterrupt):
    """What interrupts a call that blocks."""


@final
class Lines(Interrupter):
    """
    Interrupts at the lines of some folders' modules.

    Args:
        folders: Where the adapter's own modules are.

    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = tuple(folders)

    def places(self, call: Callable[[], object], /) -> Sequence[_Place]:
        """Return each line that *call* runs: its first time and its last."""
        passed: dict[tuple[str, int], int] = {}

        def note(file: str, line: int) -> None:
            passed[file, line] = passed.get((file, line), 0) + 1

        self._trace(call, note)
        return [
            (file, line, time)
            for (file, line), times in passed.items()
            for time in sorted({1, times})
        ]

    def is_cut(self, call: Callable[[], object], place: _Place, /) -> bool:
        """Raise when a line is come to for the n-th time."""
        file, line, left = place

        def strike(at_file: str, at_line: int) -> None:
            nonlocal left
            if (at_file, at_line) == (file, line):
                left -= 1
                if not left:
                    raise Interruption

        try:
            self._trace(call, strike)
        except Interruption:
            return True
        return False

    def _trace(
        self, call: Callable[[], object], at: Callable[[str, int], None]
    ) -> None:
        def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - see sys.settrace
            file = frame.f_code.co_filename
            if not file.startswith(self._folders):
                return None
            if event == "line" and frame.f_lasti not in leaving(frame.f_code):
                at(file, frame.f_lineno)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(before)


@cache
def leaving(code: CodeType) -> frozenset[int]:
    """
    Find where a tracer is called, but no signal is ever handled.

    That is on a line which does nothing, such as ``try:``; where a handler
    lets go of what it has caught; at jumps, where Python 3.13 forgets the
    blocks around a comprehension while it is traced; and between the end of a
    block of ``with`` and the call of ``__exit__``, whose arguments are three
    None. An exception that is raised there leaves no block that it stands in.
    """
    steps = list(dis.get_instructions(code))
    found = {
        each.offset
        for each in steps
        if each.opname in {"NOP", "POP_EXCEPT", "JUMP_BACKWARD"}
        or each.opname.startswith("POP_JUMP")
    }
    for place in range(len(steps) - 2):
        if all(
            each.opname == "LOAD_CONST" and each.argval is None
            for each in steps[place : place + 3]
        ):
            # What is returned from inside is put below them first.
            found.update(each.offset for each in steps[place - 2 : place + 1])
    return frozenset(found)


@final
class Suspensions(Interrupter):
    """
    Cancels where a call waits, before or just after what it waits for.

    Args:
        wrap: Sets what is done with everything awaited from now on; None
            for nothing.

    """

    def __init__(
        self,
        wrap: Callable[
            [Callable[[Awaitable[Any]], Awaitable[Any]] | None], None
        ],
    ) -> None:
        self._wrap = wrap

    def places(self, call: Callable[[], object], /) -> Sequence[_Place]:
        """Return each suspension of *call*, and two more: they may vary."""
        passed: list[int] = []
        self._around(call, partial(_cut, -1, False, passed))
        return [
            (number, is_late)
            for number in range(1, len(passed) + 3)
            for is_late in (False, True)
        ]

    def is_cut(self, call: Callable[[], object], place: _Place, /) -> bool:
        """Cancel at the n-th suspension."""
        number, is_late = place
        try:
            self._around(call, partial(_cut, number, is_late, []))
        except CancelledError:
            return True
        return False

    def _around(
        self,
        call: Callable[[], object],
        cut: Callable[[Awaitable[Any]], Awaitable[Any]],
    ) -> None:
        self._wrap(cut)
        try:
            call()
        finally:
            self._wrap(None)


@final
class _cut(Awaitable[Any]):  # noqa: N801 - called, like a function
    """Awaits something; its task is cancelled at a suspension."""

    def __init__(
        self,
        number: int,
        is_late: bool,  # noqa: FBT001 - a place
        passed: list[int],
        made: Awaitable[Any],
    ) -> None:
        self._number = number
        self._is_late = is_late
        self._passed = passed
        self._made = made

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._made.__await__()
        step: Callable[[], Any] = partial(next, inner)
        while True:
            try:
                awaited = step()
            except StopIteration as stopped:
                return stopped.value
            self._passed.append(1)
            if len(self._passed) == self._number:
                self._cancel(awaited)
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 - the inner one's
                step = partial(_thrown, inner, error)
            else:
                step = partial(next, inner)

    def _cancel(self, awaited: Any) -> None:  # noqa: ANN401 - a future, or None
        task = asyncio.current_task()
        assert task is not None
        if self._is_late and awaited is not None:
            awaited.add_done_callback(partial(_cancel, task))
        else:
            task.cancel()


def _cancel(task: asyncio.Task[Any], _: object) -> None:
    task.cancel()


def _thrown(
    inner: Any,  # noqa: ANN401 - a generator, or a coroutine's iterator
    error: BaseException,
) -> Any:  # noqa: ANN401 - what it yields
    return inner.throw(error)


def folders_of(store: object) -> tuple[str, ...]:
    """Return where the modules are in which a store's classes stand."""
    found: dict[str, None] = {}
    for each in type(store).__mro__:
        top, _, rest = each.__module__.partition(".")
        file = getattr(sys.modules.get(each.__module__), "__file__", None)
        is_port = top == "autopay_core" and not rest.startswith("adapters")
        if file and not is_port and top not in sys.stdlib_module_names:
            found[f"{Path(file).parent}{os.sep}"] = None
    return tuple(found)


# -- The check ----------------------------------------------------------------


def check(
    name: str,
    store: PostingStore,
    beside: PostingStore | None,
    interrupter: Interrupter,
    most: int | None,
) -> Iterator[str]:
    """
    Interrupt a call in many places, and compare what is seen afterwards.

    Yields each place before it is tried, for whoever waits.

    Args:
        name: One of `CALLS`.
        store: What is called.
        beside: The same store, opened once more; None looks at it from
            another thread.
        interrupter: How calls are interrupted.
        most: How many places are tried, evenly spread; None for all.

    Raises:
        AssertionError: Something was seen that no call would leave behind.

    """
    before, call, is_answer_certain = CALLS[name]
    numbers = iter(range(1, 1_000_000))

    def ready() -> _Names:
        it = _Names(next(numbers))
        for step in before:
            step(it, store)
        return it

    it = ready()
    untouched = _seen(it, store)
    answer = _answer(call(it, store))
    done = _seen(it, store)
    is_read = untouched == done
    fresh = it if is_read and is_answer_certain else ready()
    if is_read and is_answer_certain:
        answer = call(it, store)
    places = interrupter.places(partial(call, fresh, store))
    assert places, f"{name} came by no line of the adapter"

    with ThreadPoolExecutor(1) as another:
        for place in _spread(places, most):
            where = " ".join(map(str, place))
            yield f"{name} {where}"
            if not (is_read and is_answer_certain):
                it = ready()
            if not interrupter.is_cut(partial(call, it, store), place):
                continue
            said = f"{name} was interrupted at {where}: "
            try:
                seen = _within(another, partial(_seen, it, beside or store))
                assert seen in (untouched, done), f"{said}half of it stands"
                assert _seen(it, store) == seen, f"{said}readers disagree"
                again = call(it, store) if seen == untouched else None
                assert _seen(it, store) == done, f"{said}it stays half"
            except Exception as error:
                if isinstance(error, AssertionError):
                    raise
                raise AssertionError(f"{said}then {error!r}") from error
            if again is not None and is_answer_certain:
                again = again if is_read else _answer(again)
                assert again == answer, f"{said}then answered {again!r}"


PATIENCE: Final = 60.0
"""Whoever is not answered after so many seconds waits for a lost lock."""


def _within(another: ThreadPoolExecutor, look: Callable[[], _T]) -> _T:
    return another.submit(look).result(PATIENCE)


def _spread(places: Sequence[_Place], most: int | None) -> Sequence[_Place]:
    """Choose so many, evenly, the first and the last among them."""
    if most is None or len(places) <= most:
        return places
    last = len(places) - 1
    return [places[last * each // (most - 1)] for each in range(most)]


# -- A process of its own -----------------------------------------------------


def apart(steps: Callable[[], Iterator[str]], seconds: float) -> None:
    """
    Take *steps* in a process of its own; fail as it fails.

    What is interrupted may hang for ever, and leave other tests a process
    that is not as it was.

    Args:
        steps: Yields where it is, now and then.
        seconds: After so many it is ended, which is a failure.

    """
    if not hasattr(os, "fork"):
        pytest.skip("no process of its own can be had on this system")
    told, tell = os.pipe()
    with warnings.catch_warnings():
        # Of other threads: the child uses nothing that they may hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _tell(steps, tell)
    os.close(tell)
    try:
        heard = _heard(told, time.monotonic() + seconds)
    finally:
        os.close(told)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    lines, _, failure = heard.partition("\0")
    last = lines.strip().rpartition("\n")[2]
    if not failure:
        pytest.fail(f"nothing more was heard of it after: {last}")
    if failure != "passed":
        pytest.fail(f"after {last}\n{failure}")


def _tell(steps: Callable[[], Iterator[str]], tell: int) -> None:
    """Take the steps, say what came of it, and end the process."""
    try:
        try:
            for each in steps():
                os.write(tell, f"{each}\n".encode())
            said = "passed"
        except BaseException:  # noqa: BLE001 - told to the parent
            said = traceback.format_exc()
        os.write(tell, f"\0{said}".encode())
    finally:
        os._exit(0)


def _heard(told: int, until: float) -> str:
    """Read until nothing more comes, or the time is over."""
    heard = b""
    while (left := until - time.monotonic()) > 0:
        if not select.select([told], [], [], left)[0]:
            break
        part = os.read(told, 65_536)
        if not part:
            break
        heard += part
    return heard.decode()
