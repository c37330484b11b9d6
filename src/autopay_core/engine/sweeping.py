"""
An auto-pay's turn: what was left open, missed, due, or is coming (S12, N4).

Holds: `preview`, `run`, `sweep`, and the turn of one auto-pay: `sweep_one`
within a sweep, `turn` by itself, `turn_of` what a book hands over; `begin` is
a sweep's beginning by itself. Imports: `announcing`, `case`, `collecting`,
`driving`, `gate`, `knowing`, `lanes`, `looking`, `planning`, `receiving`,
`recovery`, `requests`, `steps`, `telling`, `words` and the values. Long, since
all that a turn does, in its order, stands here once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, final

import attrs

from autopay_core._checks import check_date
from autopay_core._hashes import sha256
from autopay_core._life import NOTHING_KNOWN, latest_on
from autopay_core._told import PAUSE, pause_told
from autopay_core.allocation import Allocation
from autopay_core.autopay import (
    AutoPay,
    autopay_notices,
    due,
    occurrence_on,
    passed_over,
    upcoming,
)
from autopay_core.commits import (
    Change,
    Conflict,
    Standing,
    Told,
    Unreadable,
)
from autopay_core.engine.announcing import announce_ahead, known_of_end
from autopay_core.engine.case import Case, InHand, case_again, case_of
from autopay_core.engine.collecting import (
    check_owner,
    collect,
    keep_in_mind,
)
from autopay_core.engine.driving import Given
from autopay_core.engine.gate import Cause
from autopay_core.engine.knowing import payments_left, record_of
from autopay_core.engine.lanes import one_by_one, side_by_side
from autopay_core.engine.looking import looked_for_stuck, stuck_since, swept
from autopay_core.engine.planning import (
    Outlook,
    look_ahead,
    look_out,
)
from autopay_core.engine.receiving import bring_in
from autopay_core.engine.recovery import go_on, recover, set_back
from autopay_core.engine.requests import (
    THE_STORE,
    Claim,
    Flow,
    Stream,
    Terms,
    ask,
    commit,
    read_now,
    read_standing,
)
from autopay_core.engine.steps import (
    is_taken_care_of,
    next_version,
    rests,
    waits_for_payer,
)
from autopay_core.engine.telling import Night, about_stuck, announce, tell
from autopay_core.engine.words import a_person_says
from autopay_core.errors import (
    AutopayError,
    InvalidValueError,
    PortError,
)
from autopay_core.notices import Notice, NoticeKind, notice_for_run
from autopay_core.references import MethodKind, RunKey
from autopay_core.runs import (
    RESERVING_STATES,
    RunRecord,
    RunResult,
    RunState,
    RunStatus,
    result_of,
)
from autopay_core.schedules import Occurrence, split_missed

__all__ = [
    "AT_ONCE_MOST",
    "begin",
    "check_day",
    "outlook",
    "preview",
    "run",
    "run_now",
    "sweep",
    "sweep_one",
    "turn",
    "turn_of",
]

AT_ONCE_MOST: Final = 1_000
"""So many turns may go on side by side."""

_DAY: Final = timedelta(days=1)


def check_day(on: date, standing: Standing, terms: Terms, path: str) -> None:
    """
    Refuse a day that the store's clock does not know of yet (R11).

    Raises:
        InvalidValueError: More than a day after the clock's date, as the firm
            dates it (``DateAhead``).

    """
    clock = standing.now if standing.clock is None else standing.clock
    today = terms.policy.date_of(clock)
    if on > today + _DAY and not standing.is_clock_suspect:
        raise InvalidValueError(
            f"{on} is ahead of the store's clock, which says {today}; nothing "
            "is written for a day that has not come",
            code="DateAhead",
            path=path,
            value=str(on),
        )


def preview(autopay: AutoPay, on: date, terms: Terms) -> Flow[Allocation]:
    """Return what a run would pay on a date, and why; write nothing."""
    check_date(on, "on")
    try:
        occurrence = occurrence_on(autopay, on)
    except InvalidValueError:
        occurrence = Occurrence(nominal_on=on, charge_on=on)
    return _preview(case_of(autopay, occurrence, terms, as_of=on))


def _preview(case: Case) -> Flow[Allocation]:
    standing = yield from _read(case)
    left = yield from payments_left(case.autopay, case.key, standing)
    if left == 0:
        ended = attrs.evolve(case.autopay, enrollments=())
        case = attrs.evolve(case, autopay=ended)
    return (yield from look_ahead(case, standing)).allocation


def outlook(autopay: AutoPay, as_of: date, terms: Terms) -> Flow[Outlook]:
    """Read what a forecast of *autopay* from a date on rests on (S14)."""
    check_date(as_of, "as_of")
    coming = upcoming(autopay, as_of)
    if coming is None:
        coming = Occurrence(nominal_on=as_of, charge_on=as_of)
    return _outlook(case_of(autopay, coming, terms), as_of)


def _outlook(case: Case, as_of: date) -> Flow[Outlook]:
    standing = yield from _read(case)
    known = NOTHING_KNOWN
    if case.autopay.payments is not None:
        known = yield from record_of(case.autopay, as_of)
    found = yield from look_out(case, standing)
    return attrs.evolve(found, known=known)


def _read(case: Case) -> Flow[Standing]:
    return read_standing(
        case.key, case.autopay.method.fingerprint, case.autopay.payer
    )


def run(autopay: AutoPay, on: date, terms: Terms) -> Flow[RunResult]:
    """
    Run one occurrence because somebody asked for it (R1, S12).

    What fell due before it and is not on record would be hidden by it from
    every later sweep, so it is put on record as missed first.

    Args:
        autopay: The standing order.
        on: The date that the caller calls today.
        terms: The gateway's promises and the host's secret.

    """
    case = case_of(autopay, occurrence_on(autopay, on), terms, as_of=on)
    return _run(case)


def _run(case: Case) -> Flow[RunResult]:
    standing = yield from _read(case)
    check_day(case.on, standing, case.terms, "on")
    check_owner(case.autopay.payer, standing.run or standing.latest)
    earlier = [
        each
        for each in due(case.autopay, case.on, after=_latest(standing))
        if each.nominal_on < case.occurrence.nominal_on
    ]
    yield from _record_missed(case.autopay, earlier, standing)
    result = yield from collect(case, standing)
    night = Night()
    night.note(result)
    yield from night.tell(case.on)
    return result


def run_now(
    autopay: AutoPay,
    as_of: date,
    number: int,
    terms: Terms,
    *,
    by: str,
    reason: str,
) -> Flow[RunResult]:
    """
    Run because a person asks for it, on no date of the schedule (R14).

    Raises:
        InvalidValueError: Another run of the auto-pay is under way
            (``RunUnderWay``); a consumer's bank account without an agreed
            range (``AuthorizationNeeded``); the day is ahead (``DateAhead``);
            a number below 1 or a word that is missing.

    """
    check_date(as_of, "as_of")
    a_person_says(by, reason)
    if number < 1:
        raise InvalidValueError(
            "runs on demand are numbered from 1",
            code="OutOfRange",
            path="number",
            value=number,
        )
    method, announces = autopay.method, autopay.advance_notice
    if (
        method.consumer
        and method.kind is MethodKind.BANK_ACCOUNT
        and (announces is None or announces.most is None)
        and not terms.has_range
    ):
        raise InvalidValueError(
            "a consumer's bank account is debited on demand only within an "
            "agreed range (AutoPay.advance_notice, or an authorisation)",
            code="AuthorizationNeeded",
            path="autopay.advance_notice",
        )
    occurrence = Occurrence(nominal_on=as_of, charge_on=as_of)
    case = case_of(
        autopay,
        occurrence,
        terms,
        as_of=as_of,
        number=number,
        demanded_by=by,
    )
    return _run_now(case)


def _run_now(case: Case) -> Flow[RunResult]:
    standing = yield from _read(case)
    check_day(case.on, standing, case.terms, "as_of")
    if standing.run is None:
        for other in standing.unfinished:
            if other.state in RESERVING_STATES:
                raise InvalidValueError(
                    f"the run {other.key} is under way; wait until it ends",
                    code="RunUnderWay",
                    path="autopay",
                    value=str(other.key),
                )
    return (yield from collect(case, standing))


def _latest(standing: Standing) -> date | None:
    """Return the nominal date of the latest run on record."""
    latest = standing.latest
    return None if latest is None else latest.key.nominal_on


def sweep(
    as_of: date, terms: Terms, *, claim_seconds: int = 0, at_once: int = 1
) -> Stream[Any]:
    """
    Run all that is due by a date, auto-pay by auto-pay (S12, R6).

    Args:
        as_of: The date that the caller calls today.
        terms: The gateway's promises and the host's secret.
        claim_seconds: Claim each run for so long; 0 claims nothing.
        at_once: So many turns may go on side by side (O3); see `lanes`.

    Raises:
        InvalidValueError: *as_of* is no date that a run may carry, or
            *at_once* is not from 1 to 1,000 (``OutOfRange``).

    """
    check_date(as_of, "as_of")
    if type(at_once) is not int or not 1 <= at_once <= AT_ONCE_MOST:
        raise InvalidValueError(
            f"expected a whole number from 1 to {AT_ONCE_MOST}",
            code="OutOfRange",
            path="at_once",
            value=at_once,
        )
    return _sweep(as_of, terms, claim_seconds, at_once)


def _sweep(
    as_of: date, terms: Terms, claim_seconds: int, at_once: int
) -> Stream[Any]:
    began = yield from _now()
    yield from recover(terms, at_once)
    yield from _bring_in(terms)
    night, seen = Night(), Seen()

    def turn_of(given: object) -> Flow[tuple[RunResult, ...]]:
        return _turn_in_sweep(given, as_of, terms, claim_seconds, seen)

    def hand_over(results: tuple[RunResult, ...]) -> Stream[Any]:
        for result in results:
            night.note(result)
            yield Given(result)

    if at_once == 1:
        yield from one_by_one(turn_of, hand_over)
    else:
        yield from side_by_side(turn_of, hand_over, at_once)
    yield from _tell_at_end(night, as_of, seen.contents)
    yield from _mark(began, as_of)


def begin(terms: Terms) -> Stream[Any]:
    """Do what a sweep does before its first turn, for turns elsewhere."""
    yield from recover(terms, hand_over=_nobody)
    yield from _bring_in(terms)


def _nobody(_: tuple[RunResult, ...]) -> Stream[Any]:
    yield from ()


def _now() -> Flow[datetime | None]:
    """Read the store's time; None from a store that is away."""
    try:
        return (yield from read_now())
    except PortError:
        return None


