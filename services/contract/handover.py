"""What the payer hop hands over to the payee hop, in columns (``payments.by-payee.v1``, internal)."""

from __future__ import annotations

from services.contract.columns import Column, Layout

PAYMENT, OUTFLOW, LABEL = range(3)
"""What a row is."""
HANDOVER = Layout(
    "handover.v1",
    (
        Column("kind", "u1", "", "What the row is", codes=("payment", "outflow", "label")),
        Column("offset", "i8", "", "Of its record in `payments.v1`; an outflow has that of its payment"),
        Column("event_ms", "i8", "ms", "Of the payment, for all kinds"),
        Column("appended_ms", "i8", "ms", "Append time of its record in `payments.v1`; -1 where brokers do not say"),
        Column("value", "f8", "EUR", "The amount, missing where the currency has no rate; of a label the amount over "
               "what was cleared"),
        Column("account_low", "i8", "", "Keyed digest of tenant and account: of a payment's payee, an outflow's payer, "
               "the payee of a label's payment"),
        Column("account_high", "i8", "", "Its other half"),
        Column("tenant", "text", "", "This and what follows are told of payments, and empty or 0 for the others"),
        Column("payment_id", "text", "", "As it came"),
        Column("payer", "text", "", "Account"),
        Column("payee", "text", "", "Account"),
        Column("payment", "text", "", "The payment as it came, JSON"),
        Column("status", "i4", "", "0 attempted, 1 accepted, 2 rejected, 3 returned"),
        Column("payer_country", "i4", "", "26 times the first letter's place in the alphabet and the second's; -1: "
               "not told"),
        Column("opened_ms", "i8", "ms", "When the payee's account was opened; -1 where it is not told"),
        Column("payer_digest", "i8", "", "Keyed digest of the payer's account"),
        Column("text_digest", "i8", "", "Keyed digest of the reference; 0 for none that tells anything"),
        Column("confirmed", "f8", "", "1 where the deployer's list has the payee; of a label, where it confirms"),
        Column("in_lexicon", "f8", "", "1 where the reference holds a term of the private lexicon"),
        Column("features", "f8", "see features.md", "Of the payer hop", each="feature", some=True),
        Column("recent_payees", "u2", "", "Marks of the payer's latest payees", each="mark", some=True),
    ),
    {
        "schema": "Which features, and which key of digests, 16 hexadecimal digits",
        "partition": "Of `payments.v1`",
        "generation": "How often another log took that partition's place",
        "from_offset": "The first input offset of the batch that it is of",
        "upto_offset": "The one behind its last",
        "follows_offset": "The one behind the row before, from the same log to the same partition; -1: there is none",
    },
)  # fmt: skip
