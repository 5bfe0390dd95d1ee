# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LoadMaster: shapes from the field, each as gathered, in check mode and for real, over both versions of the API."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter import LoadMaster as Adapter
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order, Snapshot, State
from lab.direct import directly
from lab.loadmaster import Api, LoadMaster

VIP = "203.0.113.30"
STATES: tuple[tuple[State, bool], ...] = (("gathered", False), ("preserved", True), ("preserved", False))
"""Looking, in check mode, for real."""
ORDER = Order(addresses=(VIP,), return_path={"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.1"})


@pytest.fixture(params=["v1", "v2"])
def api(request: pytest.FixtureRequest) -> Api:
    """Return each version in turn."""
    version: Api = request.param
    return version


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> LoadMaster:
    """Return a stand-in that is asked without a connection: what goes wrong on one is not what these tests are about."""
    monkeypatch.setattr("ansible_collections.aovpn.ikev2.plugins.module_utils._loadmaster.adapter.SECONDS", 0.0)
    return directly(LoadMaster(), monkeypatch)


def go(device: LoadMaster, api: Api, order: Order = ORDER, *, check_mode: bool = False) -> Result | RunFailed:
    """Run the engine on the stand-in, and give what came of it."""
    login = {"username": "bal", "password": "lab-loadmaster-secret-1"}
    adapter = Adapter(Endpoint("127.0.0.1"), api_version=int(api[1]), **login)
    try:
        return run(adapter, order, check_mode=check_mode)
    except RunFailed as error:
        return error


def flags(device: LoadMaster) -> list[bool]:
    """Return what is set on the device."""
    return [device.service(VIP, port)["Transparent"] for port in (500, 4500)]


def commands(device: LoadMaster) -> list[str]:
    """Return the commands that came."""
    return [
        entry.body["cmd"] if entry.path == "/accessv2" else entry.path.removeprefix("/access/") for entry in device.log
    ]


def thrice(device: LoadMaster, api: Api, order: Order = ORDER) -> tuple[Result, Result, Result]:
    """Gather, predict and change. What was predicted is what is done, and a second run changes nothing and takes one request."""
    looked = go(device, api, replace(order, state="gathered"))
    predicted = go(device, api, order, check_mode=True)
    assert device.writing() == []
    done = go(device, api, order)
    assert isinstance(looked, Result), str(looked)
    assert isinstance(predicted, Result), str(predicted)
    assert isinstance(done, Result), str(done)
    assert looked.changes == predicted.changes == done.changes
    assert predicted.services == done.services
    assert done.findings[: len(predicted.findings)] == predicted.findings
    device.log.clear()
    again = go(device, api, order)
    assert isinstance(again, Result)
    assert (again.changed, commands(device)) == (False, ["listvs"])
    return looked, predicted, done


def blocked(device: LoadMaster, api: Api, order: Order = ORDER) -> tuple[Result, str]:
    """Gather, and be refused twice without a write. Give what was gathered, and the words of the refusal."""
    looked = go(device, api, replace(order, state="gathered"))
    assert isinstance(looked, Result), str(looked)
    refused = [go(device, api, order, check_mode=check_mode) for check_mode in (True, False)]
    assert all(isinstance(came, RunFailed) and came.result.final_state == "unchanged" for came in refused), refused
    assert device.writing() == []
    return looked, str(refused[1])


def never(device: LoadMaster, api: Api, order: Order) -> str:
    """Fail in every state for the same reason, and give it."""
    device.log.clear()
    came = [
        go(device, api, replace(order, state=state, return_path=ORDER.return_path), check_mode=check_mode)
        for state, check_mode in STATES
    ]
    assert all(isinstance(one, RunFailed) for one in came)
    assert device.writing() == []
    (reason,) = {*map(str, came)}
    return reason


def found(result: Result, *codes: str) -> list[tuple[str, str, str]]:
    """Return the findings with these codes, briefly."""
    return [(item.code, item.severity, item.object) for item in result.findings if item.code in codes]


def rows(device: LoadMaster, *ports: int) -> list[dict[str, t.Any]]:
    """Return the second real server of the pair, on these ports or on both."""
    return [device.service(VIP, port)["Rs"][1] for port in ports or (500, 4500)]