def _mark(began: datetime | None, as_of: date) -> Flow[None]:
    """Put on record when the last sweep began and ended, for `looking`."""
    if began is None:
        return
    try:
        standing = yield from read_standing(THE_STORE, "", "")
        if standing.is_clock_suspect:
            return  # A commit would make the clock look right (R11).
        notices, told = yield from _stuck(standing, as_of)
        yield from announce(
            *notices,
            told=(swept(as_of, began, standing.now), *told),
            by="sweep",
        )
    except PortError:
        return  # What was done stands without it.


def _stuck(
    standing: Standing, as_of: date
) -> Flow[tuple[tuple[Notice, ...], tuple[Told, ...]]]:
    """Find what has become stuck since the last sweep (P3)."""
    now = standing.now
    try:
        notices = yield from about_stuck(
            now, as_of, stuck_since(standing.told)
        )
    except PortError:
        return (), ()  # One that cannot be read; the mark is older than that.
    return notices, (looked_for_stuck(now),)


def _turn_in_sweep(
    given: object, as_of: date, terms: Terms, claim_seconds: int, seen: Seen
) -> Flow[tuple[RunResult, ...]]:
    """Give one its turn; what is wrong with it stops no other (R6)."""
    given, terms = _out_of_hand(given, terms)
    try:
        return (
            yield from sweep_one(
                _checked(given),
                as_of,
                terms,
                claim_seconds=claim_seconds,
                seen=seen,
            )
        )
    except Exception as error:
        if isinstance(error, AutopayError) and error.code == "DateAhead":
            raise  # The caller's mistake, about every one of them.
        return (_set_back(given, error),)


