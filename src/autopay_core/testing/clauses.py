"""
What each clause of the ports is worth: the sentence when it does not hold.

Holds: `UNPROVEN`, by clause. Imports: nothing. The contract kit prints the
sentence of every clause that an adapter broke, or that was not tried with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["UNPROVEN"]

UNPROVEN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BK-1": (
            "A change may be lost, or half of it: an order without its payer."
        ),
        "BK-2": (
            "Of two people who edit an order at once, one may undo the "
            "other's change without a word."
        ),
        "BK-3": (
            "An order may enrol what was taken from its payer at the same "
            "moment."
        ),
        "BK-4": "What is collected may differ from what was agreed.",
        "BK-5": "Nobody can say who changed what, and when.",
        "BK-6": (
            "An order may have no turn on its day, and is collected weeks "
            "late."
        ),
        "BK-7": (
            "An edit that was made during a night may have its turn weeks "
            "late."
        ),
        "MD-1": (
            "Invoices that nobody enrolled may come back; they are left out "
            "and reported, but people may have seen what is not theirs."
        ),
        "MD-2": "Invoices may be missing without a word, and stay unpaid.",
        "MD-3": "An amount may differ from the ledger's by a rounding.",
        "MD-4": (
            "A balance may be older than it says, so that a payment is in "
            "neither figure, and the invoice is paid beyond what is owed."
        ),
        "MD-5": "An auto-pay without enrolments may pay for everybody.",
        "MD-6": (
            "A search may find too much or too little; staff may tie a payer "
            "to what is not theirs."
        ),
        "MD-7": (
            "A read that failed may look like a read that found nothing, and "
            "the run ends as nothing due."
        ),
        "MD-8": (
            "An open invoice that is not returned counts as no longer open: "
            "it is not paid, and its payment plan may end."
        ),
        "MD-9": (
            "An invoice that moves to another client during a run may be "
            "paid twice."
        ),
        "PG-1": "A run whose answer was lost may be charged twice.",
        "PG-2": (
            "A decline is treated as a doubt: it blocks the auto-pay until "
            "it goes to review."
        ),
        "PG-3": (
            "A charge that went through may be taken for one that did not, "
            "and the payer is charged again."
        ),
        "PG-4": (
            "A charge that is reported as never sent may have moved money, "
            "and the payer is charged again."
        ),
        "PG-5": (
            "A run in doubt may stay in doubt for ever: a person must "
            "resolve it."
        ),
        "PG-6": (
            "A request that is delayed beyond the key's retention may be "
            "charged twice, and a stopped run is never let go by itself."
        ),
        "PG-7": (
            "A charge of another amount, or under another key, is not noticed."
        ),
        "PG-8": "Two workers on one run may charge it twice.",
        "PG-9": "Card numbers or tokens may reach logs and notices.",
        "PG-10": (
            "A payer who was declined, and paid by another try, may pay the "
            "first one, too."
        ),
        "PG-11": (
            "A charge that is not right any more may arrive after it was "
            "called off, and the invoice is paid twice."
        ),
        "PG-12": (
            "After a change of accounts a payment of another account may be "
            "taken for ours, or ours for one that never was."
        ),
        "PG-13": (
            "One payment may be posted for two runs, and nobody notices: "
            "references that come again are not compared."
        ),
        "PG-14": (
            "Money that never comes may be posted as paid, or what went "
            "through be charged again."
        ),
        "PG-15": (
            "The payer may be charged a hundred times as much, or a "
            "hundredth, and trust money end up as the firm's own, while all "
            "books agree."
        ),
        "PG-16": (
            "An error or a value of the company's SDK may reach records and "
            "logs, with what is in it."
        ),
        "PG-17": (
            "A payer who has to approve a charge is never asked, or approves "
            "it after it was called off."
        ),
        "TS-1": "Money may move before anything about it is on record.",
        "TS-2": "A run whose answer was lost may be charged twice.",
        "TS-3": (
            "A confirmation whose answer was lost may be taken for a "
            "decline, and the payer is charged again."
        ),
        "TS-4": (
            "A confirmation that is reported as never made may have moved "
            "money, and the payer is charged again."
        ),
        "TS-5": (
            "A run in doubt may stay in doubt for ever: a person must "
            "resolve it."
        ),
        "TS-6": "A stopped run is never let go by itself.",
        "TS-7": (
            "A charge of another amount, or under another key, is not noticed."
        ),
        "TS-8": (
            "What was planned first may be taken although it was planned "
            "again, or a run that was planned again is never charged."
        ),
        "TS-9": (
            "A payer whose method is refused is asked again and again, and "
            "told nothing."
        ),
        "TS-10": (
            "A payer who was declined, and paid by another try, may pay the "
            "first one, too."
        ),
        "TS-11": (
            "A confirmation that is not right any more may arrive after it "
            "was called off, and the invoice is paid twice."
        ),
        "TS-12": (
            "After a change of accounts a payment of another account may be "
            "taken for ours, or ours for one that never was."
        ),
        "TS-13": (
            "One payment may be posted for two runs, and nobody notices: "
            "references that come again are not compared."
        ),
        "TS-14": (
            "Money that never comes may be posted as paid, or what went "
            "through be charged again."
        ),
        "TS-15": (
            "The payer may be charged a hundred times as much, or a "
            "hundredth, and trust money end up as the firm's own, while all "
            "books agree."
        ),
        "TS-16": (
            "An error or a value of the company's SDK may reach records and "
            "logs, with what is in it."
        ),
        "TS-17": (
            "A payer who has to approve a charge is never asked, or approves "
            "it after it was called off."
        ),
        "PS-1": (
            "A crash or an interruption may leave half a step on record: a "
            "charge without its posting, or a posting without its notice; "
            "or other calls are given the answers of the one that was cut "
            "off."
        ),
        "PS-2": "Two workers may both go on with one run.",
        "PS-3": "One due date may be run twice.",
        "PS-4": (
            "Two runs may plan on the same open amounts, and an invoice is "
            "paid beyond what is owed."
        ),
        "PS-5": (
            "An invoice that moved to another client may be paid beyond what "
            "is owed."
        ),
        "PS-6": (
            "Two runs of one auto-pay may be in doubt at once, and both "
            "charged."
        ),
        "PS-7": "Money may be taken after a hold was put on.",
        "PS-8": "A posting may be written twice, or overwritten.",
        "PS-9": "A posting may be sent to the ledger twice.",
        "PS-10": "A notice may be lost, or told again and again.",
        "PS-11": (
            "An amount may be missed while it goes from reservation to "
            "posting, and the invoice is paid beyond what is owed."
        ),
        "PS-12": (
            "A clock that jumps may make an old key look young, and the run "
            "is charged twice."
        ),
        "PS-13": (
            "A commit whose answer was lost may be taken for one that failed."
        ),
        "PS-14": "Workers may do the same work twice; no money is at risk.",
        "PS-15": "What is charged may differ from what was written down.",
        "PS-16": (
            "After a restore, or on a copy, a key of before may be taken "
            "for a new one, and a run is charged twice."
        ),
        "PS-17": (
            "What a person or a rule put on hold may be paid all the same."
        ),
        "PS-18": (
            "A balance of before may be taken for one of after, and an "
            "invoice is paid twice."
        ),
        "PS-19": (
            "One payment may be taken for two runs', and an invoice is "
            "posted as paid that was not."
        ),
        "PS-20": (
            "A payment method may be tried more often than its network allows."
        ),
        "PS-21": "People may be told the same again and again, or not at all.",
        "PS-22": (
            "One record that cannot be read may keep every other run from "
            "going on, or a list from being shown."
        ),
        "PS-23": (
            "One refund or return may be booked twice, and an invoice is "
            "collected again that was paid."
        ),
        "PS-24": (
            "An event that names a charge by its key waits for a person "
            "instead of being booked."
        ),
        "PS-25": (
            "While a gateway answers nonsense, payment after payment may be "
            "tried, and method after method put on hold."
        ),
        "PS-26": (
            "Two people who post the queue at once may send a payment to the "
            "ledger twice, or half of a batch."
        ),
        "PS-27": (
            "Staff may see other sums than those of the postings that they "
            "look at, or miss a posting between two pages; or read that one "
            "has waited since another time than it has."
        ),
        "PS-28": (
            "More may be taken from a payer in a day, or in a night, than the "
            "host allows."
        ),
        "PS-29": (
            "Of what several turns write at the same moment one change may be "
            "lost, or said to stand while another one does."
        ),
        "NT-1": "A notice that is offered again may be refused for ever.",
        "NT-2": "A failed auto-pay may stay untold.",
        "NT-3": "A notice that was not accepted is taken as delivered.",
        "NT-4": (
            "Text that a payer typed may be executed by a template or end up "
            "in a header."
        ),
        "PORT-1": (
            "With several turns at once, one call may be given the answer of "
            "another; sweep one after another."
        ),
    }
)
"""By clause of `autopay_core.ports`: what to expect when it does not hold."""
