# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The picture of a path, clients to servers and back: where its boxes, lines and words go. No input or output."""

from __future__ import annotations

from ansible_collections.aovpn.ikev2.plugins.module_utils._platforms import title
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_input import Json
from ansible_collections.aovpn.ikev2.plugins.plugin_utils._report_text import counted, listed

SERVERS_SHOWN = 6

GOOD, BAD, WARN, OPEN = "good", "bad", "warn", "open"

SEES = {
    "seen": (GOOD, "sees its clients' own addresses"),
    "partly": (WARN, "sees the load balancer for some"),
    "hidden": (BAD, "sees the load balancer only"),
    "none": (OPEN, "sees nobody: no association"),
    None: (OPEN, "what it sees is unknown"),
}
ANSWERS = {
    True: (GOOD, "gateway leads back"),
    False: (BAD, "gateway bypasses it"),
    None: (OPEN, "return path unknown"),
}


def _sees(server: Json, predicted: bool) -> tuple[str, str]:
    """Return tone and words for what a server sees; in check mode that is what it sees now, not a prediction."""
    tone, said = SEES[server["sees"]]
    return (OPEN, f"now {said}") if predicted and server["sees"] else (tone, said)


def words(path: Json, *, predicted: bool = False) -> str:
    """Return as a text what the picture shows; ``predicted``: in check mode."""
    device = f"{path['device']} ({title(path['platform'])})"
    sentences = [
        f"Clients reach {path['vip'] or 'the services'} on {_ports(path)} of {device},"
        f" which {'keeps' if path['preserved'] else 'hides'} their addresses."
    ]
    for server in path["servers"]:
        who = server["host"] or "A server that was not read,"
        gateway = f"gateway {server['gateway']}, " if server["gateway"] else ""
        back, sees = ANSWERS[server["return_path_ok"]][1], _sees(server, predicted)[1]
        sentences.append(f"{who} at {server['address']}: {gateway}{back}, {sees}.")
    if not path["servers"]:
        sentences.append("The servers behind it were not read.")
    return " ".join(sentences)


def picture(path: Json, *, wide: bool, predicted: bool = False) -> Json:
    """Lay a path out: ``width``, ``height``, and lists of ``boxes``, ``lines`` and ``labels``.

    ``wide`` runs from left to right, the other from top to bottom for narrow screens. ``predicted``: in check mode.
    """
    shown = [{**server, "predicted": predicted} for server in path["servers"][:SERVERS_SHOWN]]
    more = len(path["servers"]) - len(shown)
    return (_wide if wide else _narrow)(path, shown, more)


def _ports(path: Json) -> str:
    return f"UDP {listed([str(port) if port else 'any port' for port in dict.fromkeys(item['port'] for item in path['services'])])}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most - most // 2 - 1) :]}"


def _box(x: int, y: int, width: int, height: int, tone: str, *rows: tuple[str, str]) -> Json:
    """``rows`` are pairs of a class and a text; the first one is the box's name."""
    # 13 px of a monospaced or a proportional font; both stay within these widths.
    room = {"name": 8.0, "mono": 7.0, "small": 6.3, GOOD: 6.3, BAD: 6.3, WARN: 6.3, OPEN: 6.3}
    top = y + (height - 19 * len(rows)) / 2 + 14
    return {
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "tone": tone,
        "rows": [
            {"kind": kind, "text": _short(text, int((width - 26) / room[kind])), "x": x + 14, "y": top + 19 * index}
            for index, (kind, text) in enumerate(rows)
        ],
    }


def _clients(x: int, y: int, width: int, height: int) -> Json:
    return _box(x, y, width, height, "plain", ("name", "Clients"), ("small", "their own addresses"))


def _vip(path: Json, x: int, y: int, width: int, height: int) -> Json:
    rows = [("name", path["vip"] or "no address"), ("small", _ports(path))]
    if path["probe"] is not None:
        answered = path["probe"]["answered"]
        rows.append((GOOD, "✓ answers IKE") if answered else (BAD, "✕ no answer to IKE"))
    return _box(x, y, width, height, "plain", *rows)


def _device(path: Json, x: int, y: int, width: int, height: int) -> Json:
    tone = GOOD if path["preserved"] else BAD
    says = "✓ keeps the clients' address" if path["preserved"] else "✕ hides the clients' address"
    kind = title(path["platform"])
    return _box(x, y, width, height, tone, ("name", path["device"]), ("small", kind), (tone, says))


