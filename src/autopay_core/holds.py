"""
Holds: what nothing new is taken for while it stands (H1 to H4).

Holds: `Hold` and `HoldLevel`; the dated tables of codes that make holds;
functions that tell what a hold keeps from being paid, make holds of answers
and events, lift them, and tell when the breaker trips. Imports: `_checks`,
`_hashes`, `_shown`, `charges`, `errors`, `invoices`, `money`, `policy`,
`references` and `retries`. Long for its tables, which are data.
"""

from __future__ import annotations

import unicodedata
from collections.abc import (
    Iterable,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from datetime import date, datetime
from typing import Final, final

import attrs

from autopay_core._checks import (
    Choice,
    Readable,
    a,
    a_text,
    an_id,
    an_instant,
    check_id,
    check_instant,
    check_text,
    check_type,
    optional,
)
from autopay_core._hashes import sha256
from autopay_core._shown import Shown
from autopay_core.charges import DeclineClass, Declined
from autopay_core.errors import InvalidValueError
from autopay_core.invoices import Invoice
from autopay_core.money import Money, a_positive
from autopay_core.policy import Breaker, Policy
from autopay_core.references import PaymentMethodRef
from autopay_core.retries import is_ach_code, network_limit

__all__ = [
    "ACCOUNT_CLOSED",
    "BREAKER",
    "DISPUTE",
    "HOLD_RULES",
    "NEVER_ANSWER",
    "REFUND",
    "UNAUTHORIZED",
    "Hold",
    "HoldLevel",
    "HoldRule",
    "barred_by",
    "blocks_run",
    "held_back",
    "hold_for_breaker",
    "hold_for_decline",
    "hold_for_return",
    "holds_for_dispute",
    "holds_for_refund",
    "is_tripped",
    "lift",
    "lift_all",
    "lift_caused",
    "lift_won",
    "not_yet_made",
    "trips_now",
]


class HoldLevel(Choice):
    """What a hold blocks (H1)."""

    STORE = "store"
    """Every run: the kill switch."""
    PAYER = "payer"
    """What a payer pays."""
    METHOD = "method"
    """What a payment method pays, by its fingerprint."""
    AUTOPAY = "autopay"
    """The runs of one auto-pay."""
    CLIENT = "client"
    """The invoices of a client."""
    MATTER = "matter"
    """The invoices of a matter."""
    INVOICE = "invoice"
    """One invoice."""

    @property
    def is_waiting(self) -> bool:
        """Whether the run waits for it; else lines say why (H1)."""
        return self in _WAITING


# In this order a run that several of them block says which.
_WAITING: Final = (
    HoldLevel.STORE,
    HoldLevel.PAYER,
    HoldLevel.METHOD,
    HoldLevel.AUTOPAY,
)
_BARRING: Final = (HoldLevel.CLIENT, HoldLevel.MATTER, HoldLevel.INVOICE)

NEVER_ANSWER: Final = "never_answer"
"""Rule: an answer that no later try can change holds the method (H2)."""

BREAKER: Final = "breaker"
"""Rule: so much goes wrong at a gateway that the store is held (H4)."""

UNAUTHORIZED: Final = "unauthorized_return"
"""Rule: a payer told the bank that the debit was not allowed (H2)."""

ACCOUNT_CLOSED: Final = "account_closed"
"""Rule: the account is closed, or there is none that can be debited (H2)."""

DISPUTE: Final = "dispute"
"""Rule: a chargeback holds the invoices of its charge (H2)."""

REFUND: Final = "refund"
"""Rule: a refund on purpose holds what it opens again (H2)."""

_BY_A_METHOD: Final = "another payment method, or a person"
_BY_A_WIN: Final = "the dispute being won, or a person"
_BY_A_PERSON: Final = "a person"


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class HoldRule(Readable):
    """
    Codes of one network that hold a payment method, as of a date (H2).

    Attributes:
        rule: What it is called on the holds that it makes.
        network: Lower case, as in `PaymentMethodRef.network`.
        since: First day on which it is known to hold.
        codes: The network's codes.
        source: Where they are published.

    """

    rule: str
    network: str
    since: date
    codes: frozenset[str]
    source: str


HOLD_RULES: Final[tuple[HoldRule, ...]] = (
    HoldRule(
        rule=UNAUTHORIZED,
        network="ach",
        since=date(2015, 9, 18),
        # R08, a payment stopped, may be presented again only if the payer
        # allows it anew.
        codes=frozenset({"R05", "R07", "R08", "R10", "R29", "R51"}),
        source="Nacha Operating Rules, unauthorized entry return rate",
    ),
    HoldRule(
        rule=UNAUTHORIZED,
        network="ach",
        since=date(2020, 4, 1),
        codes=frozenset({"R05", "R07", "R08", "R10", "R11", "R29", "R51"}),
        source="Nacha Operating Rules, differentiating unauthorized returns",
    ),
    HoldRule(
        rule=ACCOUNT_CLOSED,
        network="ach",
        since=date(2015, 9, 18),
        # Closed, none, wrong number, sold, wrong routing number, payee or
        # holder deceased, frozen, not one for payments, wrong check digit.
        codes=frozenset(
            {
                "R02",
                "R03",
                "R04",
                "R12",
                "R13",
                "R14",
                "R15",
                "R16",
                "R20",
                "R28",
            }
        ),
        source="Nacha Operating Rules, Appendix Four, return reason codes",
    ),
    HoldRule(
        rule=UNAUTHORIZED,
        network="sepa",
        since=date(2014, 2, 1),
        codes=frozenset({"MD01"}),
        source="EPC173-14, reason codes of SEPA direct debits",
    ),
    HoldRule(
        rule=ACCOUNT_CLOSED,
        network="sepa",
        since=date(2014, 2, 1),
        # Wrong number, closed, blocked, not one for debits, deceased.
        codes=frozenset({"AC01", "AC04", "AC06", "AC13", "AG01", "MD07"}),
        source="EPC173-14, reason codes of SEPA direct debits",
    ),
)
"""
The networks' codes (H2); of one rule and network the latest row counts.

Beside them an answer of `DeclineClass.NEVER`, and a code that
`retries.NETWORK_LIMITS` says is never tried again, hold the method.
"""


# -- Naming what is held -----------------------------------------------------


def _name_of(level: HoldLevel, subject: str, client: str) -> str:
    """
    Name what is held, each thing by another text.

    As `StopOrder` named auto-pays and methods. Only a matter has two parts,
    and its client cannot hold the bar between them.
    """
    if level is HoldLevel.MATTER:
        escaped = client.replace("%", "%25").replace("/", "%2F")
        return f"{level.value}:{escaped}/{subject}"
    return f"{level.value}:{subject}"


def _derived_id(*parts: str) -> str:
    """Derive a hold's id of what makes it one: two of one cause are one."""
    whole = "".join(f"{len(part)}:{part}," for part in parts)
    return f"h-{sha256(whole)[:32]}"


@final
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Hold(Shown):
    """
    A named block: nothing new is taken for what it holds while it stands.

    Made by a person, with `Hold.on_store`, `Hold.on_payer` …, or by a rule,
    with `hold_for_decline` …. Its id follows from what it holds and from who
    or what made it: a person has one hold on a thing, and a rule one for each
    cause, however often they are told.

    >>> hold = Hold.on_matter("C-1", "M-1", by="Ann", reason="in mediation")
    >>> hold.target
    'matter:C-1/M-1'

    Attributes:
        id: Derived; see there.
        level: What kind of thing is held.
        subject: Which one: the payer, the client's, matter's or invoice's
            number, the method's fingerprint, the auto-pay; empty for the
            store.
        client: The matter's client; empty for the other levels.
        reason: Why, for people; not empty.
        by: The person who made it; empty if a rule did.
        rule: The rule that made it, such as `NEVER_ANSWER`; empty if a person
            did.
        cause: What the rule made it for: an idempotency key, or an event's id.
        releases: What ends it, for people.
        amount: What is held back of the invoice; None for all of it.
        since: When it was made, by the store's clock, if known.
        lifted: It stands no longer.
        lifted_by: The person who lifted it; empty if its rule did.
        lifted_second: The second person, where one was needed (H3).
        lifted_reason: Why.

    Raises:
        InvalidValueError: A field that cannot be, or that its level does not
            have; neither or both of a person and a rule.

    """

    id: str = attrs.field(validator=an_id)
    level: HoldLevel = attrs.field(validator=a(HoldLevel))
    subject: str = attrs.field(validator=a(str))
    client: str = attrs.field(default="", validator=a(str))
    reason: str = attrs.field(validator=a_text(empty=False))
    by: str = attrs.field(default="", validator=a_text(most=128))
    rule: str = attrs.field(default="", validator=a_text(most=64))
    cause: str = attrs.field(default="", validator=a_text())
    releases: str = attrs.field(
        default=_BY_A_PERSON, validator=a_text(empty=False)
    )
    amount: Money | None = attrs.field(
        default=None,
        validator=optional(
            a_positive(
                "AmountNegative",
                "the amount that is held back must be above zero",
            )
        ),
    )
    since: datetime | None = attrs.field(
        default=None, validator=optional(an_instant)
    )
    lifted: bool = attrs.field(default=False, validator=a(bool))
    lifted_by: str = attrs.field(default="", validator=a_text(most=128))
    lifted_second: str = attrs.field(default="", validator=a_text(most=128))
    lifted_reason: str = attrs.field(default="", validator=a_text())

    def __attrs_post_init__(self) -> None:
        """Refuse fields that do not go together."""
        if self.level is not HoldLevel.STORE:
            check_id(self.subject, "subject")
        elif self.subject:
            raise _of_another_level("subject", self.subject)
        if self.level is HoldLevel.MATTER:
            check_id(self.client, "client")
        elif self.client:
            raise _of_another_level("client", self.client)
        if self.amount is not None and self.level is not HoldLevel.INVOICE:
            raise _of_another_level("amount", str(self.amount))
        if bool(self.by.strip()) == bool(self.rule):
            raise InvalidValueError(
                "a hold is made by a person, who has a name, or by a rule",
                code="HoldMaker",
                path="by",
                value=self.by,
            )
        if self.lifted != bool(self.lifted_reason.strip()):
            raise InvalidValueError(
                "a hold that was lifted says why, and no other does",
                code="HoldLift",
                path="lifted_reason",
                value=self.lifted_reason,
            )

    def __str__(self) -> str:
        """Return it in a line, for people."""
        what = "" if self.amount is None else f"{self.amount} of "
        if self.lifted:
            by = self.lifted_by or self.rule
            return f"{what}{self.target}: lifted by {by}: {self.lifted_reason}"
        since = "" if self.since is None else f" since {self.since.date()}"
        by = self.by or self.rule
        return f"{what}{self.target}: on hold{since} by {by}: {self.reason}"

    @property
    def target(self) -> str:
        """What is held, as one text: ``"autopay:ap-1"``, ``"store:"``."""
        return _name_of(self.level, self.subject, self.client)

    @staticmethod
    def target_of(level: HoldLevel, subject: str = "", /) -> str:
        """Name what a hold of a level would name; not of a matter."""
        return _name_of(level, subject, "")

    @property
    def is_in_force(self) -> bool:
        """Whether it blocks anything."""
        return not self.lifted

    @classmethod
    def on_store(
        cls, *, by: str, reason: str, since: datetime | None = None
    ) -> Hold:
        """Hold every run of the store: the kill switch."""
        return _by_person(HoldLevel.STORE, "", "", by, reason, since)

    @classmethod
    def on_payer(
        cls,
        payer: str,
        /,
        *,
        by: str,
        reason: str,
        since: datetime | None = None,
    ) -> Hold:
        """Hold whatever a payer pays."""
        return _by_person(HoldLevel.PAYER, payer, "", by, reason, since)

    @classmethod
    def on_method(
        cls,
        fingerprint: str,
        /,
        *,
        by: str,
        reason: str,
        since: datetime | None = None,
    ) -> Hold:
        """Hold a payment method, by `PaymentMethodRef.fingerprint`."""
        return _by_person(HoldLevel.METHOD, fingerprint, "", by, reason, since)

    @classmethod
    def on_autopay(
        cls,
        autopay: str,
        /,
        *,
        by: str,
        reason: str,
        since: datetime | None = None,
    ) -> Hold:
        """Hold one auto-pay, by its id."""
        return _by_person(HoldLevel.AUTOPAY, autopay, "", by, reason, since)

    @classmethod
    def on_client(
        cls,
        client: str,
        /,
        *,
        by: str,
        reason: str,
        since: datetime | None = None,
    ) -> Hold:
        """Hold the invoices of a client, by its number."""
        return _by_person(HoldLevel.CLIENT, client, "", by, reason, since)

    @classmethod
    def on_matter(
        cls,
        client: str,
        matter: str,
        /,
        *,
        by: str,
        reason: str,
        since: datetime | None = None,
    ) -> Hold:
        """Hold the invoices of a matter, by its client's number and its."""
        return _by_person(HoldLevel.MATTER, matter, client, by, reason, since)

    @classmethod
    def on_invoice(
        cls,
        invoice: str,
        /,
        *,
        by: str,
        reason: str,
        since: datetime | None = None,
    ) -> Hold:
        """Hold one invoice, by its number."""
        return _by_person(HoldLevel.INVOICE, invoice, "", by, reason, since)


def _of_another_level(path: str, value: str) -> InvalidValueError:
    return InvalidValueError(
        "a hold of this level has none",
        code="HoldLevel",
        path=path,
        value=value,
    )


def _by_person(
    level: HoldLevel,
    subject: str,
    client: str,
    by: str,
    reason: str,
    since: datetime | None,
) -> Hold:
    # Checked before it is hashed, so that the error names the field.
    check_type(by, str, "by")
    if level is not HoldLevel.STORE:
        check_id(subject, "subject")
    if level is HoldLevel.MATTER:
        check_id(client, "client")
    return Hold(
        id=_derived_id("person", _name_of(level, subject, client), by),
        level=level,
        subject=subject,
        client=client,
        reason=reason,
        by=by,
        since=since,
    )


def _by_rule(
    rule: str,
    level: HoldLevel,
    subject: str,
    cause: str,
    *,
    reason: str,
    releases: str,
    since: datetime | None,
    amount: Money | None = None,
) -> Hold:
    if level is not HoldLevel.STORE:
        check_id(subject, "subject")
    check_id(cause, "cause")
    return Hold(
        id=_derived_id("rule", rule, _name_of(level, subject, ""), cause),
        level=level,
        subject=subject,
        reason=reason,
        rule=rule,
        cause=cause,
        releases=releases,
        amount=amount,
        since=since,
    )


# -- What is held (H1) -------------------------------------------------------


def blocks_run(
    holds: Iterable[Hold], /, *, autopay: str, payer: str, method: str
) -> Hold | None:
    """
    Return the hold that makes a run wait, or None (H1, R10).

    Of several, that on the store, else on the payer, the method, the
    auto-pay; of two on one thing the one with the smaller id.

    Args:
        holds: Any; those that are lifted, or on something else, block nothing.
        autopay: The auto-pay's id.
        payer: Its payer.
        method: The fingerprint of the method that it would charge now.

    """
    subjects = {
        HoldLevel.STORE: "",
        HoldLevel.PAYER: payer,
        HoldLevel.METHOD: method,
        HoldLevel.AUTOPAY: autopay,
    }
    return min(
        (
            each
            for each in holds
            if not each.lifted and subjects.get(each.level) == each.subject
        ),
        key=lambda each: (_WAITING.index(each.level), each.id),
        default=None,
    )


def _holding(holds: Iterable[Hold], invoice: Invoice) -> list[Hold]:
    """Return what holds *invoice*, the widest first."""
    names = {
        (HoldLevel.CLIENT, invoice.client, ""),
        (HoldLevel.INVOICE, invoice.number, ""),
        # One held matter holds the whole bill: its balance is not told apart.
        *(
            (HoldLevel.MATTER, each, invoice.client)
            for each in invoice.every_matter
        ),
    }
    return sorted(
        (
            each
            for each in holds
            if not each.lifted
            and (each.level, each.subject, each.client) in names
        ),
        key=lambda each: (_BARRING.index(each.level), each.id),
    )


def barred_by(holds: Iterable[Hold], invoice: Invoice, /) -> Hold | None:
    """
    Return the hold because of which an invoice gets nothing, or None (H1).

    Holds on its client, its matter or itself. Those that keep back an amount
    bar it when together they keep back all that is owed; below that they
    lower what may be paid: `held_back`.
    """
    found = _holding(holds, invoice)
    for each in found:
        if each.amount is None:
            return each
    if found and held_back(found, invoice) >= invoice.balance:
        return found[0]
    return None


def held_back(holds: Iterable[Hold], invoice: Invoice, /) -> Money:
    """
    Return what is held back of an invoice's balance, in its currency (H2).

    It lowers what is payable as an open amount does. An amount in another
    currency holds back the whole balance: it cannot be compared.
    """
    balance = invoice.balance
    total = Money.zero(balance.currency)
    for each in _holding(holds, invoice):
        if each.amount is None or each.amount.currency != balance.currency:
            return max(balance, Money.zero(balance.currency))
        total += each.amount
    return total


# -- Made by rules (H2) ------------------------------------------------------


def _rule_for(network: str, code: str, on: date) -> HoldRule | None:
    """Return the row of the tables that a code falls under, if any."""
    if is_ach_code(code):
        network = "ach"
    latest: dict[str, HoldRule] = {}
    for each in HOLD_RULES:
        known = latest.get(each.rule)
        if (
            each.network == network
            and each.since <= on
            and (known is None or known.since < each.since)
        ):
            latest[each.rule] = each
    return next((each for each in latest.values() if code in each.codes), None)


_WHY: Final[Mapping[str, str]] = {
    UNAUTHORIZED: "the payer's bank says that the debit was not allowed",
    ACCOUNT_CLOSED: "the account is closed or cannot be debited",
}


def hold_for_decline(
    declined: Declined,
    method: PaymentMethodRef,
    /,
    *,
    on: date,
    since: datetime | None = None,
) -> Hold | None:
    """
    Return the hold on the method that a decline makes, or None (H2).

    For an answer of class `DeclineClass.NEVER`, for a code that the method's
    network never lets be tried again, and for a bank's code that says closed
    or not authorised, whatever class the adapter gave it.

    Args:
        declined: The gateway's answer; its key is the cause.
        method: What was charged.
        on: The date of the answer; the tables of that day count.
        since: The store's time, if known.

    """
    fingerprint, code = method.fingerprint, declined.code
    row = _rule_for(method.network, code, on)
    limit = network_limit(method, on)
    is_never = declined.decline_class is DeclineClass.NEVER or (
        limit is not None and code in limit.never_codes
    )
    if row is not None:
        rule, why = row.rule, _WHY[row.rule]
    elif is_never:
        rule, why = NEVER_ANSWER, "no later try can succeed"
    else:
        return None
    return _by_rule(
        rule,
        HoldLevel.METHOD,
        fingerprint,
        declined.key,
        reason=f"declined with {_shown(code)}: {why}",
        releases=_BY_A_METHOD,
        since=since,
    )


def hold_for_return(
    code: str,
    /,
    *,
    network: str,
    method: str,
    event: str,
    on: date,
    since: datetime | None = None,
) -> Hold | None:
    """
    Return the hold on the method that a bank's return makes, or None (H2).

    >>> hold = hold_for_return(
    ...     "R10", network="", method="f1", event="e-1", on=date(2026, 2, 4)
    ... )
    >>> hold.rule, hold.releases
    ('unauthorized_return', 'another payment method, or a person')

    Args:
        code: The bank's; an R-code is the ACH's whatever *network* says.
        network: The method's, as in `PaymentMethodRef.network`.
        method: The fingerprint of what was debited.
        event: The gateway's id of the return; the cause.
        on: The date of the return; the tables of that day count.
        since: The store's time, if known.

    """
    row = _rule_for(network, code, on)
    if row is None:
        return None
    return _by_rule(
        row.rule,
        HoldLevel.METHOD,
        method,
        event,
        reason=f"returned with {_shown(code)}: {_WHY[row.rule]}",
        releases=_BY_A_METHOD,
        since=since,
    )


def _shown(code: str) -> str:
    return code or "no code"


def holds_for_dispute(
    invoices: Iterable[str],
    /,
    *,
    dispute: str,
    since: datetime | None = None,
) -> tuple[Hold, ...]:
    """
    Return the holds that a chargeback puts on its charge's invoices (H2).

    Args:
        invoices: Numbers of the invoices that the charge paid.
        dispute: The gateway's id of the dispute; `lift_won` goes by it.
        since: The store's time, if known.

    """
    return tuple(
        _by_rule(
            DISPUTE,
            HoldLevel.INVOICE,
            each,
            dispute,
            reason="the payer disputes a charge that paid it",
            releases=_BY_A_WIN,
            since=since,
        )
        for each in sorted(set(invoices))
    )


def holds_for_refund(
    shares: Mapping[str, Money],
    /,
    *,
    event: str,
    since: datetime | None = None,
) -> tuple[Hold, ...]:
    """
    Return the holds that a refund on purpose makes (H2).

    The firm gave money back; that opens invoices again, and what was given
    back is not to be collected a second time.

    Args:
        shares: What was refunded of each invoice, above zero.
        event: The gateway's id of the refund; the cause.
        since: The store's time, if known.

    """
    return tuple(
        _by_rule(
            REFUND,
            HoldLevel.INVOICE,
            number,
            event,
            reason=f"{shares[number]} was refunded on purpose",
            releases=_BY_A_PERSON,
            since=since,
            amount=shares[number],
        )
        for number in sorted(shares)
    )


def not_yet_made(
    made: Iterable[Hold], known: Iterable[Hold], /
) -> tuple[Hold, ...]:
    """
    Keep the holds of rules that are not on record, lifted or not (H2, H3).

    So a hold that a person lifted does not come back for the cause that made
    it, however often that is told.
    """
    ids = {each.id for each in known}
    kept: list[Hold] = []
    for each in made:
        if each.id not in ids:
            ids.add(each.id)
            kept.append(each)
    return tuple(kept)


# -- Lifting them (H2, H3) ---------------------------------------------------


def lift(
    hold: Hold,
    /,
    *,
    by: str,
    reason: str,
    second: str = "",
    amount: Money | None = None,
    policy: Policy | None = None,
) -> Hold:
    """
    Return *hold*, lifted by a person; one that is lifted stays as it is (H3).

    >>> hold = Hold.on_payer("p-1", by="Ann", reason="bankrupt")
    >>> lift(hold, by="Bob", reason="it was another one").lifted_by
    'Bob'

    Args:
        hold: What no longer stands.
        by: Who says so.
        reason: Why; not empty.
        second: Another person, where `Policy.second_name_above` asks for one.
        amount: What it keeps back in all, if known; its own amount if it has
            one and this is None.
        policy: The host's; None asks for no second name.

    Raises:
        InvalidValueError: No name or no reason (``FieldMissing``), or no
            second name that differs where one is needed (``SecondName``).

    """
    check_type(hold, Hold, "hold")
    _check_word(by, reason)
    if hold.lifted:
        return hold
    held = hold.amount if amount is None else amount
    if policy is not None and policy.needs_second_name(held):
        _check_second(by, second)
    return attrs.evolve(
        hold,
        lifted=True,
        lifted_by=by,
        lifted_second=second,
        lifted_reason=reason,
    )


def lift_all(
    holds: Iterable[Hold],
    /,
    *,
    rule: str,
    since: datetime,
    by: str,
    reason: str,
    second: str = "",
    policy: Policy | None = None,
) -> tuple[Hold, ...]:
    """
    Return all that a rule made since a time, lifted (H3).

    Those that do not change are left out: lifted before, made by another rule
    or a person, earlier, or at a time that is not known.

    Args:
        holds: Any.
        rule: Such as `NEVER_ANSWER`.
        since: From then on, that instant included.
        by: Who says so.
        reason: Why; not empty.
        second: Another person, where the policy asks for one. It does
            whenever it has an amount: what many holds keep back together is
            not known.
        policy: The host's; None asks for no second name.

    Raises:
        InvalidValueError: As `lift`, and if *since* has no zone.

    """
    check_id(rule, "rule")
    check_instant(since, "since")
    _check_word(by, reason)
    if policy is not None and policy.needs_second_name(None):
        _check_second(by, second)
    return tuple(
        lift(each, by=by, reason=reason, second=second)
        for each in holds
        if not each.lifted
        and each.rule == rule
        and each.since is not None
        and each.since >= since
    )


def lift_won(holds: Iterable[Hold], dispute: str, /) -> tuple[Hold, ...]:
    """
    Return the holds of a dispute, lifted because the firm won it (H2).

    Those that a person lifted before are left out.
    """
    return tuple(
        attrs.evolve(each, lifted=True, lifted_reason="the dispute was won")
        for each in holds
        if not each.lifted and each.rule == DISPUTE and each.cause == dispute
    )


def _check_word(by: str, reason: str) -> None:
    check_text(by, "by", most=128, empty=False)
    check_text(reason, "reason", empty=False)


def _check_second(by: str, second: str) -> None:
    """Refuse one person under two spellings (H3)."""
    check_text(second, "second", most=128)
    name = _folded(second)
    if not name or name == _folded(by):
        raise InvalidValueError(
            "so much takes a second person, who is not the first",
            code="SecondName",
            path="second",
            value=second,
        )


def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(folded.split())


# -- The breaker (H4) --------------------------------------------------------


def is_tripped(breaker: Breaker | None, answers: Sequence[bool], /) -> bool:
    """
    Tell whether so many answers are bad that the store is to be held (H4).

    >>> is_tripped(Breaker(), [True] * 9), is_tripped(Breaker(), [True] * 10)
    (False, True)

    Args:
        breaker: The host's; None never trips.
        answers: Of the sendings to one gateway account within
            `Breaker.within`, oldest first, whoever sent them: whether each
            was bad, that is an answer of `DeclineClass.NEVER` or an unexpected
            error. Outages are left out, and a decline that another day may
            change is good: it came from a gateway that works.

    """
    if breaker is None:
        return False
    row = answers[-breaker.in_a_row :]
    if len(row) == breaker.in_a_row and all(row):
        return True
    return sum(answers[-breaker.of_last :]) > breaker.more_than


def trips_now(breaker: Breaker | None, answers: Sequence[bool], /) -> bool:
    """
    Tell whether the last of some answers trips the breaker (H4).

    What tripped it before is used up: after a person lifted that hold, it
    takes as many bad answers again.

    >>> trips_now(Breaker(), [True] * 10), trips_now(Breaker(), [True] * 11)
    (True, False)

    Args:
        breaker: As for `is_tripped`.
        answers: As for `is_tripped`.

    """
    counted: list[bool] = []
    tripped = False
    for answer in answers:
        counted.append(answer)
        tripped = answer and is_tripped(breaker, counted)
        if tripped:
            counted.clear()
    return tripped


def hold_for_breaker(
    account: str, /, *, cause: str, since: datetime | None = None
) -> Hold:
    """
    Return the hold on the store that a tripped breaker makes (H4).

    Args:
        account: The gateway's account that answers so; empty if unknown.
        cause: The key whose answer tripped it.
        since: The store's time, if known.

    """
    where = f"account {_shown(account)}" if account else "the gateway"
    return _by_rule(
        BREAKER,
        HoldLevel.STORE,
        "",
        cause,
        reason=f"too many bad answers of {where}; nothing more is sent",
        releases=_BY_A_PERSON,
        since=since,
    )


def lift_caused(
    holds: Iterable[Hold], causes: AbstractSet[str], /
) -> tuple[Hold, ...]:
    """
    Return holds on methods that some keys' answers made, lifted (H4).

    The answers of a gateway that is out of order say nothing about a method.
    """
    return tuple(
        attrs.evolve(each, lifted=True, lifted_reason="the breaker tripped")
        for each in holds
        if not each.lifted
        and each.level is HoldLevel.METHOD
        and each.rule
        and each.cause in causes
    )