@pytest.mark.parametrize(
    ("address", "servers"),
    [
        ("2001:db8::60", ("10.10.0.11",)),
        ("203.0.113.60", ("2001:db8:a::11",)),
        ("203.0.113.60", ("10.10.0.11", "2001:db8:a::11")),
    ],
)
def test_a_service_and_servers_of_two_ip_versions_are_left_alone(
    device: LoadMaster, api: Api, address: str, servers: tuple[str, ...]
) -> None:
    device.state["interfaces"].append({"Id": 2, "IPAddress": "2001:db8:a::1/64"})
    device.add_pair(address, "mixed", servers)
    gateways = {"10.10.0.11": "10.10.0.1", "2001:db8:a::11": "2001:db8:a::1"}
    looked, words = blocked(device, api, Order(addresses=(address,), return_path=gateways))
    assert {code[:2] for code in found(looked, "unsupported_mode")} == {("unsupported_mode", "blocker")}
    assert "are not of one IP version" in words


@pytest.mark.parametrize("listed", [True, False])
def test_servers_with_direct_server_return_alone_need_no_change_and_no_gateway(
    device: LoadMaster, api: Api, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "list_real_servers", listed)
    for port in (500, 4500):
        for row in device.service(VIP, port)["Rs"]:
            row["Forward"] = "route"
    order = Order(addresses=(VIP,), return_path=dict.fromkeys(("10.10.0.11", "10.10.0.12"), "10.10.0.254"))
    looked = go(device, api, replace(order, state="gathered"))
    assert isinstance(looked, Result)
    for check_mode in (True, False):
        came = go(device, api, order, check_mode=check_mode)
        assert isinstance(came, Result)
        assert (came.changed, came.changes, device.writing()) == (False, (), [])
    assert looked.changes == ()
    assert [service.source_preserved for service in looked.services] == [True, True]
    servers = [server for service in looked.services for server in service.servers]
    assert [(server.direct, server.gateways) for server in servers] == [(True, ())] * 4
    assert found(looked, "unsupported_mode", "return_path_wrong", "return_path_unverified") == [
        ("unsupported_mode", "warning", "10.10.0.11"),
        ("unsupported_mode", "warning", "10.10.0.12"),
    ]
    assert "direct server return" in next(item for item in looked.findings if item.code == "unsupported_mode").message


@pytest.mark.parametrize("listed", [True, False])
def test_a_service_that_mixes_direct_server_return_with_other_servers_is_left_alone(
    device: LoadMaster, api: Api, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "list_real_servers", listed)
    for row in rows(device):
        row["Forward"] = "route"
    order = replace(ORDER, return_path={"10.10.0.11": "10.10.0.1", "10.10.0.12": "10.10.0.254"})
    looked, words = blocked(device, api, order)
    assert found(looked, "unsupported_mode") == [("unsupported_mode", "blocker", "10.10.0.12")]
    assert "unsupported_mode at 10.10.0.12" in words
    assert "direct server return" in words
    assert "return_path" not in words
    gateways = {server.address: server.gateways for server in looked.services[0].servers}
    assert gateways == {"10.10.0.11": ("10.10.0.1",), "10.10.0.12": ()}
    # Out of service, it blocks nothing; and where the flag was switched on by hand, going back is not blocked either.
    for row in rows(device):
        row["Enable"] = False
    assert found(thrice(device, api)[2], "unsupported_mode") == [("unsupported_mode", "warning", "10.10.0.12")]
    for row in rows(device):
        row["Enable"] = True
    snapshot = Snapshot("loadmaster", "127.0.0.1", {f"{VIP}:{port}/udp": False for port in (500, 4500)}, {})
    assert isinstance(go(device, api, Order(state="restored", snapshot=snapshot)), Result)
    assert flags(device) == [False, False]


def one_service(device: LoadMaster, port: int | str = 500, extra: str = "4500", **own: t.Any) -> dict[str, t.Any]:
    """Have one service in place of the pair, among others."""
    for index in ("1", "2"):
        del device.state["services"][index]
    source = {"Persist": "src", "PersistTimeout": "3600", "NickName": "ikev2"}
    record = device.add_service(VIP, port, ("10.10.0.11", "10.10.0.12"), **source, ExtraPorts=extra, **own)
    device.state["services"]["9"] = device.state["services"].pop(str(record["Index"]))
    record["Index"] = 9
    return record


NAMED = [
    {},
    {"addresses": (VIP,)},
    {"services": (f"{VIP}:500/udp",)},
    {"services": (f"{VIP}:4500/udp",)},
    {"services": ("ikev2",)},
    {"services": ("9",)},
]


