# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LoadMaster's answers in XML (API v1) or JSON (v2), as fields; and how single fields are read. No input or output."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from xml.etree import ElementTree

Fields: t.TypeAlias = "dict[str, t.Any]"

DEPTH = 20
"""How deep a document may be nested; the API's own are half as deep."""

CONTROLS = bytes(byte if byte >= 32 or byte in b"\t\n\r" else ord("?") for byte in range(256))
"""Control characters are not allowed in XML, and one in a name must not take the whole device away."""


class NotUnderstood(ValueError):
    """A body is not an answer of the API. The text says what was expected instead."""


@dataclass(frozen=True)
class Outcome:
    """An answer. ``code``: the API's own status, good below 400. ``message``: the reason otherwise."""

    code: int
    message: str
    fields: Fields


class _NoDoctype(ElementTree.TreeBuilder):
    """Builds a tree of a document without a document type: with none, there are no entities to expand."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse."""
        raise ElementTree.ParseError("a document type")


def decode_xml(body: bytes, charset: str = "") -> Outcome:
    """Read an answer of API v1. ``charset`` is what its HTTP header names; without one, the document's own declaration counts (RFC 7303).

    :raises NotUnderstood: where it is none.
    """
    try:
        parser = ElementTree.XMLParser(target=_NoDoctype(), encoding=charset or None)
        root = ElementTree.fromstring(body.translate(CONTROLS), parser)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise NotUnderstood("an XML document") from error
    if root.tag != "Response":
        raise NotUnderstood("an XML document with the element Response")
    code = _code(root.get("stat"), fine=root.get("code") == "ok")
    success = root.find("Success")
    if code < 400 and success is None:
        raise NotUnderstood("an XML document with the element Success")
    data = None if success is None else success.find("Data")
    return Outcome(code, (root.findtext("Error") or "").strip(), {} if data is None else _fields(data, DEPTH))


def decode_json(text: str) -> Outcome:
    """Read an answer of API v2.

    :raises NotUnderstood: where it is none.
    """
    try:
        fields = json.loads(text)
        json.dumps(fields, ensure_ascii=False).encode()  # half a character can be read, but neither shown nor sent back
    except (ValueError, RecursionError):
        fields = None
    # 'Status' with a capital is a service's health, and says nothing here.
    if not isinstance(fields, dict) or "status" not in fields:
        raise NotUnderstood("a JSON object with the key status")
    code = _code(fields.get("code"), fine=fields["status"] == "ok")
    return Outcome(
        code,
        str(fields.get("message", "")),
        {key: value for key, value in fields.items() if key not in ("code", "status", "message")},
    )


def _code(given: t.Any, *, fine: bool) -> int:
    """Return one status for the two ways in which an answer gives it."""
    number = int(given) if str(given).isdecimal() else 0
    return number or 200 if fine else max(number, 400)


def _fields(element: ElementTree.Element, depth: int) -> Fields:
    """Turn an element's children into fields, as the JSON of API v2 has them; what repeats becomes a list."""
    if not depth:
        raise NotUnderstood("an XML document that is not nested so deep")
    fields: Fields = {}
    for child in element:
        value: t.Any = _fields(child, depth - 1) if len(child) else (child.text or "").strip()
        fields.setdefault(child.tag, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in fields.items()}


# Single fields


def listed(fields: Fields, key: str) -> list[t.Any]:
    """Return a list of records: absent when empty, and one alone may stand without its list."""
    return as_list(fields.get(key) or [])


def as_list(value: t.Any) -> list[t.Any]:
    """Return a list, also of one thing that stands without its list."""
    return value if isinstance(value, list) else [value]


def text(fields: Fields, key: str) -> str:
    """Read a text or a number as text; empty where it is absent."""
    value = fields.get(key)
    if isinstance(value, (dict, list)):
        raise ValueError(f"{key} is {value!r:.80}")
    return "" if value is None else str(value).strip()


def number(fields: Fields, key: str) -> int:
    """Read a number, which may be a text; 0 where it is absent."""
    value = text(fields, key)
    if value and not (value.isascii() and value.isdecimal()):
        raise ValueError(f"{key} is {value!r:.80}")
    return int(value or 0)


def flag(fields: Fields, key: str, *, absent: bool = False) -> bool:
    """Read a flag: Y and N or yes and no in v1, true and false in v2, and an empty text for what is off."""
    if key not in fields:
        return absent
    value = text(fields, key).lower()
    if value in ("true", "y", "yes", "1"):
        return True
    if fields[key] is None or value not in ("false", "n", "no", "0", ""):
        raise ValueError(f"{key} is {fields[key]!r:.80}, which is neither yes nor no")
    return False