def _out_of_hand(given: object, terms: Terms) -> tuple[object, Terms]:
    """Return an order of a book, and what its payer has as terms (A7)."""
    if not isinstance(given, InHand):
        return given, terms
    if given.is_method_gone or given.authorization:
        terms = attrs.evolve(
            terms,
            is_method_gone=given.is_method_gone,
            authorization=given.authorization,
            has_range=given.has_range,
        )
    return given.autopay, terms


def _tell_at_end(
    night: Night, as_of: date, turns: Collection[str] | None
) -> Flow[None]:
    """Tell what was found; what was done stands without it (R6)."""
    try:
        yield from night.tell(as_of, turns)
    except PortError:
        return  # A store that went away; the next sweep finds the same.


def _bring_in(terms: Terms) -> Flow[None]:
    """Place movements that waited; without them the night goes on (R6)."""
    try:
        yield from bring_in(terms)
    except PortError:
        return


def _set_back(given: object, error: Exception) -> RunResult:
    """Say what kept something from its turn; an id where it has one (R6)."""
    if isinstance(given, Unreadable):
        return _unread(given)
    name = given.id if isinstance(given, AutoPay) else ""
    return set_back(name, error)


def _unread(given: Unreadable) -> RunResult:
    return RunResult(
        key=None,
        autopay=given.key,
        status=RunStatus.POSTPONED,
        reason=given.code,
        detail="The host could not decode it.",
    )


