"""
From what people type to values, and back to the field that is wrong.

Every check is the library's: a form that passes means what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import autopay_core as ap
from autopay_core.book import (
    ChangeLimit,
    ChangeMethod,
    Command,
    MoveDate,
    PauseDates,
    Payer,
    Renew,
    Resume,
    Skip,
    TurnOff,
    TurnOn,
)

FREQUENCIES = {
    "Once": ap.Schedule.once,
    "Weekly": ap.Schedule.weekly,
    "Twice a month": ap.Schedule.twice_monthly,
    "Monthly": ap.Schedule.monthly,
    "Last day of the month": ap.Schedule.last_day,
    "Quarterly": ap.Schedule.quarterly,
    "Twice a year": ap.Schedule.semiannual,
    "Yearly": ap.Schedule.yearly,
}
COMMANDS = {
    "skip": "Skip a date",
    "move": "Move a date",
    "pause": "Pause",
    "resume": "Resume",
    "limit": "Change the amount",
    "method": "Change the payment method",
    "off": "Turn off",
    "on": "Turn on",
    "renew": "Renew for a year",
}
LABELS = {
    "method": "Payment method",
    "name": "Name",
    "deposit_account": "Account of the firm",
    "ar_message": "Message for the ledger",
    "schedule": "How often",
    "first_on": "First date",
    "amount": "Up to",
    "limit": "Up to",
    "enrollments": "What is paid",
    "on": "Date",
    "from_on": "From",
    "to_on": "Until",
    "to": "Until",
}


def explained(error: ap.AutopayError) -> str:
    """Say which field of a form is wrong, by the name that it has there."""
    path = getattr(error, "path", "") or ""
    name = LABELS.get(path.rpartition(".")[2].partition("[")[0], path)
    return f"{name}: {error.message}" if name else error.message


def day_of(text: str, path: str) -> date:
    """Read a date of a form."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ap.InvalidValueError(
            "expected a date", code="DateFormat", path=path, value=text
        ) from None


def limit_of(text: str) -> ap.Limit:
    """Read the amount; nothing means all that is outstanding."""
    if not text.strip():
        return ap.Limit.all("USD")
    return ap.Limit.up_to(ap.Money.of(text.strip(), "USD"))


def method_of(token: str, payer: Payer) -> ap.PaymentMethodRef:
    """Return one of the payer's saved methods."""
    for each in payer.methods:
        if each.method.token == token and each.removed_on is None:
            return each.method
    raise ap.InvalidValueError(
        "choose a saved payment method", code="FieldMissing", path="method"
    )


def autopay_of(
    form: Mapping[str, str], ticked: list[str], payer: Payer, id_: str
) -> ap.AutoPay:
    """Make a standing order of the set-up form."""
    frequency = FREQUENCIES.get(form.get("frequency", ""))
    if frequency is None:
        raise ap.InvalidValueError(
            "choose how often", code="FieldMissing", path="schedule"
        )
    kept = [each.association for each in payer.associations]
    chosen = tuple(kept[int(each)] for each in ticked if each.isdecimal())
    if not chosen:
        raise ap.InvalidValueError(
            "tick what is to be paid", code="FieldMissing", path="enrollments"
        )
    return ap.AutoPay(
        id=id_,
        payer=str(payer.id),
        name=form.get("name", "").strip(),
        method=method_of(form.get("method", ""), payer),
        deposit_account=ap.DepositAccount(id=form.get("account", "")),
        # People paste line breaks; they become visible and harmless.
        ar_message=ap.clean_text(form.get("message", "")),
        schedule=frequency(day_of(form.get("first", ""), "first_on")),
        limit=limit_of(form.get("up_to", "")),
        enrollments=chosen,
        tell_nothing_due=form.get("tell") == "on",
    )


def command_of(  # noqa: PLR0911 - one for each
    form: Mapping[str, str], payer: Payer
) -> Command:
    """Make a command of the form beside an order."""
    day, until = form.get("day", ""), form.get("until", "")
    match form.get("command"):
        case "skip":
            return Skip(day_of(day, "on"))
        case "move":
            return MoveDate(day_of(day, "on"), day_of(until, "to"))
        case "pause":
            ends = day_of(until, "to_on") if until else None
            return PauseDates(day_of(day, "from_on"), ends)
        case "resume":
            return Resume()
        case "limit":
            return ChangeLimit(limit_of(form.get("up_to", "")))
        case "method":
            return ChangeMethod(method_of(form.get("method", ""), payer))
        case "off":
            return TurnOff()
        case "on":
            return TurnOn()
        case "renew":
            return Renew()
        case _:
            raise ap.InvalidValueError(
                "choose what to do", code="FieldMissing", path="command"
            )
