"""
Stripe as a gateway of two steps (TS-1 to TS-16).

Holds: `StripeGateway`. Imports: `answers`, `asking`, `currencies`, `charges`,
`errors`, `ports`. A payment intent is created and written down, and then
confirmed off session; Stripe lets an intent succeed at most once, for ever,
and that is what the promise rests on. Idempotency keys are a second lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final, final

from typing_extensions import override

from autopay_core.adapters.stripe.answers import (
    KEY,
    Intent,
    asked_of_payer,
    confirm_params,
    create_params,
    declined_as,
    hosted_link,
    is_declined_but_open,
    is_made_for,
    is_token,
    is_unsent,
    key_of,
    needs_payer,
    outcome_of,
    own_key,
)
from autopay_core.adapters.stripe.asking import (
    REFUSALS,
    Asking,
    Failure,
)
from autopay_core.adapters.stripe.currencies import (
    MAXIMUM_UNITS,
    MINIMUMS,
    TAKEN,
    to_units,
)
from autopay_core.charges import (
    Cancelled,
    CancelOutcome,
    Captured,
    ChargeOutcome,
    ChargeRequest,
    DeclineClass,
    Declined,
    GatewayCapabilities,
    Indeterminate,
    LookupOutcome,
    NeedsPayer,
    NotFound,
    Pending,
)
from autopay_core.errors import (
    InvalidValueError,
    PortError,
    PortUnavailableError,
)
from autopay_core.ports import TwoStepGateway

if TYPE_CHECKING:
    from stripe.params import PaymentIntentCreateParams

__all__ = ["StripeGateway"]

_KEY_DAY: Final = 24 * 3600
_SEARCH_SECONDS: Final = 3600
_PAYER_LASTS: Final = timedelta(days=7)


def _no_link(_: str) -> str:
    return ""


_TURNS: Final = 3
"""How often a 500 that Stripe only repeats is gone around."""

_MOVED: Final = (Captured, Pending, NeedsPayer)


@final
class StripeGateway(TwoStepGateway):
    """
    Cards and US bank accounts at one account of Stripe's.

    Args:
        api_key: A secret key, or a restricted one that may write payment
            intents; test mode or live by its own prefix.
        account: The id of the account that is asked, for the record
            (``acct_…``); empty if the host does not say (R12).
        stripe_account: A Connect account in whose name everything is asked;
            it is the account then.
        deposits: Which connected account gets the money of which deposit
            account, by `DepositAccount.id`; an empty text for the account
            itself. Money for an account that is not here goes nowhere.
        payer_link: Makes the address of the host's own page on which the
            payer authenticates the card for an intent, by its id. Without
            it such a charge is declined. A bank account whose
            micro-deposits are to be told has a page of Stripe's.
        payer_lasts: How long the payer may take.
        search_seconds: After how long search shows what was done; Stripe says
            a minute, and up to an hour in an outage.
        api_base: Where the API is; empty for Stripe's own.
        timeout_seconds: How long an answer is waited for.

    Raises:
        InvalidValueError: It is no secret key (``StripeKey``).

    """

    def __init__(  # noqa: PLR0913 - what an account is asked with
        self,
        api_key: str,
        *,
        account: str = "",
        stripe_account: str = "",
        deposits: Mapping[str, str],
        payer_link: Callable[[str], str] = _no_link,
        payer_lasts: timedelta = _PAYER_LASTS,
        search_seconds: int = _SEARCH_SECONDS,
        api_base: str = "",
        timeout_seconds: float = 60.0,
    ) -> None:
        self._ask = Asking(
            api_key,
            stripe_account=stripe_account,
            api_base=api_base,
            timeout_seconds=timeout_seconds,
        )
        self._account = stripe_account or account
        self._deposits = dict(deposits)
        self._link = payer_link
        self._payer_lasts = payer_lasts
        self._capabilities = GatewayCapabilities(
            two_step=True,
            key_retention_seconds=_KEY_DAY,
            lookup_settle_seconds=search_seconds,
            currencies=TAKEN,
            minimums=MINIMUMS,
            maximum_minor=MAXIMUM_UNITS,
            account=self._account,
            cancels=True,
            finds_references=True,
        )

    @property
    @override
    def capabilities(self) -> GatewayCapabilities:
        """What Stripe promises, as far as its documentation does."""
        return self._capabilities

    @override
    def prepare(self, request: ChargeRequest, /) -> str | Declined:
        """
        Create a payment intent; nobody is charged (TS-1, TS-8, TS-9).

        Raises:
            PortUnavailableError: No intent was made, or one that is not on
                record and moves nothing.
            PortError: Another request stands under the key (``KeyReuse``),
                the deposit account is not known (``DepositUnknown``), or
                the set-up is at fault (``PaymentRefused``).

        """
        destination = self._deposits.get(request.deposit_account.id)
        if destination is None:
            raise PortError(
                "no account is set for this deposit account",
                code="DepositUnknown",
            )
        units = to_units(request.amount)
        if units is None:
            return self._refused(request, "amount_not_taken")
        if not is_token(request.method.token):
            return self._refused(request, "payment_method_not_saved_here")
        made = self._made(request, create_params(request, units, destination))
        if isinstance(made, Failure):
            return self._not_made(request, made)
        reference = made.get("id")
        if type(reference) is not str or not reference:
            raise PortError("an intent without an id", code="PortBroken")
        return reference

    @override
    def confirm(
        self, reference: str, request: ChargeRequest, /
    ) -> ChargeOutcome:
        """
        Confirm an intent off session: this takes the money (TS-2, TS-3).

        Raises:
            PortUnavailableError: This call did nothing.
            PortError: The intent is another request's (``KeyReuse``), or
                there is none (``NoReference``).

        """
        known = self._ask.retrieve(reference)
        if isinstance(known, Failure):
            if known.is_missing:
                raise PortError("no such reference", code="NoReference")
            return _doubt_of(known)
        if not is_made_for(known, request):
            raise PortError("another request", code="KeyReuse")
        if not is_unsent(known):
            return self._confirmed(known)
        return self._sent(reference, request)

    @override
    def lookup(self, key: str, /) -> LookupOutcome:
        """
        Tell what search shows of a key, read again one by one (TS-5).

        Search is a hint: it lags, by an hour at worst. What is on record has
        a reference, and `lookup_reference` does not lag.

        Raises:
            PortUnavailableError: Stripe cannot be asked now.

        """
        found = [each for each in self._found(key) if each != NotFound()]
        moved = [each for each in found if isinstance(each, _MOVED)]
        doubts = [each for each in found if isinstance(each, Indeterminate)]
        if len(moved) > 1:
            return Indeterminate(detail="two payments stand under the key")
        if moved and not doubts:
            return moved[0]
        return next(iter(doubts or found[-1:]), NotFound())

    def lookup_reference(self, reference: str, key: str, /) -> LookupOutcome:
        """
        Tell what an intent is now, by its id; this does not lag (TS-5).

        An intent that was declined is cancelled before it is told, so that
        nobody can pay it after all (TS-10).

        Raises:
            PortUnavailableError: Stripe cannot be asked now.

        """
        known = self._ask.retrieve(reference)
        if isinstance(known, Failure):
            if known.is_missing:
                return NotFound()
            raise _unavailable(known)
        if key_of(known) != key:
            # Another's: it is told as it is, and not closed.
            return outcome_of(known, self._account)
        return self._outcome(known)

    def cancel(self, key: str, reference: str | None, /) -> CancelOutcome:
        """
        See to it that nothing under a key takes money any more (TS-11).

        With the reference on record that is certain. Without one, what search
        shows is cancelled, and a search that shows nothing proves nothing.

        Raises:
            PortUnavailableError: Stripe cannot be asked now.

        """
        if reference is not None:
            return self._called_off(key, reference)
        ids = self._ids(key)
        if not ids:
            return Indeterminate(detail="search shows nothing under the key")
        answers = [self._called_off(key, each) for each in ids]
        return next(
            (each for each in answers if not isinstance(each, Cancelled)),
            Cancelled(key=key),
        )

    def __repr__(self) -> str:
        """Show the account, and no key."""
        return f"StripeGateway(account={self._account!r})"

    # -- Behind them ----------------------------------------------------------

    def _made(
        self, request: ChargeRequest, params: PaymentIntentCreateParams
    ) -> Intent | Failure:
        made: Intent | Failure = Failure(status=0)
        for turn in range(_TURNS):
            made = self._ask.create(params, own_key(request, "create", turn))
            # An intent that a 500 left behind moves nothing: make another.
            if not (isinstance(made, Failure) and made.is_repeated_500):
                break
        return made

    def _not_made(self, request: ChargeRequest, why: Failure) -> Declined:
        """Return the decline that a failure to make an intent is (TS-9)."""
        if why.is_other_request:
            raise PortError("another request", code="KeyReuse")
        if why.is_of_the_payer:
            return self._refused(request, why.code)
        if why.is_refusal or why.is_missing:
            raise PortError(
                f"Stripe refuses to make the payment: {why}",
                code="PaymentRefused",
            )
        raise _unavailable(why)

    def _refused(self, request: ChargeRequest, code: str) -> Declined:
        return Declined(
            key=request.key,
            code=code,
            decline_class=REFUSALS.get(code, DeclineClass.UNKNOWN),
            account=self._account,
        )

    def _outcome(self, intent: Intent) -> LookupOutcome:
        """Return what an intent is, closed if it was declined (TS-10)."""
        if needs_payer(intent):
            link = hosted_link(intent) or self._link(str(intent.get("id")))
            return self._asked(intent, link) if link else self._closed(intent)
        if is_declined_but_open(intent):
            return self._closed(intent)
        return outcome_of(intent, self._account)

    def _asked(self, intent: Intent, link: str) -> LookupOutcome:
        """Return what the payer is asked; a doubt if that cannot be said."""
        try:
            asked = asked_of_payer(
                intent, self._account, link, self._payer_lasts
            )
        except InvalidValueError as error:
            return Indeterminate(detail=error.code, unexpected=True)
        return asked or outcome_of(intent, self._account)

    def _confirmed(self, intent: Intent) -> ChargeOutcome:
        """Return what became of an intent that was to be confirmed."""
        outcome = self._outcome(intent)
        if isinstance(outcome, NotFound):
            # Called off before anything was tried; nothing will be.
            raise PortUnavailableError(
                "the payment was cancelled", code="KeyCancelled"
            )
        return outcome

    def _sent(self, reference: str, request: ChargeRequest) -> ChargeOutcome:
        """Confirm what was not tried yet, and return what became of it."""
        for turn in range(_TURNS):
            answer = self._ask.confirm(
                reference,
                confirm_params(request),
                own_key(request, f"confirm {reference}", turn),
            )
            if not isinstance(answer, Failure):
                return self._confirmed(answer)
            if not answer.is_repeated_500:
                return self._after(reference, answer)
            # Its execution is over: what the intent is now says what it did.
            known = self._ask.retrieve(reference)
            if isinstance(known, Failure):
                return Indeterminate(detail=str(known))
            if not is_unsent(known):
                return self._confirmed(known)
        return Indeterminate(detail="only repeated answers of 500")

    def _closed(
        self, intent: Intent, code: str = "", message: str = ""
    ) -> ChargeOutcome:
        """Cancel what was declined, and tell it only then (TS-10)."""
        if needs_payer(intent):
            code = "authentication_required"
            message = "The payer has to confirm this payment."
        reference = str(intent.get("id"))
        after = self._ask.cancel(reference)
        if isinstance(after, Failure):
            after = self._ask.retrieve(reference)
        if isinstance(after, Failure):
            return Indeterminate(
                detail=f"declined, and not known to be cancelled: {after}"
            )
        if after.get("status") == "canceled":
            return declined_as(
                after, self._account, code=code, message=message
            )
        outcome = outcome_of(after, self._account)
        if isinstance(outcome, _MOVED):
            return outcome
        return Indeterminate(detail="declined, and not cancelled yet")

    def _after(self, reference: str, failure: Failure) -> ChargeOutcome:
        """Return the outcome of a confirmation that got no object."""
        if not failure.is_refusal:
            return _doubt_of(failure)
        known = self._ask.retrieve(reference)
        if isinstance(known, Failure):
            return Indeterminate(detail=f"{failure}, then {known}")
        if is_unsent(known) and not failure.is_of_the_payer:
            return Indeterminate(detail=f"refused: {failure}", unexpected=True)
        if is_unsent(known):
            # Not valid, so nothing was tried; nothing will be.
            return self._closed(known, failure.code)
        return self._confirmed(known)

    def _called_off(self, key: str, reference: str) -> CancelOutcome:
        after = self._ask.cancel(reference)
        if isinstance(after, Failure):
            if after.did_nothing:
                raise _unavailable(after)
            after = self._ask.retrieve(reference)
        if isinstance(after, Failure):
            if after.is_missing:
                return Indeterminate(detail="no such reference")
            return Indeterminate(detail=f"not known to be cancelled: {after}")
        if key_of(after) != key:
            return Indeterminate(
                detail="the reference is another key's", unexpected=True
            )
        if after.get("status") == "canceled":
            return Cancelled(key=key)
        outcome = outcome_of(after, self._account)
        if isinstance(outcome, NotFound):
            return Indeterminate(detail="not cancelled yet")
        return outcome

    def _ids(self, key: str) -> list[str]:
        ids = self._ask.search(KEY, key)
        if isinstance(ids, Failure):
            raise _unavailable(ids)
        return ids

    def _found(self, key: str) -> list[LookupOutcome]:
        return [self.lookup_reference(each, key) for each in self._ids(key)]


def _unavailable(failure: Failure) -> PortUnavailableError:
    return PortUnavailableError(
        f"Stripe did not do it: {failure}", retry_after=failure.retry_after
    )


def _doubt_of(failure: Failure) -> Indeterminate:
    """
    Return the doubt that a failure leaves (R4).

    Raises:
        PortUnavailableError: It leaves none: nothing was executed.

    """
    if failure.did_nothing:
        raise _unavailable(failure)
    return Indeterminate(detail=f"Stripe said {failure}")
