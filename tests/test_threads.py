"""Blocking ports on an event loop: the same results, one thread a call."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING, Any

import attrs

import autopay_core as ap
from autopay_core import aio
from autopay_core.adapters.memory import (
    Fault,
    MemoryTwoStepGateway,
    memory_ports,
)
from autopay_core.adapters.sqlite import SqlitePostingStore
from autopay_core.adapters.threads import in_threads
from autopay_core.history import verify_history
from autopay_core.ports import NotFound
from autopay_core.references import Secret

if TYPE_CHECKING:
    from pathlib import Path

ON = date(2026, 1, 31)
INVOICE = ap.Invoice(
    number="INV-1",
    client="C-1",
    matter="M-1",
    issued_on=date(2026, 1, 5),
    balance=ap.Money.of("120.00", "USD"),
)


def autopay(name: str = "1") -> ap.AutoPay:
    return ap.AutoPay(
        id=f"ap-{name}",
        payer="p-1",
        name="Acme monthly",
        method=ap.PaymentMethodRef(provider="acme", token="tok_8f2k41aa9c"),
        deposit_account=ap.DepositAccount(id="op-1"),
        schedule=ap.Schedule.monthly(ON),
        limit=ap.Limit.all("USD"),
        enrollments=(ap.Association.to_client(payer="p-1", client="C-1"),),
    )


async def swept(ports: aio.Ports, *autopays: ap.AutoPay) -> list[Any]:
    return [each async for each in aio.sweep(autopays, as_of=ON, ports=ports)]


def test_a_sweep_on_a_loop_gives_what_a_blocking_sweep_gives(
    tmp_path: Path,
) -> None:
    with SqlitePostingStore(tmp_path / "x.db") as store:
        ports = attrs.evolve(memory_ports([INVOICE]), postings=store)
        (result,) = asyncio.run(swept(in_threads(ports), autopay()))

        assert result.status is ap.RunStatus.PAID
        assert ap.run(autopay(), on=ON, ports=ports) == result
        assert verify_history(store) == ()


def test_many_runs_at_once_pay_an_invoice_once(tmp_path: Path) -> None:
    async def race(ports: aio.Ports) -> list[Any]:
        answers = await asyncio.gather(
            *(swept(ports, autopay(str(number))) for number in range(8))
        )
        return [each for many in answers for each in many]

    with SqlitePostingStore(tmp_path / "x.db") as store:
        ports = attrs.evolve(memory_ports([INVOICE]), postings=store)
        results = asyncio.run(race(in_threads(ports)))

        charged = [
            each.charged for each in results if each.charged is not None
        ]
        assert charged == [INVOICE.balance]


def test_calls_run_in_the_executor_that_is_given() -> None:
    names: set[str] = set()
    ports = memory_ports([INVOICE])
    send = ports.notifier.send

    def noted(notice: ap.Notice) -> None:
        names.add(threading.current_thread().name)
        send(notice)

    ports.notifier.send = noted  # type: ignore[method-assign]
    with ThreadPoolExecutor(1, thread_name_prefix="ours") as executor:
        made = in_threads(ports, executor=executor)
        (result,) = asyncio.run(swept(made, autopay()))

    assert result.status is ap.RunStatus.PAID
    assert names == {"ours_0"}


def test_a_gateway_of_two_steps_stays_one() -> None:
    ports = attrs.evolve(
        memory_ports([INVOICE]), gateway=MemoryTwoStepGateway()
    )
    made = in_threads(ports)

    (result,) = asyncio.run(swept(made, autopay()))

    assert made.gateway.capabilities.two_step
    assert result.status is ap.RunStatus.PAID
    assert result.record is not None
    assert result.record.attempts[0].reference is not None


def test_an_error_in_a_thread_is_an_error_of_the_port() -> None:
    ports = memory_ports([INVOICE])
    gateway: Any = ports.gateway
    gateway.script(Fault.RAISE)

    (result,) = asyncio.run(swept(in_threads(ports), autopay()))

    assert result.status is ap.RunStatus.OPEN
    assert "RuntimeError" in result.detail


def test_staff_read_and_search_through_threads() -> None:
    made = in_threads(memory_ports([INVOICE]))

    async def use() -> None:
        page = await made.matters.search(
            ap.SearchQuery(by=ap.SearchBy.CLIENT_NUMBER, text="C-1")
        )
        assert [each.client for each in page.results] == ["C-1"]
        await swept(made, autopay())
        key = ap.RunKey(autopay="ap-1", nominal_on=ON)
        spent = await made.postings.spent("ap-1", ON, date.max, "USD")
        assert spent == INVOICE.balance
        assert await made.postings.claim(key, 60)
        assert not await made.postings.claim(key, 60)
        found = await made.gateway.lookup("nothing")
        assert found == NotFound()

    asyncio.run(use())


def test_ports_in_threads_keep_the_secret() -> None:
    ports = memory_ports(key_secret=b"hush" * 8)

    assert in_threads(ports).key_secret == Secret(b"hush" * 8)
    assert in_threads(ports).policy is ports.policy