@pytest.mark.parametrize("named", NAMED, ids=str)
def test_one_service_on_both_ports_is_a_whole_pair_and_one_change(
    device: LoadMaster, api: Api, named: dict[str, t.Any]
) -> None:
    record = one_service(device)
    before = json.dumps(device.state["services"])
    for result in thrice(device, api, Order(return_path=ORDER.return_path, **named)):
        assert [(service.id, service.address, service.port) for service in result.services] == [
            (f"{VIP}:500/udp", VIP, 500),
            (f"{VIP}:500/udp", VIP, 4500),
        ]
        assert [change.id for change in result.changes] == [f"{VIP}:500/udp"]
        assert found(result, "pair_incomplete", "persistence_split", "server_sets_differ", "not_selected") == []
    assert record["Transparent"] is True
    # A snapshot names it by its first port, as one did that was written when only that was known.
    snapshot = Snapshot("loadmaster", "127.0.0.1", {f"{VIP}:500/udp": False}, {})
    for check_mode in (True, False):
        back = go(device, api, Order(state="restored", snapshot=snapshot), check_mode=check_mode)
        assert isinstance(back, Result)
        assert [(service.port, service.value) for service in back.services] == [(500, False), (4500, False)]
    assert json.dumps(device.state["services"]) == before


def test_one_service_on_both_ports_takes_five_requests(device: LoadMaster, api: Api) -> None:
    one_service(device)
    result = go(device, api)
    assert isinstance(result, Result)
    assert commands(device) == ["listvs", "getall", "showiface", "modvs", "listvs"]
    assert device.writing()[0].body["port"] == "500"
    assert result.snapshot is not None
    assert [*result.snapshot.services] == [f"{VIP}:500/udp"]


@pytest.mark.parametrize(
    ("port", "extra"),
    [
        (4500, "500"),
        (500, "4500,1701"),
        (500, "1701 4500"),
        (500, "1701, 4490-4510"),
        (1701, "400-600,4500"),
        (500, "4000-4508"),
        (500, "1000-60000"),
        ("490-510", "4500"),
        ("500-4500", ""),
    ],
)
def test_ports_are_lists_and_ranges(device: LoadMaster, api: Api, port: int | str, extra: str) -> None:
    one_service(device, port, extra)
    for result in thrice(device, api):
        assert [service.port for service in result.services] == [500, 4500]
        assert {service.id for service in result.services} == {f"{VIP}:{port}/udp"}
        assert len(result.changes) == 1


def test_a_service_on_both_ports_needs_source_address_persistence(device: LoadMaster, api: Api) -> None:
    record = one_service(device)
    # Below a minute, the time-out is stored as 0, and that is no persistence.
    for changed in ({"PersistTimeout": "0"}, {"Persist": "", "PersistTimeout": "0"}, {"Persist": "udpsip"}):
        record.update({"Persist": "src", "PersistTimeout": "3600", "Transparent": False, **changed})
        device.log.clear()
        for result in thrice(device, api):
            assert found(result, "persistence_split") == [("persistence_split", "warning", f"{VIP}:500/udp")]
            assert "follows" not in next(item for item in result.findings if item.code == "persistence_split").message


def test_a_service_on_half_of_the_ports_is_half_a_pair(device: LoadMaster, api: Api) -> None:
    one_service(device, 500, "1701,5000-5010")
    looked, words = blocked(device, api)
    assert found(looked, "pair_incomplete") == [("pair_incomplete", "blocker", f"{VIP}:500/udp")]
    assert "is served here on UDP 500 and not on UDP 4500" in words


def test_a_range_that_the_device_does_not_find_is_not_half_changed(
    device: LoadMaster, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "ranges", False)
    one_service(device, "490-510", "4500")
    for order, check_mode in ((replace(ORDER, state="gathered"), False), (ORDER, True)):
        looked = go(device, api, order, check_mode=check_mode)  # neither can know
        assert isinstance(looked, Result)
        assert len(looked.changes) == 1
    came = go(device, api)
    assert isinstance(came, RunFailed)
    assert "refused modvs" in str(came)
    assert came.result.final_state == "unchanged"


