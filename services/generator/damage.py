"""Records that no decoder may accept, as broken senders write them."""

from __future__ import annotations

import orjson

DAMAGES = ("truncated", "not_json", "no_payer", "amount_as_text", "currency_unknown", "negative", "not_an_object")


def damaged(value: bytes, kind: int) -> bytes:
    """A record that no decoder may accept, made of a good one; ``kind`` chooses how.

    >>> damaged(b'{"payment_id":"p","amount_minor":5}', 3)
    b'{"payment_id":"p","amount_minor":"5.00"}'
    """
    name = DAMAGES[kind % len(DAMAGES)]
    if name == "truncated":
        return value[: len(value) // 2]
    if name == "not_json":
        return b"PMT|" + value[1:40].replace(b'"', b"|")
    if name == "not_an_object":
        return b"[" + value + b"]"
    fields = orjson.loads(value)
    if name == "no_payer":
        del fields["payer"]
    elif name == "amount_as_text":
        fields["amount_minor"] = f"{fields['amount_minor']}.00"
    elif name == "currency_unknown":
        fields["currency"] = "XXX"
    else:
        fields["amount_minor"] = -1 - fields["amount_minor"]
    return orjson.dumps(fields)
