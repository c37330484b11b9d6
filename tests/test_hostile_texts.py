"""
Texts that a record cannot hold never keep money from its record (E2, E3, P1).

Identifiers may look like card numbers, for some firms' do, and ports say what
they like of themselves. Whatever those texts are, a run goes the same way.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from hypothesis import example, given, strategies as st

from autopay_core.associations import Association
from autopay_core.calls import reverse
from autopay_core.charges import DeclineClass, Declined, Indeterminate
from autopay_core.errors import PortError, PortUnavailableError
from autopay_core.invoices import Invoice
from autopay_core.notices import NoticeKind
from autopay_core.postings import Reversal, ReversalKind
from autopay_core.references import DepositAccount, RunKey
from autopay_core.runs import RunStatus
from bad_inputs_runs import answering, raising
from worlds import DAY, World, rig, standing_order, usd

if TYPE_CHECKING:
    from autopay_core.autopay import AutoPay

CARD_LIKE = "4111111111111111"
IDS = st.sampled_from(
    [
        CARD_LIKE,
        "5500 0055 5555 5559",
        "٤١١١١١١١١١١١١١١١",
        "x" * 128,
        "é" * 128,
        "1" * 128,
        "*",
        "%s {0} {name}",
        "../../etc",
        "'; --",
        "<b>",
        '"\\',
    ]
)
SAID = st.one_of(
    IDS,
    st.text(max_size=80),
    st.sampled_from(["\x00", "a\nb", "\u202e", "\ud800", "x" * 5_000, ""]),
)


def _firm(
    client: str,
    matter: str,
    number: str,
    payer: str,
    autopay: str,
) -> tuple[World, AutoPay]:
    world = World(
        Invoice(
            number=number,
            client=client,
            matter=matter,
            issued_on=date(2026, 1, 5),
            balance=usd("120.00"),
        )
    )
    order = standing_order(
        id=autopay,
        payer=payer,
        deposit_account=DepositAccount(id="operating-1"),
        enrollments=(
            Association.to_invoice(
                payer=payer, client=client, matter=matter, invoice=number
            ),
        ),
    )
    return world, order


@given(client=IDS, matter=IDS, number=IDS, payer=IDS, autopay=IDS)
@example("C-1", "M-1", CARD_LIKE, "p-1", "ap-1")
def test_any_identifiers_are_paid_reversed_and_told(
    client: str,
    matter: str,
    number: str,
    payer: str,
    autopay: str,
) -> None:
    world, order = _firm(client, matter, number, payer, autopay)

    [paid] = world.sweep(order)
    reversed_ = reverse(
        RunKey(autopay=autopay, nominal_on=DAY),
        Reversal(
            event=number,
            kind=ReversalKind.RETURN,
            amount=usd("20.00"),
            on=DAY + timedelta(days=3),
        ),
        ports=world.ports,
    )

    assert paid.status is RunStatus.PAID
    assert world.told()[:2] == [NoticeKind.PAID, NoticeKind.PLAN_PAID_OFF]
    assert reversed_.status is RunStatus.PAID
    assert [each.amount for each in world.postings()] == [
        usd("120.00"),
        usd("-20.00"),
    ]


@given(code=SAID, message=SAID, number=IDS)
def test_an_unavailable_gateway_says_what_it_likes(
    code: str, message: str, number: str
) -> None:
    world, order = _firm("C-1", "M-1", number, "p-1", "ap-1")

    raising(PortUnavailableError(message, code=code))(world)
    [result] = world.sweep(order)

    assert result.status is RunStatus.WAITING
    assert world.told() == [NoticeKind.INCIDENT]


@given(code=SAID, message=SAID)
def test_a_gateway_that_breaks_says_what_it_likes(
    code: str, message: str
) -> None:
    world, order = _firm("C-1", "M-1", "INV-1", "p-1", "ap-1")

    raising(PortError(message, code=code))(world)
    [result] = world.sweep(order)

    assert result.status is RunStatus.OPEN


@given(detail=SAID)
def test_a_doubt_says_what_it_likes(detail: str) -> None:
    world, order = _firm("C-1", "M-1", "INV-1", "p-1", "ap-1")
    answering(Indeterminate(detail=detail))(world)

    [result] = world.sweep(order)

    assert result.status is RunStatus.OPEN


@given(code=SAID, message=SAID)
def test_matter_data_that_cannot_be_read_says_what_it_likes(
    code: str, message: str
) -> None:
    world, order = _firm("C-1", "M-1", "INV-1", "p-1", "ap-1")

    raising(PortError(message, code=code), "matters", "open_invoices")(world)
    [result] = world.sweep(order)

    assert result.status is RunStatus.WAITING
    assert world.record.late_since == DAY
    assert world.told() == [NoticeKind.INCIDENT]


def test_e3_a_decline_that_repeats_a_card_number_is_a_decline() -> None:
    """What it says is masked and kept; a clear no stays one."""
    world, order = _firm("C-1", "M-1", CARD_LIKE, "p-1", CARD_LIKE)
    rig(
        world.gateway,
        charge=lambda request: Declined(
            key=request.key,
            code="do_not_honor",
            decline_class=DeclineClass.NEVER,
            message="Try card 4000 0000 0000 0002",
        ),
    )

    [result] = world.sweep(order)

    assert result.status is RunStatus.FAILED
    assert result.detail == "Try card … (code do_not_honor)"
