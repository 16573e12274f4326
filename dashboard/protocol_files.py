"""The files that are made from dashboard/protocol.py: schema, page, browser module, examples."""

from __future__ import annotations

import base64
import inspect
import json
import textwrap
from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from dashboard import binary_frames, protocol
from dashboard.close_codes import TERMINAL
from dashboard.protocol_examples import CLIENT_EXAMPLES, SERVER_EXAMPLES

NOTE = "Made by `python manage.py protocol` from dashboard/protocol.py; do not edit."
CLIENT = get_args(protocol.ClientMessage)
SERVER = get_args(protocol.ServerMessage)
PARTS = (
    protocol.Limits, protocol.Line, protocol.EventItem, protocol.MetricItem, protocol.Person,
)  # fmt: skip


def files() -> dict[str, str]:
    """Path (from the project's folder) -> content."""
    return {
        "docs/protocol.schema.json": json.dumps(schema(), indent=1) + "\n",
        "docs/protocol.md": page(),
        "static/js/protocol.js": module(),
        "tests/examples/frames.json": examples(),
        "tests/examples/binary.json": binary_examples(),
    }


def schema() -> dict[str, Any]:
    """JSON Schema of both directions."""
    (client, server), components = msgspec.json.schema_components(
        (protocol.ClientMessage, protocol.ServerMessage), ref_template="#/$defs/{name}"
    )
    for component in components.values():  # docstrings are indented before Python 3.13
        if "description" in component:
            component["description"] = inspect.cleandoc(component["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pulseboard live protocol, JSON form",
        "$defs": {**components, "client": client, "server": server},
    }


def _example(frame: msgspec.Struct) -> str:
    return msgspec.json.encode(frame).decode()


def _first_example(of: type[msgspec.Struct]) -> str:
    every = (*CLIENT_EXAMPLES, *SERVER_EXAMPLES)
    return next(_example(frame) for frame in every if type(frame) is of)


def examples() -> str:
    both = {
        "client": [json.loads(_example(frame)) for frame in CLIENT_EXAMPLES],
        "server": [json.loads(_example(frame)) for frame in SERVER_EXAMPLES],
    }
    return json.dumps(both, indent=1) + "\n"


def binary_examples() -> str:
    """Binary messages in base64, each with the JSON form of the same."""
    both = []
    for frame in SERVER_EXAMPLES:
        if isinstance(frame, protocol.Snapshot | protocol.Update):
            encoded = binary_frames.encode_message(frame)
            both.append(
                {
                    "base64": base64.b64encode(encoded).decode(),
                    "frame": json.loads(_example(frame)),
                }
            )
    return json.dumps(both, indent=1) + "\n"


def page() -> str:
    lines = [
        "# The live protocol",
        "",
        f"<!-- {NOTE} -->",
        "",
        "One WebSocket at `/live/`. Under the subprotocol `pulseboard.v1.json` every message is a",
        "text frame that holds one JSON object, told apart by `type`; under `pulseboard.v1`, which",
        "is taken when a client offers both, snapshots and updates of queries come as binary",
        "frames ([below](#binary-frames)) and the rest is the same. What clients send is always",
        "JSON. A browser is known by its session",
        "cookie and must come from the page's own origin; everybody else sends a token with scope",
        f"`read` in the first frame, within {protocol.HELLO_TIMEOUT_S:g} s",
        "(`manage.py token NAME --scope read`), and no cookie. Times are milliseconds since 1970,",
        "UTC. Unknown fields of a server's frame are to be ignored: later versions may add some.",
        "",
        "A schema for machines: [protocol.schema.json](protocol.schema.json).",
        "",
    ]
    for title, frames in (("From the client", CLIENT), ("From the server", SERVER)):
        lines += [f"## {title}", ""]
        for frame in frames:
            lines += [f"### {_tag(frame)}", "", _sentences(frame), ""]
            lines += ["```json", _first_example(frame), "```", ""]
    lines += _binary_section()
    lines += ["## Parts", ""]
    for part in PARTS:
        lines += [f"- `{part.__name__}` ({', '.join(_fields(part))}): {_sentences(part)}"]
    lines += [
        "",
        "## Close codes",
        "",
        "| code | name | meaning | come back? |",
        "|---|---|---|---|",
    ]
    for code in protocol.Close:
        back = "not by itself" if code in TERMINAL else "yes"
        back = "-" if code is protocol.Close.NORMAL else back
        lines.append(f"| {int(code)} | {code.name} | {code.meaning} | {back} |")
    lines += [
        "",
        "## Reconnecting",
        "",
        "Keep the `cursor` of the last frame of each watch. After a break, wait a random time",
        "(full jitter, 0.5 s growing to 10 s; the window of `bye.retry_ms` when there was one),",
        "connect, and send each watch again with its cursor. While the server still has them,",
        "exactly the missed updates follow; otherwise a new snapshot, which replaces what you had.",
        "After an `error` with an `id` that watch has ended, and its id is free again. Nothing",
        f"at all for {2.5 * protocol.HEARTBEAT_MS / 1000:g} s means that the connection is dead.",
        "",
    ]
    return "\n".join(lines)


def _binary_section() -> list[str]:
    example = next(frame for frame in SERVER_EXAMPLES if isinstance(frame, protocol.Snapshot))
    encoded = base64.b64encode(binary_frames.encode_message(example)).decode()
    rows = [f"| {at} | {kind} | {what} |" for at, kind, what in binary_frames.LAYOUT]
    return [
        "## Binary frames",
        "",
        "Under `pulseboard.v1` a snapshot or an update is one binary message, little-endian, every",
        "array on a multiple of 8 bytes from the message's start:",
        "",
        "| offset | type | field |",
        "|---|---|---|",
        *rows,
        "",
        "The cursor is the epoch as 8 hexadecimal digits, a colon and the number as an integer,",
        "such as `9d0700e3:118`; empty when both are 0. NaN stands where JSON has null. A receiver",
        "ignores, and counts, a message of another version or kind, and one whose length does not",
        "fit. The example of a snapshot above in this form, in base64:",
        "",
        "```text",
        *textwrap.wrap(encoded, 100),
        "```",
        "",
    ]


def module() -> str:
    closes = ", ".join(f"{code.name}: {int(code)}" for code in protocol.Close)
    meanings = ",\n".join(f"  {int(c)}: {json.dumps(c.meaning)}" for c in protocol.Close)
    lines = [
        f"// {NOTE}",
        "",
        f"export const VERSION = {protocol.VERSION};",
        _constant("SUBPROTOCOLS", list(protocol.SUBPROTOCOLS)),
        f"export const BINARY_FORMAT = {binary_frames.FORMAT};",
        f"export const BINARY_HEADER_BYTES = {binary_frames.HEADER.size};",
        f"export const HEARTBEAT_MS = {protocol.HEARTBEAT_MS};",
        f"export const CLOSE = Object.freeze({{ {closes} }});",
        f"export const CLOSE_MEANING = Object.freeze({{\n{meanings},\n}});",
        _constant("TERMINAL", [int(code) for code in TERMINAL]),
        _constant("CLIENT_TYPES", [_tag(frame) for frame in CLIENT]),
        _constant("SERVER_TYPES", [_tag(frame) for frame in SERVER]),
        "",
    ]
    for struct in (*PARTS, *CLIENT, *SERVER):
        lines += _typedef(struct)
    lines += [
        "/** @typedef {" + " | ".join(f.__name__ + "Frame" for f in CLIENT) + "} ClientFrame */",
        "/** @typedef {" + " | ".join(f.__name__ + "Frame" for f in SERVER) + "} ServerFrame */",
        "",
    ]
    return "\n".join(lines)


def _constant(name: str, value: object) -> str:
    return f"export const {name} = Object.freeze({json.dumps(value)});"


def _typedef(struct: type[msgspec.Struct]) -> list[str]:
    tag = _tag(struct)
    name = f"{struct.__name__}Frame" if tag else struct.__name__
    lines = ["/**", f" * {_sentences(struct)}", f" * @typedef {{object}} {name}"]
    if tag:
        lines.append(f" * @property {{{json.dumps(tag)}}} type")
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        shown = field.name if field.required else f"[{field.name}]"
        lines.append(f" * @property {{{_js(field.type)}}} {shown}")
    return [*lines, " */", ""]


def _js(kind: Any) -> str:
    """The JSDoc type of a msgspec type."""
    if isinstance(kind, msgspec.inspect.StructType):
        return kind.cls.__name__
    if isinstance(kind, msgspec.inspect.ListType):
        return f"Array<{_js(kind.item_type)}>"
    if isinstance(kind, msgspec.inspect.TupleType):
        return "[" + ", ".join(map(_js, kind.item_types)) + "]"
    if isinstance(kind, msgspec.inspect.DictType):
        return f"Object<string, {_js(kind.value_type)}>"
    if isinstance(kind, msgspec.inspect.UnionType):
        return "|".join(map(_js, kind.types))
    if isinstance(kind, msgspec.inspect.LiteralType):
        return "|".join(json.dumps(value) for value in kind.values)
    names = {
        "BoolType": "boolean",
        "IntType": "number",
        "FloatType": "number",
        "StrType": "string",
        "NoneType": "null",
    }
    return names[type(kind).__name__]


def _tag(struct: type[msgspec.Struct]) -> str:
    tag = struct.__struct_config__.tag
    return str(tag) if tag else ""


def _fields(struct: type[msgspec.Struct]) -> Iterable[str]:
    return (f"`{name}`" for name in struct.__struct_fields__)


def _sentences(struct: type[msgspec.Struct]) -> str:
    return " ".join((inspect.getdoc(struct) or "").split())