def _checked(autopay: object, path: str = "autopays") -> AutoPay:
    if isinstance(autopay, AutoPay):
        return autopay
    raise InvalidValueError(
        "expected an AutoPay", code="FieldType", path=path, value=autopay
    )


# -- An auto-pay's turn -------------------------------------------------------


@final
class Seen:
    """
    What a sweep has seen of the auto-pays before this one.

    Attributes:
        contents: By id, a hash of the content of each auto-pay that had
            something to do, so that two contents show (R13).

    """

    def __init__(self) -> None:
        self.contents: dict[str, str] = {}

    def note(
        self, autopay: AutoPay, standing: Standing, *, has_to_do: bool
    ) -> None:
        """
        Keep what is to be known of an auto-pay when others have their turn.

        Raises:
            InvalidValueError: Another content came under its id
                (``TwoContents``).

        """
        if not (
            has_to_do or standing.unfinished or autopay.id in self.contents
        ):
            return
        # Without the token's text in it; the fingerprint stands for that.
        content = sha256(f"{autopay!r} {autopay.method.fingerprint}")
        if self.contents.setdefault(autopay.id, content) != content:
            raise InvalidValueError(
                f"two different auto-pays came under the id {autopay.id!r} in "
                "one sweep; the second one is left alone",
                code="TwoContents",
                path="autopays",
                value=autopay.id,
            )


def sweep_one(
    autopay: AutoPay,
    as_of: date,
    terms: Terms,
    *,
    claim_seconds: int = 0,
    seen: Seen | None = None,
) -> Flow[tuple[RunResult, ...]]:
    """
    Do all that is to be done for one auto-pay on a date (S12, R4, N2).

    Finish what was left open, record what was missed, run what is due,
    announce what is coming, and tell what there is to tell.

    Args:
        autopay: The standing order.
        as_of: The date that the caller calls today.
        terms: The gateway's promises and the host's secret.
        claim_seconds: Claim each run for so long, so that other workers
            leave it alone; 0 claims nothing.
        seen: What this sweep has seen before.

    """
    latest = latest_on(autopay, as_of)
    nominal_on = as_of if latest is None else latest.nominal_on
    key = RunKey(autopay=autopay.id, nominal_on=nominal_on)
    standing = yield from _stand(autopay, key)
    check_day(as_of, standing, terms, "as_of")
    check_owner(autopay.payer, standing.run or standing.latest)
    fallen = due(autopay, as_of, after=_latest(standing))
    if seen is not None:
        seen.note(autopay, standing, has_to_do=bool(fallen))
    if standing.is_clock_suspect:
        return (yield from _look_only(autopay, as_of, terms, standing, fallen))
    yield from _tell_of_it(autopay, as_of, standing)
    results = yield from _go_on(autopay, as_of, terms, standing)
    if results:
        standing = yield from _stand(autopay, key)
        fallen = due(autopay, as_of, after=_latest(standing))
    to_run, missed = split_missed(fallen, autopay.missed, as_of=as_of)
    recorded = yield from _record_missed(autopay, missed, standing)
    results.extend(recorded)
    if len(recorded) < len(missed):
        return tuple(results)  # Another worker is at it.
    for occurrence in to_run:
        case = case_of(autopay, occurrence, terms, as_of=as_of)
        if claim_seconds and not (
            yield from ask(Claim(case.key, claim_seconds), bool)
        ):
            break
        is_fresh = case.key == key and not results
        result = yield from collect(case, standing if is_fresh else None)
        results.append(result)
        if result.status in (RunStatus.POSTPONED, RunStatus.BLOCKED):
            # A later run on record would hide this one from the next sweep.
            break
    else:
        done = {each.key for each in results}
        results.extend(
            (yield from _record_dropped(autopay, as_of, standing, done))
        )
    if autopay.advance_notice is not None:
        results.extend((yield from announce_ahead(autopay, as_of, terms)))
    return tuple(results)


