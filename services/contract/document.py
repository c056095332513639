"""The contract as a page for people: every topic, and every field of every record."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any

from services.contract.schema import RECORDS, json_schemas
from services.contract.topics import Topic, Topics

CODES_SHOWN_MAX = 12
_HEADINGS = {struct.__name__: name for name, struct in RECORDS.items()}
"""By the title of a schema: the record that it is of."""
HEAD = """# Topics

`tocsin topics document --out docs/topics.md` wrote this page from the code. Do not edit it.

`tocsin schema RECORD` prints a JSON Schema with all limits. `tocsin topics describe` shows what your cluster has.

The value of a record in people's topics is one JSON object. Its headers hold CloudEvents attributes (`ce_type`,
`ce_id`, ...); decisions, of which there are most, have none. Machines' topics hold batches of columns, which
[features.md](features.md) explains. `tocsin topics read TOPIC` prints what either says. The value of a dead letter is
the record as it came, and its headers are a [dead-letter.v1](#dead-letterv1). Times are milliseconds since 1970 in UTC.
Amounts are integers in the minor unit of their currency. `TOCSIN_TOPIC_PREFIX` stands before every name.
"""


def markdown() -> str:
    """The whole page."""
    topics = [
        "| topic | key | partitions | kept | records | purpose |",
        "|---|---|---|---|---|---|",
        *(_topic_row(each) for each in Topics().all()),
    ]
    schemas = json_schemas()
    shared = {name: each for schema in schemas.values() for name, each in schema["$defs"].items()}
    sections = [_section(record, shared[title]) for title, record in _HEADINGS.items()]
    parts = [_section(title, each) for title, each in sorted(shared.items()) if title not in _HEADINGS]
    return (
        "\n".join([HEAD, *topics, "", "## Records", "", *sections, "## Parts of records", "", *parts]).rstrip() + "\n"
    )


def _topic_row(topic: Topic) -> str:
    partitions = "`TOCSIN_PARTITIONS`" if topic.partitions is None else str(topic.partitions)
    kept = "the latest of each key" if topic.compacted else "for ever"
    records = ", ".join(f"[{each}](#{_anchor(each)})" for each in topic.records)
    columns = f"[{topic.columns}](features.md#{_anchor(topic.columns)})" if topic.columns else "bytes"
    purpose = topic.purpose + (" (internal)" if topic.internal else "")
    return f"| `{topic.name}` | {topic.key} | {partitions} | {kept} | {records or columns} | {purpose} |"


def _section(name: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        f"| `{field}` | {_type(of)} | {'yes' if field in required else _default(of)} |"
        for field, of in schema["properties"].items()
    ]
    about = cleandoc(schema.get("description", "")).replace("``", "`")
    return "\n".join([f"### {name}", "", about, "", "| field | value | required |", "|---|---|---|", *rows, ""])


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    return "no" if default is None or default in ((), [], {}, "") else f"no; `{str(default).lower()}`"


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON Schema in words."""
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        heading = _HEADINGS.get(title := _target(schema), title)
        return f"[{heading}](#{_anchor(heading)})"
    if "enum" in schema:
        codes = schema["enum"]
        few = len(codes) <= CODES_SHOWN_MAX
        return " \\| ".join(f"`{each}`" for each in codes) if few else f"one of {len(codes)} codes"
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        return f"map to {_type(schema.get('additionalProperties', {}))}"
    return str(kind) + _limits(schema)


def _limits(schema: Mapping[str, Any]) -> str:
    if "maxLength" in schema:
        return f", {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    low, high = (schema.get(f"{side}imum", schema.get(f"exclusive{side.title()}imum")) for side in ("min", "max"))
    if low is not None and high is not None:
        return f", {low:,} to {high:,}"
    return "" if low is None else f", at least {low:,}"


def _target(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"].rsplit("/", 1)[-1])


def _anchor(heading: str) -> str:
    """How GitHub names the anchor of a heading without blanks.

    >>> _anchor("payment-label.v1")
    'payment-labelv1'
    """
    return heading.lower().replace(".", "")
