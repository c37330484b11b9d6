"""Webhooks of Stripe's become movements, and say why where they do not."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import stripe
from hypothesis import given, settings, strategies as st

import autopay_core as ap
from autopay_core.adapters.memory import memory_ports
from autopay_core.adapters.stripe import Event, StripeGateway, parse_event
from autopay_core.errors import InvalidValueError
from autopay_core.movements import MovementKind, MovementState
from autopay_core.policy import Policy
from autopay_core.references import MethodKind, PaymentMethodRef
from autopay_core.testing.stripe import FakeStripe
from worlds import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autopay_core.movements import MovementRecord

NOW = datetime(2026, 1, 31, 14, tzinfo=UTC)
DUE = date(2026, 1, 31)
CARD, BANK = MethodKind.CARD, MethodKind.BANK_ACCOUNT


class World:
    """A firm that charges at a make-believe Stripe, and hears of it."""

    def __init__(self) -> None:
        self.clock = Clock(NOW)
        self.company = FakeStripe(clock=self.clock)
        self.gateway = StripeGateway(
            self.company.api_key,
            account="acct_firm",
            deposits={"operating": ""},
            api_base=self.company.url,
        )
        invoice = ap.Invoice(
            number="1042",
            client="C-7",
            matter="M-1",
            issued_on=date(2026, 1, 5),
            balance=ap.Money.of("310.00", "USD"),
        )
        made = memory_ports([invoice], clock=self.clock)
        self.ports = ap.Ports(
            matters=made.matters,
            gateway=self.gateway,
            postings=made.postings,
            notifier=made.notifier,
            key_secret=made.key_secret,
            policy=made.policy,
        )
        self.received: list[MovementRecord] = []
        self.seen: list[Event] = []

    def pay(self, token: str, kind: MethodKind = CARD) -> ap.RunResult:
        self.autopay = ap.AutoPay(
            id="ap-1",
            payer="p-1",
            name="Harbour Foods, monthly",
            method=PaymentMethodRef(
                provider="stripe",
                token=token,
                kind=kind,
                network="" if kind is CARD else "ach",
            ),
            deposit_account=ap.DepositAccount(id="operating"),
            schedule=ap.Schedule.monthly(DUE),
            limit=ap.Limit.all("USD"),
            enrollments=(ap.Association.to_client(payer="p-1", client="C-7"),),
        )
        return ap.run(self.autopay, on=DUE, ports=self.ports)

    def receive(self, body: bytes, signature: str) -> None:
        event = parse_event(
            body,
            signature,
            self.company.webhook_secret,
            now=self.clock(),
            account="acct_firm",
            gateway=self.gateway,
        )
        self.seen.append(event)
        for movement in event.movements:
            self.received.append(
                ap.receive(movement, ports=self.ports, by="webhook")
            )

    def posted(self) -> list[str]:
        return sorted(
            str(each.amount) for each in ap.read_postings(ports=self.ports)
        )

    def kinds(self) -> list[str]:
        return [
            each.movement.kind.value
            for each in self.received
            if each.state is MovementState.PLACED
        ]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.company.close()
    assert made.company.complaints == []


def reference_of(paid: ap.RunResult) -> str:
    assert paid.record is not None
    assert paid.record.payment_reference is not None
    return paid.record.payment_reference


def parsed(world: World, about: Any, **more: Any) -> Event:
    body, signature = world.company.signed(about)
    return parse_event(
        body, signature, "whsec_fake", now=NOW, account="acct_firm", **more
    )


# -- Whose it is --------------------------------------------------------------


@settings(max_examples=40)
@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_no_altered_body_is_believed(place: int, bit: int) -> None:
    body = b'{"object":"event","id":"evt_1","type":"x","created":1}'
    sign: Any = stripe.WebhookSignature.generate_signature_header
    header = sign(body.decode(), "whsec_fake", int(NOW.timestamp()))
    altered = bytearray(body)
    altered[place % len(body)] ^= 1 << bit

    assert parse_event(body, header, "whsec_fake", now=NOW).id == "evt_1"
    with pytest.raises(InvalidValueError) as caught:
        parse_event(bytes(altered), header, "whsec_fake", now=NOW)
    assert caught.value.code == "EventSignature"


@pytest.mark.parametrize(
    ("signature", "secret", "minutes", "code"),
    [
        (None, "whsec_other", 0, "EventSignature"),
        (None, "", 0, "EventSignature"),
        (None, (), 0, "EventSignature"),
        ("", "whsec_fake", 0, "EventSignature"),
        ("t=1,v1=00", "whsec_fake", 0, "EventSignature"),
        ("v1=00", "whsec_fake", 0, "EventSignature"),
        (None, "whsec_fake", 6, "EventAge"),
        (None, "whsec_fake", -6, "EventAge"),
    ],
)
def test_what_is_not_signed_now_and_by_them_is_refused(
    signature: str | None, secret: Any, minutes: int, code: str
) -> None:
    body = b'{"object":"event","id":"evt_1","type":"x","created":1}'
    sign: Any = stripe.WebhookSignature.generate_signature_header
    header = sign(body.decode(), "whsec_fake", int(NOW.timestamp()))
    with pytest.raises(InvalidValueError) as caught:
        parse_event(
            body,
            header if signature is None else signature,
            secret,
            now=NOW + timedelta(minutes=minutes),
        )
    assert caught.value.code == code
    assert "evt_1" not in str(caught.value)
    assert "whsec" not in str(caught.value)


def test_either_of_two_secrets_will_do_while_one_is_replaced() -> None:
    body = b'{"object":"event","id":"evt_1","type":"x","created":1}'
    sign: Any = stripe.WebhookSignature.generate_signature_header
    header = sign(body.decode(), "whsec_new", int(NOW.timestamp()))
    secrets = ("whsec_old", "whsec_new")

    assert parse_event(body, header, secrets, now=NOW).kind == "x"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"object":"event"}',
        b'{"object":"v2.core.event","id":"evt_1"}',
        b'{"object":"event","id":"evt_1","type":"x"}',
        b'{"object":"event","id":"evt_1","type":"x","created":1e300}',
        b'{"object":"event","id":"evt_1","type":"x","created":-5}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_event_is_refused(body: bytes) -> None:
    sign: Any = stripe.WebhookSignature.generate_signature_header
    header = sign(body.decode(), "whsec_fake", int(NOW.timestamp()))
    with pytest.raises(InvalidValueError) as caught:
        parse_event(body, header, "whsec_fake", now=NOW)
    assert caught.value.code == "EventFormat"


# -- What moved ---------------------------------------------------------------


def test_a_debit_settles_by_its_webhook(world: World) -> None:
    result = world.pay(world.company.bank_account(), BANK)
    assert result.status is ap.RunStatus.PENDING
    for each in world.company.pending():
        world.company.books.settle(each)
    world.company.deliver(world.receive, doubled=True, shuffled=True)

    assert world.posted() == ["USD 310.00"]
    assert set(world.kinds()) == {"settled"}


def test_a_debit_that_fails_late_says_by_which_code(world: World) -> None:
    world.pay(world.company.bank_account(), BANK)
    key = world.company.books.intents
    intent = next(iter(key.values()))
    world.company.fail_later(
        intent["metadata"]["autopay_key"], "debit_not_authorized", "R29"
    )
    world.company.deliver(world.receive)

    (record,) = world.received
    assert record.movement.kind is MovementKind.FAILED_LATE
    assert record.movement.code == "R29"
    assert world.posted() == []


def test_a_failed_try_is_no_end_of_a_debit_that_was_paid_after_all(
    world: World,
) -> None:
    world.pay(world.company.bank_account(), BANK)
    (reference,) = world.company.pending()
    key = world.company.books.intents[reference]["metadata"]["autopay_key"]
    world.company.fail_later(key)
    assert world.company.books.complete(reference)
    world.company.deliver(world.receive, doubled=True, shuffled=True)

    assert world.posted() == ["USD 310.00"]
    assert set(world.kinds()) == {"settled"}


def test_without_the_gateway_a_failed_try_is_for_the_next_sweep(
    world: World,
) -> None:
    world.pay(world.company.bank_account(), BANK)
    (reference,) = world.company.pending()
    intent = world.company.books.intents[reference]
    world.company.fail_later(intent["metadata"]["autopay_key"])
    event = parsed(world, world.company.books.events[-1])

    assert event.kind == "payment_intent.payment_failed"
    assert event.movements == ()
    assert "sweep" in event.why


def test_a_card_s_decline_is_no_movement(world: World) -> None:
    world.pay(world.company.card("insufficient_funds"))
    world.company.deliver(world.receive)

    assert world.received == []
    assert all(each.why for each in world.seen)


def test_a_refund_is_one_movement_by_its_own_id(world: World) -> None:
    paid = world.pay(world.company.card())
    reference = reference_of(paid)
    first = world.company.refund(reference, 10_000)
    second = world.company.refund(reference, 5_000)
    world.company.deliver(world.receive, doubled=True)

    assert world.posted() == ["USD -100.00", "USD -50.00", "USD 310.00"]
    refunds = {
        each.id
        for each in world.received
        if each.movement.kind is MovementKind.REFUNDED
    }
    assert refunds == {first, second}

    world.company.books.fail_refund(first)
    world.company.deliver(world.receive, doubled=True, shuffled=True)
    assert world.posted().count("USD 100.00") == 1


def test_a_dispute_that_is_won_gives_back_what_it_took(world: World) -> None:
    paid = world.pay(world.company.card())
    reference = reference_of(paid)
    dispute = world.company.dispute(reference)
    world.company.deliver(world.receive, doubled=True, shuffled=True)
    assert world.posted() == ["USD -310.00", "USD 310.00"]

    world.company.books.close_dispute(dispute, "won")
    world.company.deliver(world.receive, doubled=True, shuffled=True)
    assert world.posted() == ["USD -310.00", "USD 310.00", "USD 310.00"]


def test_a_dispute_that_is_lost_moves_nothing_more(world: World) -> None:
    paid = world.pay(world.company.card())
    reference = reference_of(paid)
    world.company.books.close_dispute(world.company.dispute(reference), "lost")
    world.company.deliver(world.receive)

    assert world.posted() == ["USD -310.00", "USD 310.00"]
    (closed,) = [
        each for each in world.seen if each.kind == "charge.dispute.closed"
    ]
    assert "lost" in closed.why


def test_an_inquiry_moves_nothing_and_holds_the_invoices(
    world: World,
) -> None:
    paid = world.pay(world.company.card())
    reference = reference_of(paid)
    inquiry = world.company.dispute(reference, inquiry=True)
    world.company.books.close_dispute(inquiry, "warning_closed")
    world.company.deliver(world.receive)

    assert world.posted() == ["USD 310.00"]
    assert world.kinds() == ["settled", "disputed"]


def test_a_returned_debit_is_a_return_with_the_network_s_code(
    world: World,
) -> None:
    world.pay(world.company.bank_account(), BANK)
    (reference,) = world.company.pending()
    world.company.books.settle(reference)
    world.company.dispute(reference, "debit_not_authorized", "R10")
    world.company.deliver(world.receive)

    assert world.posted() == ["USD -310.00", "USD 310.00"]
    last = world.received[-1].movement
    assert (last.kind, last.code) == (MovementKind.RETURNED, "R10")


def test_events_before_the_answer_and_in_any_order_come_to_the_same(
    world: World,
) -> None:
    world.company.on_event = world.receive
    paid = world.pay(world.company.card())

    assert paid.status is ap.RunStatus.PAID
    assert world.posted() == ["USD 310.00"]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)), st.booleans())
def test_the_order_of_the_webhooks_changes_no_sum(
    order: list[int], doubled: bool
) -> None:
    world = World()
    try:
        paid = world.pay(world.company.card())
        reference = reference_of(paid)
        world.company.books.fail_refund(world.company.refund(reference, 1_000))
        dispute = world.company.dispute(reference)
        world.company.books.close_dispute(dispute, "won")
        telling = [
            world.company.signed(each)
            for each in world.company.books.events
            if each["type"]
            in {
                "payment_intent.succeeded",
                "refund.failed",
                "charge.dispute.funds_withdrawn",
                "charge.dispute.funds_reinstated",
                "charge.dispute.closed",
            }
            or (
                each["type"] == "refund.created"
                and each["data"]["object"]["status"] == "succeeded"
            )
        ]
        assert len(telling) == 6
        for place in [*order, *(order if doubled else ())]:
            world.receive(*telling[place])
        world.clock.advance(days=1)
        days = ap.sweep(
            [world.autopay], as_of=date(2026, 2, 1), ports=world.ports
        )
        assert list(days) is not None
        net = ap.Money.total(
            (each.amount for each in ap.read_postings(ports=world.ports)),
            "USD",
        )
        assert net == ap.Money.of("310.00", "USD")
    finally:
        world.company.close()


def test_an_event_names_its_account_and_the_firm_s_date(world: World) -> None:
    world.pay(world.company.card())
    (told,) = [
        each
        for each in world.company.books.events
        if each["type"] == "payment_intent.succeeded"
    ]
    late = datetime(2026, 2, 1, 3, tzinfo=UTC)
    event = parsed(
        world,
        told | {"account": "acct_connected", "created": int(late.timestamp())},
        policy=Policy(zone="America/New_York"),
    )

    (movement,) = event.movements
    assert movement.account == "acct_connected"
    assert movement.on == date(2026, 1, 31)
    assert movement.reference == event.reference


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("payment_intent.succeeded", {"object": "payment_intent", "id": "x"}),
        (
            "payment_intent.payment_failed",
            {"object": "payment_intent", "id": "x", "metadata": None},
        ),
        ("refund.created", {"status": "succeeded", "created": 1}),
        ("refund.created", {"status": "requires_action"}),
        (
            "refund.created",
            {
                "id": "re_1",
                "status": "pending",
                "payment_intent": "pi_1",
                "amount": 5,
                "currency": "xxx",
                "created": 1,
            },
        ),
        ("charge.dispute.created", {"status": "needs_response"}),
        ("charge.dispute.closed", {"status": "won"}),
        ("charge.dispute.closed", {"status": "prevented"}),
        ("charge.dispute.closed", {}),
        ("charge.refunded", {}),
        ("customer.created", {}),
        ("", {}),
    ],
)
def test_what_moves_no_money_of_ours_says_why(
    world: World, kind: str, about: dict[str, Any]
) -> None:
    event = parsed(
        world,
        {
            "object": "event",
            "id": "evt_1",
            "type": kind,
            "created": 5,
            "data": {"object": about},
        },
    )

    assert event.movements == ()
    assert event.why


_FIELDS = [
    "id",
    "object",
    "status",
    "amount",
    "currency",
    "created",
    "payment_intent",
    "metadata",
    "reason",
    "balance_transactions",
    "last_payment_error",
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(
        [
            "payment_intent.succeeded",
            "payment_intent.payment_failed",
            "refund.failed",
            "refund.created",
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.closed",
        ]
    ),
    st.dictionaries(
        st.sampled_from(_FIELDS),
        _JSON,
    ),
)
def test_whatever_stands_in_a_signed_event_it_is_read_or_refused(
    kind: str, about: dict[str, Any]
) -> None:
    body = json.dumps(
        {
            "object": "event",
            "id": "evt_1",
            "type": kind,
            "created": 5,
            "data": {"object": about},
        }
    )
    sign: Any = stripe.WebhookSignature.generate_signature_header
    header = sign(body, "whsec_fake", int(NOW.timestamp()))
    try:
        event = parse_event(body.encode(), header, "whsec_fake", now=NOW)
    except InvalidValueError:
        return
    assert bool(event.movements) != bool(event.why)
