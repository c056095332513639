"""As much of XML Schema as ISO 20022 messages use: sequences, choices, occurrences, and facets of simple types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

_XS = "{http://www.w3.org/2001/XMLSchema}"


class Schema:
    """One schema file. ``errors`` says what is wrong with a document."""

    def __init__(self, path: Path) -> None:
        root = ElementTree.parse(path).getroot()
        self._namespace = "{" + root.attrib["targetNamespace"] + "}"
        self._types = {each.attrib["name"]: each for each in root if each.tag != f"{_XS}element"}
        self._root = next(each for each in root if each.tag == f"{_XS}element")

    def errors(self, document: bytes) -> list[str]:
        """Every breach of the schema, with the path of its element."""
        root = ElementTree.fromstring(document)
        if root.tag != self._namespace + self._root.attrib["name"]:
            return [f"{root.tag}: not the schema's document"]
        return list(self._element(root, self._root.attrib["type"], self._root.attrib["name"]))

    def _element(self, element: ElementTree.Element, kind: str, path: str) -> Iterator[str]:
        if kind not in self._types:
            yield from self._simple(element.text or "", kind, path)
            return
        declared = self._types[kind]
        if declared.tag == f"{_XS}simpleType":
            yield from self._simple(element.text or "", kind, path)
            return
        extension = declared.find(f"{_XS}simpleContent/{_XS}extension")
        if extension is not None:
            yield from self._simple(element.text or "", extension.attrib["base"], path)
            for attribute in extension.iter(f"{_XS}attribute"):
                name = attribute.attrib["name"]
                yield from self._simple(element.attrib.get(name, ""), attribute.attrib["type"], f"{path}@{name}")
            return
        group = next(each for each in declared if each.tag in (f"{_XS}sequence", f"{_XS}choice"))
        yield from self._children(element, group, path)

    def _children(self, element: ElementTree.Element, group: ElementTree.Element, path: str) -> Iterator[str]:
        children, at = list(element), 0
        choice = group.tag == f"{_XS}choice"
        for each in group:
            if each.tag != f"{_XS}element":
                continue
            tag, count = self._namespace + each.attrib["name"], 0
            while at < len(children) and children[at].tag == tag:
                yield from self._element(children[at], each.attrib["type"], f"{path}/{each.attrib['name']}")
                at, count = at + 1, count + 1
            least, most = each.attrib.get("minOccurs", "1"), each.attrib.get("maxOccurs", "1")
            if (count < int(least) and not choice) or (most != "unbounded" and count > int(most)):
                yield f"{path}/{each.attrib['name']}: {count} of {least}..{most}"
        if at < len(children):
            yield f"{path}: {children[at].tag} is not expected here"
        if choice and len(children) != 1:
            yield f"{path}: {len(children)} of one choice"

    def _simple(self, text: str, kind: str, path: str) -> Iterator[str]:
        if kind in self._types:
            restriction = next(iter(self._types[kind]))
            yield from self._simple(text, restriction.attrib["base"], path)
            yield from _facets(text, restriction, path)
        elif kind == "xs:decimal":
            Decimal(text)
        elif kind == "xs:dateTime":
            datetime.fromisoformat(text)


def _facets(text: str, restriction: ElementTree.Element, path: str) -> Iterator[str]:
    allowed = []
    for facet in restriction:
        name, value = facet.tag.removeprefix(_XS), facet.attrib["value"]
        if name == "enumeration":
            allowed.append(value)
        elif (
            (name == "pattern" and not re.fullmatch(value, text))
            or (name == "minLength" and len(text) < int(value))
            or (name == "maxLength" and len(text) > int(value))
            or (name == "totalDigits" and len(text.replace(".", "").lstrip("0")) > int(value))
            or (name == "fractionDigits" and len(text.partition(".")[2]) > int(value))
            or (name == "minInclusive" and Decimal(text) < Decimal(value))
        ):
            yield f"{path}: {text!r} breaks {name} {value}"
    if allowed and text not in allowed:
        yield f"{path}: {text!r} is none of the codes"