def turn(
    autopay: AutoPay, as_of: date, terms: Terms, *, claim_seconds: int = 0
) -> Flow[tuple[RunResult, ...]]:
    """Give one auto-pay its turn outside a sweep; recover only its own."""
    check_date(as_of, "as_of")
    return _turn(_checked(autopay, "autopay"), as_of, terms, claim_seconds)


def turn_of(
    given: object, as_of: date, terms: Terms, *, claim_seconds: int = 0
) -> Flow[tuple[RunResult, ...]]:
    """Give what a book hands over its turn outside a sweep, as `turn`."""
    if isinstance(given, Unreadable):
        return (_unread(given),)
    autopay, terms = _out_of_hand(given, terms)
    return (yield from _turn(_checked(autopay), as_of, terms, claim_seconds))


def _turn(
    autopay: AutoPay, as_of: date, terms: Terms, claim_seconds: int
) -> Flow[tuple[RunResult, ...]]:
    results = yield from sweep_one(
        autopay, as_of, terms, claim_seconds=claim_seconds
    )
    night = Night()
    for result in results:
        night.note(result)
    yield from _tell_at_end(night, as_of, None)
    return results


def _look_only(
    autopay: AutoPay,
    as_of: date,
    terms: Terms,
    standing: Standing,
    fallen: Sequence[Occurrence],
) -> Flow[tuple[RunResult, ...]]:
    """
    Take answers, and write nothing else, while the clock is wrong (R11).

    Nothing but that it is.
    """
    yield from keep_in_mind(standing, terms)
    results = yield from _go_on(autopay, as_of, terms, standing)
    for occurrence in fallen[-1:]:
        # Not collected, even if the clock is right by now: the dates before
        # it are not on record, and would be hidden by it.
        results.append(
            RunResult(
                key=RunKey(
                    autopay=autopay.id, nominal_on=occurrence.nominal_on
                ),
                status=RunStatus.POSTPONED,
                reason=Cause.CLOCK_SUSPECT.value,
                detail=f"It waits: {Cause.CLOCK_SUSPECT.text}.",
            )
        )
    return tuple(results)


def _stand(autopay: AutoPay, key: RunKey) -> Flow[Standing]:
    return read_standing(key, autopay.method.fingerprint, autopay.payer)


def _tell_of_it(
    autopay: AutoPay, as_of: date, standing: Standing
) -> Flow[None]:
    """Tell what there is to tell of an auto-pay itself (N2, N5)."""
    known = yield from known_of_end(autopay, as_of)
    notices = autopay_notices(autopay, as_of, known=known)
    resumed, told = pause_told(
        autopay, as_of, notices, standing.told.get(PAUSE)
    )
    if resumed is not None:
        notices = (*notices, resumed)
    yield from announce(
        *_untold(notices, standing), told=() if told is None else (told,)
    )


def _untold(notices: Sequence[Notice], standing: Standing) -> Sequence[Notice]:
    """Leave out what was told of an auto-pay before (N5)."""
    told = {each.key for each in standing.told.values()}
    return [each for each in notices if each.key not in told]