def test_a_service_on_all_ports_is_changed_when_it_is_named(device: LoadMaster, api: Api) -> None:
    one_service(device, "*", "")
    for state, check_mode in STATES:
        nothing = go(device, api, Order(state=state, return_path=ORDER.return_path), check_mode=check_mode)
        assert isinstance(nothing, Result)
        assert found(nothing, "not_selected") == [("not_selected", "warning", f"{VIP}:0/udp")]
    assert device.writing() == []
    result = thrice(device, api, Order(services=(f"{VIP}:*/udp",), return_path=ORDER.return_path))[2]
    assert [service.id for service in result.services] == [f"{VIP}:0/udp"]


@pytest.mark.parametrize("second", [{"AltAddress": "198.51.100.30"}, {"range": 3}, {"Range": "3"}], ids=str)
def test_a_second_address_of_a_pair_is_found_by_address(device: LoadMaster, api: Api, second: dict[str, t.Any]) -> None:
    for port in (500, 4500):
        device.service(VIP, port).update(second)
    address = second.get("AltAddress", "203.0.113.32")
    order = Order(addresses=(address,), return_path=ORDER.return_path)
    for result in thrice(device, api, order):
        assert [(service.id, service.address) for service in result.services] == [
            (f"{VIP}:500/udp", address),
            (f"{VIP}:4500/udp", address),
        ]
        assert len(result.changes) == 2
    assert flags(device) == [True, True]


def test_an_alternate_address_of_another_ip_version_is_not_cut_off(device: LoadMaster, api: Api) -> None:
    for port in (500, 4500):
        device.service(VIP, port)["AltAddress"] = "2001:db8::30"
    for address in (VIP, "2001:db8::30"):
        looked, words = blocked(device, api, replace(ORDER, addresses=(address,)))
        assert found(looked, "unsupported_mode") == [
            ("unsupported_mode", "blocker", f"{VIP}:500/udp"),
            ("unsupported_mode", "blocker", f"{VIP}:4500/udp"),
        ]
        assert "2001:db8::30" in words


@pytest.mark.parametrize("layer", [7, 4])
def test_the_vendors_published_answers_have_no_layer(
    device: LoadMaster, api: Api, layer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "layers", "published")
    for port in (500, 4500):
        device.service(VIP, port).update(Layer=layer, ForceL4=layer == 4, ForceL7=layer == 7)
    for result in thrice(device, api):
        assert [service.source_preserved for service in result.services] == [layer == 4 or result.changed] * 2
        assert len(result.changes) == (2 if layer == 7 else 0)


@pytest.mark.parametrize(
    "odd", [{"ForceL7": False, "ForceL4": False}, {"ForceL7": True, "ForceL4": True}, None], ids=str
)
def test_a_layer_that_is_not_known_is_left_alone(device: LoadMaster, api: Api, odd: dict[str, bool] | None) -> None:
    for record in device.add_pair("203.0.113.31", "other"):
        for key in ("Layer", "ForceL4", "ForceL7"):
            del record[key]
        record.update(odd or {})
    for result in thrice(device, api, Order(return_path=ORDER.return_path)):
        assert found(result, "not_read") == [
            ("not_read", "warning", "203.0.113.31:500/udp"),
            ("not_read", "warning", "203.0.113.31:4500/udp"),
        ]
        assert {service.address for service in result.services} == {VIP}
    device.log.clear()
    for named in (Order(addresses=("203.0.113.31",)), Order(services=("other-500",))):
        assert "whether it works on layer 4 or 7" in never(device, api, named)
    assert device.writing() == []


