# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the devices' settings mean on the data plane. That packets obey is seen in tests/ikev2, as root."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from lab.__main__ import on_plane
from lab.bigip import BigIp, props
from lab.dataplane.network import PLUGINS, PROGRAMS, missing
from lab.dataplane.rules import (
    Server,
    Service,
    balancer_rules,
    bigip_services,
    loadmaster_services,
    netscaler_services,
    server_of,
)
from lab.loadmaster import LoadMaster
from lab.netscaler import NetScaler
from lab.windows import WindowsHost

SERVERS = ("10.10.0.11", "10.10.0.12")


def pair(address: str, first: str | None, second: str | None) -> list[Service]:
    """Return the services of an address with their translations."""
    return [Service(address, 500, SERVERS, first), Service(address, 4500, SERVERS, second)]


def test_a_bigip_translates_to_its_floating_self_ip_or_to_a_pool() -> None:
    state = BigIp().state
    assert bigip_services(state) == pair("203.0.113.10", "10.10.0.1", "10.10.0.5")
    for virtual in state["virtual"].values():
        virtual["sourceAddressTranslation"] = {"type": "none"}
    assert bigip_services(state) == pair("203.0.113.10", None, None)


def test_a_bigip_with_a_floating_address_gone_takes_its_own() -> None:
    state = BigIp().state
    del state["self"]["/Common/int_float"]
    assert bigip_services(state)[0].translation == "10.10.0.2"


def test_what_a_bigip_leaves_out() -> None:
    state = BigIp().state
    state["pool"]["/Common/p_ikev2_4500"]["allowSnat"] = "no"
    state["pool"]["/Common/p_ikev2_500"]["members"]["/Common/rras1:500"]["session"] = "user-disabled"
    first, second = bigip_services(state)
    assert (first.servers, second.translation) == (("10.10.0.12",), None)
    state["virtual"]["/Common/vs_ikev2_500"]["disabled"] = True
    assert bigip_services(state) == [second]
    state["pool"]["/Common/p_ikev2_4500"]["members"]["/Common/rras2:4500"] |= props(
        "session=monitor-enabled state=down"
    )
    state["virtual"]["/Common/vs_ikev2_4500"]["ipProtocol"] = "any"
    assert [service.servers for service in bigip_services(state)] == [("10.10.0.11",)]
    state["virtual-address"]["/Common/203.0.113.10"]["enabled"] = "no"
    assert bigip_services(state) == []


def test_a_service_for_few_clients_is_not_played() -> None:
    state = BigIp().state
    state["virtual"]["/Common/vs_ikev2_500"]["source"] = "10.0.0.0/8"
    with pytest.raises(ValueError, match=r"does not play a service for 10\.0\.0\.0/8 alone"):
        bigip_services(state)


def test_a_translation_that_is_not_played_is_an_error() -> None:
    state = BigIp().state
    state["virtual"]["/Common/vs_ikev2_500"]["sourceAddressTranslation"] = props("type=lsn pool=/Common/lsn")
    with pytest.raises(ValueError, match="does not play the translation lsn"):
        bigip_services(state)


@pytest.mark.parametrize("plain", [False, True])
def test_a_netscaler_goes_by_usip(plain: bool) -> None:
    device = NetScaler()
    if plain:
        device.state["running"]["default"] = copy.deepcopy(device.add_partition("empty"))
        snip = {"ipaddress": "10.10.0.1", "type": "SNIP", "netmask": "255.255.255.0"}
        device.config["nsip"]["10.10.0.1"] = snip
        device.add_pair("203.0.113.20", "lb_vs_ikev2", plain=True)
    kind = "service" if plain else "servicegroup"
    assert netscaler_services(device.state) == pair("203.0.113.20", "10.10.0.1", "10.10.0.1")
    for record in device.config[kind].values():
        record["usip"] = "YES"
    assert netscaler_services(device.state) == pair("203.0.113.20", None, None)
    device.config["lbvserver"]["lb_vs_ikev2_500"]["curstate"] = "OUT OF SERVICE"
    assert [service.port for service in netscaler_services(device.state)] == [4500]


def test_a_netscaler_in_shapes_from_the_field() -> None:
    device = NetScaler()
    first, second = device.config["lbvserver"]["lb_vs_ikev2_500"], device.config["lbvserver"]["lb_vs_ikev2_4500"]
    first["range"], second["curstate"] = "2", "OUT OF SERVICE"
    device.member("sg_ikev2_500", "10.10.0.12")["svrstate"] = "DOWN"
    device.config["nsip"]["10.10.0.2"] = {**device.config["nsip"]["10.10.0.1"], "ipaddress": "10.10.0.2"}
    device.config["nsip"]["10.10.0.2"].update(type="GSLBsiteIP", iptype=["SNIP", "GSLBsiteIP"])
    device.config["nsip"]["10.10.0.1"]["state"] = "DISABLED"
    assert netscaler_services(device.state) == [
        Service(address, 500, ("10.10.0.11",), "10.10.0.2") for address in ("203.0.113.20", "203.0.113.21")
    ]