def _record_dropped(
    autopay: AutoPay,
    as_of: date,
    standing: Standing,
    done: Collection[RunKey | None],
) -> Flow[list[RunResult]]:
    """
    Put dates on record that fell due while it was off or paused (S11).

    And those that were announced and are no dates any more (N4). In silence:
    somebody wanted it so. Coming back then makes nothing up.
    """
    dates: dict[RunKey, tuple[str, Occurrence]] = {}
    if autopay.off_from is not None or autopay.pauses or autopay.skips:
        dates = {
            RunKey(autopay=autopay.id, nominal_on=each.nominal_on): (
                reason,
                each,
            )
            for each, reason in passed_over(
                autopay, as_of, after=_latest(standing)
            )
        }
    announced = {
        each.key: each
        for each in standing.unfinished
        if each.state is RunState.ANNOUNCED
        and each.charge_on <= as_of
        and each.key not in done
        and not _is_to_come(autopay, each.key.nominal_on, as_of)
    }
    for key, each in announced.items():
        occurrence = Occurrence(
            nominal_on=key.nominal_on, charge_on=each.charge_on
        )
        dates.setdefault(key, ("Skipped", occurrence))
    records = tuple(
        RunRecord(
            key=key,
            payer=autopay.payer,
            version=next_version(announced.get(key), RunState.CANCELLED, key),
            state=RunState.CANCELLED,
            charge_on=each.charge_on,
            reason=reason,
            detail=_DROPPED[reason],
        )
        for key, (reason, each) in sorted(dates.items())
        if key not in done
    )
    return (yield from _write(records, ()))


def _is_to_come(autopay: AutoPay, nominal_on: date, as_of: date) -> bool:
    """Tell whether an announced date was moved, and is still ahead."""
    moved = autopay.schedule.occurrence_of(
        nominal_on,
        pauses=autopay.pauses,
        skips=autopay.skips,
        moves=autopay.moves,
    )
    return (
        moved is not None
        and moved.nominal_on == nominal_on
        and moved.charge_on > as_of
    )


_DROPPED: Final = {
    "Off": "It was turned off on that date.",
    "Paused": "It rested on that date.",
    "Skipped": "It is no date of the schedule any more.",
}


def _write(
    records: tuple[RunRecord, ...], notices: tuple[Notice, ...]
) -> Flow[list[RunResult]]:
    """Write records in one step; none if another worker was faster."""
    if not records:
        return []
    written = yield from commit(Change(runs=records, notices=notices))
    if isinstance(written, Conflict):
        return []
    yield from tell(notices, written)
    return [result_of(each) for each in records]


def _go_on(
    autopay: AutoPay, as_of: date, terms: Terms, standing: Standing
) -> Flow[list[RunResult]]:
    """Go on with what was left under way and may be looked at again."""
    results: list[RunResult] = []
    for record in standing.unfinished:
        if record.state is RunState.ANNOUNCED:
            continue
        if record.state.is_doubtful or waits_for_payer(record):
            if is_taken_care_of(record, standing.now):
                continue
        elif rests(record, standing.now, autopay.method.fingerprint):
            continue
        case = case_again(autopay, record, terms, as_of)
        if record.state is RunState.WAITING:
            results.append((yield from collect(case)))
            continue
        result = yield from go_on(record, case)
        if result.status is RunStatus.WAITING:
            # Let go of: planned afresh, under the next number (R4).
            result = yield from collect(case)
        results.append(result)
    return results


def _record_missed(
    autopay: AutoPay, missed: Sequence[Occurrence], standing: Standing
) -> Flow[list[RunResult]]:
    """Put on record what was not run, and tell of it, in one step (S12)."""
    known = {each.key: each for each in standing.unfinished}
    records: list[RunRecord] = []
    for occurrence in missed:
        key = RunKey(autopay=autopay.id, nominal_on=occurrence.nominal_on)
        before = known.get(key)
        records.append(
            RunRecord(
                key=key,
                payer=autopay.payer,
                version=next_version(before, RunState.MISSED, key),
                state=RunState.MISSED,
                charge_on=occurrence.charge_on,
                reason="Missed",
                detail="The host did not run on that date.",
            )
        )
    if not records:
        return []
    dates = ", ".join(str(each.nominal_on) for each in missed)
    notice = notice_for_run(
        NoticeKind.FAILED,
        records[-1].key,
        payer=autopay.payer,
        on=records[-1].charge_on,
        name=autopay.name,
        reason="Missed",
        detail=(
            f"Nothing was collected on {dates}: nothing ran on "
            f"{'that day' if len(missed) == 1 else 'those days'}."
        ),
        occasion="missed",
    )
    return (yield from _write(tuple(records), (notice,)))
