"""What the fields of records have in common: how long, how large and how written each may be."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

EVENT_TIME_MS_MAX = 4_102_444_800_000  # 2100-01-01
EVENT_TIME_MS_MIN = EVENT_TIME_MS_MAX // 1_000 + 1
"""No payment is dated in the first weeks of 1970: what is written as such is a number of seconds."""
AMOUNT_EUR_MAX = 1e30
OVER_CLEARED_MAX = 1e35
AMOUNT_MINOR_MAX = 9_007_199_254_740_992  # 2**53: every such integer is also an exact float64

_END = r"$(?!\n)"
"""The end of a text: a dollar alone also stands before its last line break."""
ID_CHARACTERS_MAX = 128
Id = Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS_MAX, pattern=rf"^[^\x00-\x1f\x7f]*{_END}")]
"""No control characters: U+001F separates the parts of keys and of hashed names."""
Token = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=1000)]
Code = Annotated[str, Meta(min_length=1, max_length=35)]
EventTimeMs = Annotated[int, Meta(ge=0, le=EVENT_TIME_MS_MAX)]
PaidMs = Annotated[int, Meta(ge=EVENT_TIME_MS_MIN, le=EVENT_TIME_MS_MAX)]
"""When a payment was made."""
AmountMinor = Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""Of things, or the number of one; every such integer is also an exact float64."""
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(max_length=128)]
Sha256 = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{64}}{_END}")]
Version = Annotated[str, Meta(max_length=200, pattern=rf"^.+/[0-9]{{1,15}}{_END}")]
"""``name/version`` of a model."""
NAME_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,63}}{_END}"
"""Of a line of models: it is a folder's name, too."""
LineName = Annotated[str, Meta(pattern=NAME_PATTERN)]
ReviewProbability = Annotated[float, Meta(ge=0, le=1.000_001)]
"""A little beyond 1 is a threshold that nothing reaches: ``models.learning.threshold`` gives it where none keeps within
the budget."""
UtcOffsetMinutes = Annotated[int, Meta(ge=-840, le=840)]

DEFAULT_TENANT = "default"