ODD: dict[str, dict[str, t.Any]] = {
    "a wide range": {"VSPort": "50000-59999"},
    "a name": {"VSAddress": "vpn.example.net"},
    "no address": {"VSAddress": ""},
    "no port": {"VSPort": ""},
    "a strange port": {"ExtraPorts": "isakmp"},
    "a port that is none": {"VSPort": "70000"},
    "a range backwards": {"VSPort": "600-500"},
    "a strange flag": {"Transparent": "sometimes"},
    "a strange layer": {"Layer": 5},
    "a long range of addresses": {"range": 4000},
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_service_never_takes_the_device_away(device: LoadMaster, api: Api, odd: str) -> None:
    device.add_service("203.0.113.30", 3478, ("10.10.0.13",), NickName="odd", **ODD[odd])
    for order in (ORDER, Order(return_path=ORDER.return_path)):
        device.service(VIP, 500)["Transparent"] = device.service(VIP, 4500)["Transparent"] = False
        device.log.clear()
        for result in thrice(device, api, order):
            ((_code, severity, name),) = found(result, "not_read")
            assert (severity, len(result.services)) == ("warning", 2)
            assert name.startswith(("203.0.113.30:", "vpn.example.net:", "odd"))
    for name in ("odd", str(len(device.state["services"]))):
        assert "in a way that is not understood" in never(device, api, Order(services=(name,)))


@pytest.mark.parametrize("shown", [{"Addr": ""}, {"Addr": None}, {"Addr": "rras9"}, {"Forward": "tunnel"}], ids=str)
def test_a_real_server_that_cannot_be_read_never_takes_the_device_away(
    device: LoadMaster, api: Api, shown: dict[str, t.Any]
) -> None:
    name = "rras9.example.net"
    for record in device.add_pair("203.0.113.31", "other"):
        record["Rs"][1].update(shown, DnsName=name)
    for result in thrice(device, api):
        assert found(result, "not_read") == [
            ("not_read", "warning", f"{name} of 203.0.113.31:{port}/udp") for port in (500, 4500)
        ]
    device.log.clear()
    # Where the service was asked for, somebody has to vouch for that server; one that is retired needs nobody.
    order = Order(addresses=("203.0.113.31",), return_path=ORDER.return_path)
    looked, words = blocked(device, api, order)
    assert found(looked, "return_path_unverified") == [("return_path_unverified", "blocker", name)]
    assert f"return_path_unverified at {name}" in words
    for port in (500, 4500):
        device.service("203.0.113.31", port)["Rs"][1]["Enable"] = False
    assert found(thrice(device, api, order)[2], "return_path_unverified") == []


def test_an_interface_that_cannot_be_read_is_a_finding(device: LoadMaster, api: Api) -> None:
    device.state["interfaces"].append({"Id": 7, "IPAddress": "dhcp"})
    for result in thrice(device, api):
        expected = (
            [] if not result.services[0].servers else [("not_read", "warning", "interface 7 of LoadMaster 127.0.0.1")]
        )
        assert found(result, "not_read") == expected
    device.state["interfaces"] = [{"Id": 1, "IPAddress": "dhcp"}]
    for port in (500, 4500):
        device.service(VIP, port)["Transparent"] = False
    device.log.clear()
    looked, words = blocked(device, api)
    assert {code[2] for code in found(looked, "unsupported_mode")} == {"10.10.0.11", "10.10.0.12"}
    assert "in no subnet that the LoadMaster names" in words


@pytest.mark.parametrize("changed", [{"Enable": False}, {"Status": "Down"}, {"Status": "Disabled"}], ids=str)
def test_a_server_that_is_out_of_service_on_one_port(device: LoadMaster, api: Api, changed: dict[str, t.Any]) -> None:
    rows(device, 4500)[0].update(changed)
    for result in thrice(device, api)[:2]:
        ((_code, severity, _name),) = found(result, "server_sets_differ")
        assert severity == "warning"
        assert f"{VIP}:4500/udp has 10.10.0.11." in next(
            item.message for item in result.findings if item.code == "server_sets_differ"
        )


def test_a_retired_server_does_not_block_and_one_that_is_down_does(device: LoadMaster, api: Api) -> None:
    order = replace(ORDER, return_path={"10.10.0.11": "10.10.0.1"})
    for row in rows(device):
        row["Status"] = "Down"
    assert "return_path_unverified at 10.10.0.12" in blocked(device, api, order)[1]
    for row in rows(device):
        row["Enable"] = False
    done = thrice(device, api, order)[2]
    assert found(done, "return_path_unverified") == [("return_path_unverified", "info", "10.10.0.12")]
    assert "10.10.0.1" in next(item.remedy for item in done.findings if item.object == "10.10.0.12")


@pytest.mark.parametrize("off", [{"Enable": False}, {"Status": "Disabled"}], ids=str)
def test_a_disabled_service_is_shown_as_such(device: LoadMaster, api: Api, off: dict[str, t.Any]) -> None:
    device.service(VIP, 500).update(off)
    looked, _predicted, done = thrice(device, api)
    assert [service.enabled for service in looked.services] == [False, True]
    assert found(done, "disabled_service") == [("disabled_service", "info", f"{VIP}:500/udp")]
    assert device.service(VIP, 500).items() >= off.items()


def test_what_is_on_by_default_is_reported_once(device: LoadMaster, api: Api) -> None:
    device.add_pair("203.0.113.31", "other")
    for result in thrice(device, api, Order(return_path=ORDER.return_path)):
        assert found(result, "subnet_originating") == [("subnet_originating", "info", "LoadMaster 127.0.0.1")]


@pytest.mark.parametrize(
    ("flags", "snat", "told"),
    [
        ({"UseforSnat": True}, True, []),
        ({"UseforSnat": False}, True, ["Use Address for Server NAT is off for"]),
        ({"UseforSnat": True}, False, ["server NAT of the whole device is off, while Subnet Originating"]),
        ({"UseforSnat": True, "SubnetOriginating": False}, False, []),
        ({"UseforSnat": False, "Layer": 4}, False, []),
    ],
    ids=str,
)
def test_server_nat_on_which_the_vendors_documents_disagree(
    device: LoadMaster, api: Api, flags: dict[str, t.Any], snat: bool, told: list[str]
) -> None:
    device.state["parameters"]["snat"] = snat
    for port in (500, 4500):
        device.service(VIP, port).update(flags)
    for result in thrice(device, api):
        messages = [item.message for item in result.findings if item.code == "server_nat"]
        if not result.version:  # a service on layer 4 is right as it is: nothing more was asked
            continue
        assert [item for item in messages if "the vendor's description of routing" in item] == messages[1:]
        assert len(messages) == 1 + len(told)
        assert all(words in messages[1] for words in told)


def test_a_pair_of_units_without_a_shared_address_is_not_said_to_have_none(device: LoadMaster, api: Api) -> None:
    device.set_ha(1)
    looked, words = blocked(device, api)
    assert "it has none there" not in words
    assert "10.10.0.1 does not move to the other unit" in words
    assert looked.services[0].servers[0].gateways == ()
    device.set_ha(1, eth1="10.10.0.3")
    thrice(device, api, replace(ORDER, return_path=dict.fromkeys(ORDER.return_path or (), "10.10.0.3")))


def test_the_addresses_from_which_the_device_may_send_are_returned(device: LoadMaster, api: Api) -> None:
    device.set_ha(1, eth0="203.0.113.4", eth1="10.10.0.3")
    device.state["interfaces"][1]["AdditionalAddresses"] = ["10.20.0.1/24"]
    device.service(VIP, 500).update(LocalBindAddrs="10.30.0.51 2001:db8:0::52", AltAddress="203.0.113.31")
    order = replace(ORDER, return_path=dict.fromkeys(("10.10.0.11", "10.10.0.12"), "10.10.0.3"))
    services = [VIP, "203.0.113.31", "10.30.0.51", "2001:db8::52"]
    interfaces = ["203.0.113.3", "203.0.113.4", "10.10.0.1", "10.10.0.3", "10.20.0.1"]
    results = thrice(device, api, order)
    assert [result.as_dict()["own_addresses"] for result in results] == [sorted([*services, *interfaces])] * 3
    unchanged = go(device, api, order)
    assert isinstance(unchanged, Result)
    assert unchanged.as_dict()["own_addresses"] == sorted(services)


def test_an_alternate_source_address_that_cannot_be_read_is_a_finding(device: LoadMaster, api: Api) -> None:
    device.service(VIP, 500)["LocalBindAddrs"] = "10.30.0.51, inside"
    looked, _predicted, _done = thrice(device, api)
    assert found(looked, "not_read") == [("not_read", "warning", f"alternate source address of {VIP}:500/udp")]
    assert "10.30.0.51" in looked.own_addresses


def test_a_service_with_subvss_is_said_to_be_unverified(device: LoadMaster, api: Api) -> None:
    for port in (500, 4500):
        master = device.service(VIP, port)
        sub = device.add_service("", 0, ("10.10.0.11",), NickName=f"sub-{port}", MasterVSID=master["Index"])
        entry = {"Status": "Up", "VSIndex": sub["Index"], "RsIndex": 1, "Name": sub["NickName"], "Forward": "nat"}
        master.update(SubVS=[entry], MasterVS=1, NumberOfRSs=1, Rs=[])
    looked, words = blocked(device, api)
    expected = [("unsupported_mode", "warning", f"{VIP}:{port}/udp") for port in (500, 4500)]
    assert found(looked, "unsupported_mode", "not_read") == expected
    assert "return_path_unverified" in words
    for result in thrice(device, api, replace(ORDER, accept=frozenset({"return_path_unverified"}))):
        assert found(result, "unsupported_mode") == expected
