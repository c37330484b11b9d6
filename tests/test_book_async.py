"""The book on an event loop does what the blocking one does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import date
from typing import TYPE_CHECKING, Any, cast

import pytest

from autopay_core import serialization
from autopay_core.book import (
    AsyncBook,
    Book,
    ChangeName,
    MemoryBookStore,
    Skip,
)
from autopay_core.errors import (
    HostProtocolError,
    InvalidValueError,
    PortUnavailableError,
)
from autopay_core.runs import RunStatus
from worlds import (
    CARD,
    DAY,
    FEBRUARY,
    World,
    awaitable,
    bill,
    standing_order,
    to_client,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ANN: dict[str, Any] = {"by": "Ann", "reason": "asked by the payer"}


async def have(answer: Any) -> Any:
    return (await answer) if isinstance(answer, Awaitable) else answer


async def all_of(results: Any) -> list[Any]:
    if hasattr(results, "__aiter__"):
        return [each async for each in results]
    return list(results)


async def year(book: Any, ports: Any, world: World) -> list[Any]:
    """Give a book a bit of everything; return what it answers."""
    told: list[Any] = []

    async def note(answer: Any) -> None:
        told.append(await have(answer))

    await note(book.save_payer("p1", "Acme", version=0, **ANN))
    await note(book.associate("p1", [to_client()], version=1, **ANN))
    await note(book.save_method("p1", CARD, version=2, **ANN))
    await note(book.add(standing_order(), as_of=DAY, **ANN))
    text = serialization.dumps(standing_order(id="ap-2"))
    await note(book.adopt([text], as_of=DAY, **ANN))
    await note(book.due(DAY))
    told += await all_of(book.sweep(as_of=DAY, ports=ports))
    skip = Skip(FEBRUARY)
    await note(book.preview("ap-1", skip, as_of=DAY, ports=ports))
    done = book.do("ap-1", skip, as_of=DAY, version=1, ports=ports, **ANN)
    await note(done)
    await note(book.look("ap-1", on=DAY, ports=ports))
    await note(book.changes("ap-1"))
    await note(book.of_payer("p1"))
    world.clock.reach(FEBRUARY)
    await note(book.begin_night(as_of=FEBRUARY, ports=ports))
    await note(book.turn("ap-2", as_of=FEBRUARY, ports=ports))
    told += await all_of(book.sweep(as_of=FEBRUARY, ports=ports))
    await note(book.get("ap-2"))
    return told


def test_o1_an_event_loop_gets_the_same_answers() -> None:
    blocking, awaited = (
        World(bill("INV-1", "100")),
        World(bill("INV-1", "100")),
    )
    for world in (blocking, awaited):
        world.store._id = "the same"

    expected = asyncio.run(
        year(
            Book(MemoryBookStore(clock=blocking.clock)),
            blocking.ports,
            blocking,
        )
    )
    found = asyncio.run(
        year(
            AsyncBook(MemoryBookStore(clock=awaited.clock)),
            awaitable(awaited.ports),
            awaited,
        )
    )

    assert [repr(each) for each in found] == [repr(each) for each in expected]
    assert RunStatus.PAID in {
        getattr(each, "status", None) for each in expected
    }


@pytest.mark.postgres
def test_o1_a_book_on_an_event_loop_is_kept_in_postgresql() -> None:
    from autopay_core.book.postgres import AsyncPostgresBookStore
    from test_book_postgres import database

    world = World(bill("INV-1", "100"))

    async def main() -> list[Any]:
        where = database()
        async with AsyncPostgresBookStore(where, clock=world.clock) as store:
            assert repr(AsyncBook(store)).startswith("AsyncBook(Async")
            return await year(AsyncBook(store), awaitable(world.ports), world)

    *_, last = asyncio.run(main())

    assert last.id == "ap-2"


def test_a_book_that_goes_away_on_a_loop_ends_the_night() -> None:
    world = World(bill("INV-1", "100"))
    store = MemoryBookStore(clock=world.clock)
    book = AsyncBook(store)

    async def main() -> list[Any]:
        await book.add(standing_order(), as_of=DAY, **ANN)

        def away(*_: Any) -> Any:
            raise PortUnavailableError("away")

        store.move_on = away  # type: ignore[method-assign]
        return await all_of(
            book.sweep(as_of=DAY, ports=awaitable(world.ports))
        )

    with pytest.raises(PortUnavailableError):
        asyncio.run(main())
    assert len(world.taken) == 1


def test_ports_of_the_other_kind_are_refused() -> None:
    world = World()
    command: Callable[..., Any]
    kinds = (
        (Book(MemoryBookStore()).do, awaitable(world.ports)),
        (AsyncBook(MemoryBookStore()).do, world.ports),
    )
    for command, ports in kinds:
        with pytest.raises(InvalidValueError) as raised:
            asyncio.run(
                have(
                    command(
                        "ap-1",
                        ChangeName("Acme"),
                        as_of=date(2026, 1, 31),
                        version=1,
                        ports=ports,
                        **ANN,
                    )
                )
            )
        assert raised.value.path == "ports"


def test_a_call_of_a_port_without_ports_is_a_mistake_of_ours() -> None:
    with pytest.raises(HostProtocolError):
        Book(MemoryBookStore())._carry_out("charge")
    with pytest.raises(HostProtocolError):
        asyncio.run(AsyncBook(MemoryBookStore())._carry_out("charge"))


def test_closing_a_book_closes_its_store() -> None:
    from autopay_core.book.sqlite import SqliteBookStore

    store = SqliteBookStore(":memory:", in_memory=True)
    with Book(store) as book:
        assert repr(book) == "Book(SqliteBookStore(':memory:'))"
    with pytest.raises(PortUnavailableError):
        book.get("ap-1")
    Book(cast("Any", MemoryBookStore())).close()
