"""What several turns write at the same moment goes in one step (O3, PS-29)."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from autopay_core import aio, calls
from autopay_core._crews import Together, TogetherAsync
from autopay_core.adapters.sql.words import LostRaceError
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.adapters.threads import in_threads
from autopay_core.book import Book, MemoryBookStore
from autopay_core.commits import Change, Committed, Conflict, ConflictReason
from autopay_core.engine.requests import Claim, Commit, CommitMany
from autopay_core.errors import (
    CommitUnknownError,
    PortUnavailableError,
    PostingConflictError,
)
from autopay_core.history import verify_history
from autopay_core.runs import RunStatus
from lost_answers import lose_on_sqlite
from records import notice
from test_at_once import order, world_of
from worlds import DAY, KEY, START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = ("a", "b", "c", "d")
BUSY = PortUnavailableError("busy", code="StoreBusy")
TAKEN = PostingConflictError("another posting")
BEHIND = Conflict(reason=ConflictReason.VERSION)


def change(name: str) -> Change:
    return Change(by=name, notices=(notice(name),))


def committed(name: str) -> Committed:
    return Committed(new_notices=frozenset({name}), at=START)


class Slow:
    """A store whose first commit waits until three others have come."""

    def __init__(self, many: Callable[[tuple[Change, ...]], object]) -> None:
        self._many = many
        self.steps: list[list[str]] = []
        self.waits = 0
        self.may_go_on = threading.Event()

    def answer(self, request: Any) -> object:
        changes = getattr(request, "changes", None) or (request.change,)
        self.steps.append([each.by for each in changes])
        if type(request) is CommitMany:
            return self._many(changes)
        assert self.may_go_on.wait(30)
        return committed(request.change.by)


def at_once(slow: Slow) -> dict[str, object]:
    """Commit four changes from four threads; return what each was told."""
    together, told = Together(slow.answer), dict[str, object]()

    def act(name: str) -> None:
        try:
            told[name] = together.answer(Commit(change(name)))
        except BaseException as error:  # noqa: BLE001 - what it was told
            told[name] = error

    threads = [threading.Thread(target=act, args=(name,)) for name in NAMES]
    threads[0].start()
    while not slow.steps:
        pass
    for each in threads[1:]:
        each.start()
    while len(together._waiting) < 3:
        pass
    slow.may_go_on.set()
    for each in threads:
        each.join()
    return told


def awaited(slow: Slow) -> dict[str, object]:
    """Do so in four tasks."""
    told: dict[str, object] = {}

    async def answer(request: Any) -> object:
        if type(request) is not CommitMany:
            while len(together._waiting) < 3:  # noqa: ASYNC110 - it is a test
                await asyncio.sleep(0)
            slow.may_go_on.set()
        return slow.answer(request)

    async def act(name: str) -> None:
        try:
            told[name] = await together.answer(Commit(change(name)))
        except BaseException as error:  # noqa: BLE001 - what it was told
            told[name] = error

    async def all_of_them() -> None:
        await asyncio.gather(*map(act, NAMES))

    together = TogetherAsync(answer)
    asyncio.run(all_of_them())
    return told


FORMS = pytest.mark.parametrize("form", [at_once, awaited])


@FORMS
def test_o3_who_comes_while_one_writes_goes_with_the_next(form: Any) -> None:
    slow = Slow(lambda changes: [committed(each.by) for each in changes])

    told = form(slow)

    first, others = slow.steps
    assert (first, sorted(others)) == (["a"], ["b", "c", "d"])
    assert told == {name: committed(name) for name in NAMES}


@FORMS
def test_o3_each_is_told_what_is_said_of_it(form: Any) -> None:
    said = {"b": BEHIND, "c": TAKEN, "d": committed("d")}
    slow = Slow(lambda changes: [said[each.by] for each in changes])

    assert form(slow) == {"a": committed("a"), **said}


@FORMS
def test_o3_a_step_that_fails_is_everybodys(form: Any) -> None:
    def busy(_: object) -> NoReturn:
        raise BUSY

    told = form(Slow(busy))

    assert told == {"a": committed("a"), "b": BUSY, "c": BUSY, "d": BUSY}


@FORMS
@pytest.mark.parametrize("answer", [None, [], [BEHIND] * 4])
def test_e1_a_store_that_does_not_answer_for_each_leaves_a_doubt(
    form: Any, answer: object
) -> None:
    told = form(Slow(lambda _: answer))

    assert {type(told[name]) for name in "bcd"} == {CommitUnknownError}


@FORMS
def test_o3_an_exit_is_its_threads_own_and_a_doubt_for_the_others(
    form: Any,
) -> None:
    def leave(_: object) -> NoReturn:
        raise KeyboardInterrupt

    told = form(Slow(leave))

    kinds = sorted(type(told[name]).__name__ for name in "bcd")
    assert kinds == ["CommitUnknownError"] * 2 + ["KeyboardInterrupt"]


@pytest.mark.parametrize("error", [BUSY, TAKEN])
def test_o3_who_is_alone_is_told_by_itself(error: Exception) -> None:
    def answer(request: Any) -> object:
        if type(request) is Claim:
            return True
        raise error

    async def answer_async(request: Any) -> object:
        return answer(request)

    together, asynchronous = Together(answer), TogetherAsync(answer_async)

    assert together.answer(Claim(KEY, 1)) is True
    assert asyncio.run(asynchronous.answer(Claim(KEY, 1))) is True
    with pytest.raises(type(error)):
        together.answer(Commit(change("a")))
    with pytest.raises(type(error)):
        asyncio.run(asynchronous.answer(Commit(change("a"))))


# -- On SQLite ----------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlitePostingStore]:
    made = SqlitePostingStore(tmp_path / "p.db")
    yield made
    assert verify_history(made) == ()
    made.close()


def test_ps_29_an_answer_that_was_lost_is_found_for_all(
    store: SqlitePostingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_on_sqlite(monkeypatch, "after")

    answers = store.commit_many([change("a"), change("b")])

    assert [
        set(each.new_notices)
        for each in answers
        if isinstance(each, Committed)
    ] == [{"a"}, {"b"}]
    assert [each.key for each in store.undelivered(9)] == ["a", "b"]


def test_ps_29_what_broke_off_was_not_written_at_all(
    store: SqlitePostingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_on_sqlite(monkeypatch, "before")

    # It may come back when the file is opened again.
    with pytest.raises(CommitUnknownError):
        store.commit_many([change("a"), change("b")])

    assert list(store.undelivered(9)) == []


def test_ps_29_of_races_that_are_lost_it_gives_up_after_some(
    store: SqlitePostingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, lost = store._carry_out, [2]

    def losing(wanted: Any) -> object:
        if lost[0]:
            lost[0] -= 1
            raise LostRaceError
        return genuine(wanted)

    monkeypatch.setattr(store, "_carry_out", losing)
    assert len(store.commit_many([change("a"), change("b")])) == 2
    lost[0] = 9

    with pytest.raises(PortUnavailableError) as caught:
        store.commit_many([change("c")])

    assert caught.value.code == "StoreBusy"


def grouped(store: Any, seen: list[int]) -> Any:
    """Let a store say how many changes come at once, and take its time."""
    many, one = store.commit_many, store.commit

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def commit(self, change: Change) -> object:
            seen.append(1)
            threading.Event().wait(0.01)
            return one(change)

        def commit_many(self, changes: Any) -> object:
            seen.append(len(changes))
            return many(changes)

    return Watched()


@pytest.mark.parametrize("how", ["threads", "tasks", "book"])
def test_o3_a_sweep_writes_together_what_turns_write_at_once(
    store: SqlitePostingStore, how: str
) -> None:
    numbers = range(1, 17)
    world, seen = world_of(*numbers), list[int]()
    world.clock.reach(DAY)
    orders = [order(number) for number in numbers]
    ports = world.ports_with(postings=grouped(store, seen))

    if how == "threads":
        results = list(calls.sweep(orders, as_of=DAY, ports=ports, at_once=8))
    elif how == "tasks":

        async def act() -> list[Any]:
            swept = aio.sweep(
                orders, as_of=DAY, ports=in_threads(ports), at_once=8
            )
            return [each async for each in swept]

        results = asyncio.run(act())
    else:
        book = Book(MemoryBookStore(clock=world.clock))
        for each in orders:
            book.add(each, as_of=DAY, by="Ann", reason="asked for")
        results = list(book.sweep(as_of=DAY, ports=ports, at_once=8))

    assert len(results) == 16
    assert {each.status for each in results} == {RunStatus.PAID}
    assert max(seen) > 1
    assert len(world.taken) == 16