def _server(server: Json, x: int, y: int, width: int, height: int) -> Json:
    tone, sees = _sees(server, server["predicted"])
    if server["host"] is None:
        return _box(
            x, y, width, height, OPEN, ("name", server["address"]), ("small", "not among the servers that were read")
        )
    mark = {GOOD: "✓", BAD: "✕", WARN: "!", OPEN: ""}[tone]
    return _box(
        x,
        y,
        width,
        height,
        tone,
        ("name", server["host"]),
        ("mono", server["address"]),
        ("small", f"gateway {server['gateway'] or 'missing'}"),
        (tone, f"{mark} {sees}".strip()),
    )


def _line(tone: str, *points: tuple[float, float], head: str = "", cut: bool = False) -> Json:
    """``head``: which way the arrow's head points (right, left, up, down); ``cut``: a cross instead of a head."""
    x, y = points[-1]
    heads = {
        "right": f"M{x} {y}l-8-4.5v9z",
        "left": f"M{x} {y}l8-4.5v9z",
        "down": f"M{x} {y}l-4.5-8h9z",
        "up": f"M{x} {y}l-4.5 8h9z",
    }
    return {
        "tone": tone,
        "path": "M" + "L".join(f"{x} {y}" for x, y in points),
        "head": "" if cut else heads.get(head, ""),
        "cross": f"M{x - 5} {y - 5}l10 10m0-10l-10 10" if cut else "",
    }


def _label(tone: str, text: str, x: float, y: float, anchor: str = "start") -> Json:
    return {"tone": tone, "text": text, "x": x, "y": y, "anchor": anchor}


def _source(path: Json) -> tuple[str, str]:
    return (GOOD, "from the client") if path["preserved"] else (BAD, "from the load balancer")


def _wide(path: Json, shown: list[Json], more: int) -> Json:
    row, tall = 112, 92
    height = row * max(1, len(shown)) - row + tall + 2
    middle = height / 2
    y = int(middle - 36)
    boxes = [_clients(1, y, 160, 72), _vip(path, 203, y, 190, 72), _device(path, 435, y, 220, 72)]
    lines = [
        _line("plain", (161, middle), (202, middle), head="right"),
        _line("plain", (393, middle), (434, middle), head="right"),
    ]
    labels = []
    for index, server in enumerate(shown):
        top = row * index + 1
        boxes.append(_server(server, 857, top, 262, tall))
        there, back = top + 30, top + 66
        tone, said = _source(path)
        lines.append(_line(tone, (655, middle - 14), (676, middle - 14), (676, there), (856, there), head="right"))
        labels.append(_label(tone, said, 698, there - 7))
        tone, said = ANSWERS[server["return_path_ok"]]
        if tone == GOOD:
            lines.append(_line(tone, (857, back), (686, back), (686, middle + 16), (656, middle + 16), head="left"))
        else:
            lines.append(_line(tone, (857, back), (698, back), cut=tone == BAD))
        labels.append(_label(tone, said, 698 if tone == GOOD else 712, back - 7))
    if more:
        labels.append(_label("plain", _more(more), 857, height + 20))
        height += 28
    if not shown:
        labels.append(_label(OPEN, "the servers behind it were not read", 676, middle + 4))
    return {"width": 1120, "height": height, "boxes": boxes, "lines": lines, "labels": labels}


def _narrow(path: Json, shown: list[Json], more: int) -> Json:
    boxes = [_clients(1, 1, 318, 56), _vip(path, 1, 81, 318, 72), _device(path, 1, 177, 318, 76)]
    lines = [_line("plain", (22, 57), (22, 80), head="down"), _line("plain", (22, 153), (22, 176), head="down")]
    labels = []
    device_end = y = 253
    # Two rails run down from the load balancer, left of the servers.
    for server in shown:
        top = y + 56
        there, back = top + 30, top + 62
        tone, said = _source(path)
        lines.append(_line(tone, (14, device_end), (14, there), (51, there), head="right"))
        labels.append(_label(tone, said, 52, top - 28))
        tone, said = ANSWERS[server["return_path_ok"]]
        if tone == GOOD:
            lines.append(_line(tone, (52, back), (30, back), (30, device_end + 1), head="up"))
        else:
            lines.append(_line(tone, (52, back), (32, back), cut=tone == BAD))
        labels.append(_label(tone, said, 52, top - 9))
        boxes.append(_server(server, 52, top, 267, 92))
        y = top + 92
    if more:
        labels.append(_label("plain", _more(more), 52, y + 22))
        y += 30
    if not shown:
        labels.append(_label(OPEN, "the servers behind it were not read", 1, y + 24))
        y += 32
    return {"width": 320, "height": y + 2, "boxes": boxes, "lines": lines, "labels": labels}


def _more(number: int) -> str:
    return f"and {counted(number, 'server')} more, in the JSON file"
