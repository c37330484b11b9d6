"""Your first auto-pay; made from the page of that name."""

# %% [markdown]
# # Your first auto-pay
#
# In ten minutes you build an auto-pay, run it, and see it through a declined
# card, an edit and a returned payment. Everything happens in memory: no money
# moves, and no account is needed.
#
# ## Install it
#
# You need Python 3.11 or newer. In a clone of the repository:
#
#     pip install ".[tables]"
#
# In a notebook, values show themselves as tables and pictures; in a terminal,
# `tables` brings rich, which does the same.
#
# ## A firm with five invoices
#
# `autopay_core.demo` has a small firm for this tutorial. Its one client,
# Harbour Foods, has two matters and five invoices.

# %%
from datetime import date

import autopay_core as ap
from autopay_core.demo import harbour_foods

firm = harbour_foods()

# %%
print(firm.invoices())

# %% [markdown]
# Invoice 1063 is a credit, and 1064 is disputed: neither may be paid.
#
# The firm has four **ports**, through which the library reaches the outside
# world: matter data, a payment gateway, a posting store and a notifier. Here
# they live in memory; in production they are yours.

# %%
ports = firm.ports

# %% [markdown]
# ## Find what the payer may pay
#
# Staff search by client, matter or invoice, and tick what they find. Each tick
# becomes an **association** of the payer.

# %%
query = ap.SearchQuery(by=ap.SearchBy.CLIENT_NAME, text="harbour")
[found] = ports.matters.search(query).results
association = ap.associate("payer-1", found)

# %%
print(association)

# %% [markdown]
# An association at client level covers all matters and invoices of the client,
# including those that are still to come.
#
# ## Put the auto-pay together
#
# The payer agrees to pay at the end of each month, up to 500 dollars a time.
# The payment method is the gateway's token; a card number is refused.

# %%
card = ap.PaymentMethodRef(provider="acme", token="tok_8f2k41aa9c")
autopay = ap.AutoPay(
    id="ap-1",
    payer="payer-1",
    name="Harbour Foods, monthly",
    method=card,
    deposit_account=ap.DepositAccount(id="operating"),
    schedule=ap.Schedule.monthly(date(2026, 1, 31)),
    limit=ap.Limit.up_to(ap.Money.of("500.00", "USD")),
    enrollments=(association,),
)

# %%
for each in autopay.schedule.occurrences(
    before=date(2026, 5, 1)
):
    print(each)

# %% [markdown]
# A month without a 31st is charged on its last day, and the month after it is
# charged on the 31st again.
#
# ## Look before you charge
#
# `preview` does everything that a run does up to the charge, and writes
# nothing.

# %%
allocation = ap.preview(autopay, on=date(2026, 1, 31), ports=ports)

# %%
print(allocation)

# %%
for line in allocation.lines:
    print(f"{line.invoice.number}: {line.reason.text}")

# %% [markdown]
# The oldest invoice comes first. Every invoice that was considered has a line
# with its reason, including those that get nothing.
#
# ## Run it

# %%
result = ap.run(autopay, on=date(2026, 1, 31), ports=ports)

# %%
print(result)

# %% [markdown]
# There is one charge, and a **posting record** for each invoice paid, which
# staff send to the firm's ledger. Running it again charges nothing:

# %%
print(ap.run(
    autopay, on=date(2026, 1, 31), ports=ports
) == result)

# %% [markdown]
# ## See what comes next

# %%
ahead = ap.forecast(
    autopay,
    as_of=date(2026, 2, 1),
    through=date(2026, 3, 31),
    ports=ports,
)

# %%
print(ahead)

# %% [markdown]
# In a notebook, a forecast shows itself as a picture. This is the one of a
# busier client:
#
# ![A timeline: each run with its date and amount by invoice, the limit of 500 dollars, a skipped date, a pause, what is still owed, and the end of the year](../images/timeline.svg)
#
# That is the first half: you have an auto-pay, a payment, and a view of the
# year.
#
# ## A card is declined
#
# Staff send the postings to the ledger, and the firm writes another invoice.
# Nobody has to enrol it, because its client is enrolled. Then the card expires.

# %%
firm.post()
firm.go_to(date(2026, 2, 28))
firm.bill("1070", "M-2", date(2026, 2, 10), "620.00")
firm.card_expires(card)
declined = ap.run(autopay, on=date(2026, 2, 28), ports=ports)

# %%
print(declined)

# %%
print(firm.told()[-1])

# %% [markdown]
# A decline is a result, not an exception. Every failed auto-pay raises the
# notice "Error-Failed AutoPay"; make sure that it reaches a person.
#
# ## The payer edits the order
#
# The payer gives a bank account in place of the card, and raises the limit.
# `edit` changes what was asked for and keeps the dates that were agreed.

# %%
from autopay_core.autopay import edit

firm.go_to(date(2026, 3, 2))
autopay = edit(
    autopay,
    as_of=firm.today,
    method=ap.PaymentMethodRef(
        provider="acme",
        token="ba_5527301881",
        kind=ap.MethodKind.BANK_ACCOUNT,
        network="ach",
    ),
    limit=ap.Limit.up_to(ap.Money.of("600.00", "USD")),
)
firm.go_to(date(2026, 3, 31))
march = ap.run(autopay, on=date(2026, 3, 31), ports=ports)

# %%
print(march)

# %% [markdown]
# March pays what February could not, in its place in the order.
#
# ## The bank returns the debit
#
# Two days later the bank returns the money: code R01, insufficient funds. Your
# webhook hands it to `receive`. However often it arrives, it is applied once.

# %%
firm.go_to(date(2026, 4, 2))
returned = ap.Movement(
    id="event-1",
    kind=ap.MovementKind.RETURNED,
    amount=march.charged,
    on=firm.today,
    code="R01",
    run=march.key,
)
record = ap.receive(returned, ports=ports)

# %%
print(record)

# %%
for each in firm.post():
    print(each.invoice, each.amount)

# %% [markdown]
# The postings are not deleted. New ones with the opposite sign take them back,
# so that the ledger tells the whole story.
#
# ## Look at the rest of the year

# %%
ahead = ap.forecast(
    autopay,
    as_of=firm.today,
    through=date(2026, 7, 31),
    ports=ports,
)

# %%
print(ahead)

# %% [markdown]
# What was returned is owed again, and the next runs collect it. The year of
# this auto-pay ends on its anniversary:

# %%
print(ap.ends_on(autopay))

# %% [markdown]
# The calendar of that year marks every date of a charge:

# %%
from autopay_core.show.year import year

calendar = year(autopay, date(2026, 1, 1))
print(calendar)

# %% [markdown]
# ![A calendar of twelve months in which the last day of each month is marked](../images/year.svg)
#
# ## Where you are
#
# You have seen an auto-pay through payment, decline, edit and return. In
# production you bring your own ports:
# [matter data](../how-to/matter-data.md),
# [payment gateway](../how-to/payment-gateway.md),
# [posting store](../how-to/posting-store.md) and
# [notifier](../how-to/notifier.md). Then you
# [sweep every day](../how-to/run-daily.md), and read
# [what is promised](../explanation/safety.md) before real money moves. The
# [command line](../how-to/command-line.md) does all this on a folder of CSV
# files.