def test_a_loadmaster_goes_by_transparency_and_layer() -> None:
    device = LoadMaster()
    assert loadmaster_services(device.state) == pair("203.0.113.30", "10.10.0.1", "10.10.0.1")
    device.service("203.0.113.30", 500)["Transparent"] = True
    device.service("203.0.113.30", 4500)["Layer"] = 4
    assert loadmaster_services(device.state) == pair("203.0.113.30", None, None)
    device.service("203.0.113.30", 500)["Enable"] = False
    device.service("203.0.113.30", 4500)["Rs"][0]["Enable"] = False
    assert loadmaster_services(device.state) == [Service("203.0.113.30", 4500, SERVERS[1:], None)]
    # One service may listen on several ports and addresses.
    device.service("203.0.113.30", 4500).update(ExtraPorts="400-600 1701", AltAddress="203.0.113.31")
    assert loadmaster_services(device.state) == [
        Service(address, port, SERVERS[1:], None)
        for address in ("203.0.113.30", "203.0.113.31")
        for port in (500, 4500)
    ]
    device.service("203.0.113.30", 4500)["Rs"][1]["Status"] = "Down"
    assert {service.servers for service in loadmaster_services(device.state)} == {()}
    device.service("203.0.113.30", 4500)["Rs"][1].update(Status="Up", Forward="route")
    with pytest.raises(ValueError, match="does not play the direct server return of ikev2-4500"):
        loadmaster_services(device.state)


def windows(change: t.Callable[[dict[str, t.Any]], None] = lambda _state: None) -> Server:
    """Return what a Windows host is set to, after a change of its state."""
    host = WindowsHost("rras1", 1)
    change(host.state)
    return server_of(host.state)


def test_a_servers_routes_are_the_best_of_the_active_store() -> None:
    def second_default(state: dict[str, t.Any]) -> None:
        own = {"protocol": "NetMgmt", "if_index": 4, "next_hop": "10.10.0.1"}
        state["routes"]["active"] += [
            {**own, "dest": "0.0.0.0/0", "metric": 1},
            {**own, "dest": "198.51.100.0/24", "metric": 1, "next_hop": "10.10.0.254"},
        ]
        state["routes"]["persistent"].append({**own, "dest": "192.0.2.0/24", "metric": 1})

    assert windows() == Server({"0.0.0.0/0": "10.10.0.254"}, None, True)
    assert windows(second_default).routes == {"0.0.0.0/0": "10.10.0.1", "198.51.100.0/24": "10.10.0.254"}


def test_a_server_uses_the_limit_that_ikeext_has_read() -> None:
    def limit(state: dict[str, t.Any]) -> None:
        state["services"]["IKEEXT"]["ike_limit"] = 50000

    def stopped(state: dict[str, t.Any]) -> None:
        state["services"]["RemoteAccess"]["state"] = "stopped"

    assert windows(limit).limit == 50000
    assert not windows(stopped).answers


def test_the_rules_name_what_is_translated_and_nothing_else() -> None:
    services = [*pair("203.0.113.20", None, None), *pair("203.0.113.10", "10.10.0.1", "10.10.0.5")]
    lines = balancer_rules([*services, Service("203.0.113.30", 500, (), None)]).splitlines()
    assert lines[:2] == ["flush chain ip balancer services", "flush chain ip balancer translation"]
    translated = [line.split("ct original ip daddr ")[1] for line in lines if " translation ct " in line]
    assert translated == [
        "203.0.113.10 udp dport 500 snat to 10.10.0.1",
        "203.0.113.10 udp dport 4500 snat to 10.10.0.5",
    ]
    chosen = {line.split("dnat to ")[1] for line in lines if "dnat" in line}
    assert chosen == {"jhash ip saddr mod 2 seed 0xcafe map { 0 : 10.10.0.11, 1 : 10.10.0.12 }"}
    assert sum("dnat" in line for line in lines) == 4


@pytest.mark.parametrize(("code", "capabilities"), [(1, "000001ffffffffff"), (0, "000001ffffffefff")])
def test_root_that_may_not_make_namespaces_learns_it_before_anything_is_installed(
    code: int, capabilities: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    refusal = "unshare failed: Operation not permitted" if code else ""
    monkeypatch.setattr("subprocess.run", lambda command, **_more: CompletedProcess(command, code, "", refusal))
    monkeypatch.setattr(Path, "read_text", lambda *_given, **_more: f"Name:\tx\nCapEff:\t{capabilities}\n")
    monkeypatch.setattr("lab.__main__.install", lambda: pytest.fail("it was installed for nothing"))
    assert on_plane("packages", Path()) == 1
    said = capsys.readouterr().err
    assert "it needs network namespaces, which take CAP_SYS_ADMIN, CAP_NET_ADMIN" in said
    assert refusal in said


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("lab.dataplane.network.find", lambda program: None if program == "nft" else program)
    said = missing()
    assert said[0] == "it needs root, to make network namespaces"
    assert any("nftables" in line for line in said)
    assert {*PROGRAMS.values(), *PLUGINS.values()} >= {"nftables", "charon-systemd", "strongswan-swanctl"}
