# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Citrix ADC: configurations as they are in the field, against the stand-in: gathered, in check mode, and changed."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.aovpn.ikev2.plugins.module_utils._engine import Result, RunFailed, run
from ansible_collections.aovpn.ikev2.plugins.module_utils._http import Endpoint
from ansible_collections.aovpn.ikev2.plugins.module_utils._model import Order
from ansible_collections.aovpn.ikev2.plugins.module_utils._netscaler.adapter import NetScaler as Adapter
from lab.core import Entry
from lab.direct import directly
from lab.netscaler import TEMPLATES, NetScaler

VIP = "203.0.113.20"
SERVERS = ("10.10.0.11", "10.10.0.12")
GROUPS = ["sg_ikev2_500", "sg_ikev2_4500"]
GOOD = dict.fromkeys(SERVERS, "10.10.0.1")
ORDER = Order(return_path=GOOD)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> NetScaler:
    return directly(NetScaler("netscaler"), monkeypatch)


class Task:
    """Runs of the engine on the stand-in."""

    def __init__(self, device: NetScaler) -> None:
        self.device = device

    def __call__(self, order: Order = ORDER, *, check_mode: bool = False) -> Result | RunFailed:
        """Run once, and give what came of it."""
        adapter = Adapter(Endpoint("127.0.0.1"), username="nsroot", password="lab-netscaler-secret-1")
        try:
            return run(adapter, order, check_mode=check_mode)
        except RunFailed as error:
            return error

    def gathered(self, order: Order = ORDER) -> Result:
        """Look; the device stays as it is."""
        self.device.log.clear()
        before = self.usip()
        result = self(replace(order, state="gathered"))
        assert isinstance(result, Result), str(result)
        assert (self.usip(), self.device.writing()) == (before, [])
        return result

    def changed(self, order: Order = ORDER) -> Result:
        """Change the device, after a look at it in check mode: that says the same."""
        self.device.log.clear()
        predicted = self(order, check_mode=True)
        assert isinstance(predicted, Result), str(predicted)
        assert self.device.writing() == []
        result = self(order)
        assert isinstance(result, Result), str(result)
        assert result.changes == predicted.changes != ()
        assert result.findings[: len(predicted.findings)] == predicted.findings
        assert {service.id for service in result.services} == {
            name for name, value in self.usip().items() if value == "YES"
        }
        return result

    def refused(self, order: Order = ORDER) -> str:
        """Fail to change the device, in check mode as well, and give the reason."""
        self.device.log.clear()
        before, reasons = self.usip(), set()
        for check_mode in (True, False):
            came = self(order, check_mode=check_mode)
            assert isinstance(came, RunFailed), "nothing stopped the change"
            assert came.result.undone is True
            reasons.add(str(came))
        assert (self.usip(), self.device.writing()) == (before, [])
        (reason,) = reasons
        return reason

    def usip(self) -> dict[str, str]:
        """Return what is in effect on the device."""
        config = self.device.config
        return {name: row["usip"] for kind in ("servicegroup", "service") for name, row in config[kind].items()}


@pytest.fixture
def task(device: NetScaler) -> Task:
    return Task(device)


def findings(result: Result, *codes: str) -> list[tuple[str, str, str]]:
    """Return code, severity and object of the findings with these codes, or of all."""
    return sorted(
        (item.code, item.severity, item.object) for item in result.findings if not codes or item.code in codes
    )


def snip(device: NetScaler, address: str, **own: t.Any) -> None:
    device.config["nsip"][address] = {**TEMPLATES["nsip"], "ipaddress": address, **own}


def gateways(result: Result) -> set[tuple[str, ...]]:
    return {server.gateways for service in result.services for server in service.servers}


# 1. Changes that cut every client off


@pytest.mark.parametrize("off", [{"state": "DISABLED"}, {"arp": "DISABLED"}])
def test_a_subnet_address_that_is_off_is_no_gateway_and_one_that_is_on_is_named(
    device: NetScaler, task: Task, off: dict[str, str]
) -> None:
    device.config["nsip"]["10.10.0.1"].update(off)
    alone = task.gathered(Order())
    assert gateways(alone) == {()}
    assert ("return_path_wrong", "warning", "10.10.0.1") in findings(alone)
    assert "return_path_wrong at 10.10.0.11" in task.refused()
    snip(device, "10.10.0.2")
    assert gateways(task.gathered()) == {("10.10.0.2",)}
    assert "Make it one of 10.10.0.2" in task.refused()
    result = task.changed(Order(return_path=dict.fromkeys(SERVERS, "10.10.0.2")))
    assert findings(result, "return_path_wrong") == []


@pytest.mark.parametrize("off", [{"state": "DISABLED"}, {"nd": "DISABLED"}])
def test_the_same_of_ipv6(device: NetScaler, task: Task, off: dict[str, str]) -> None:
    device.add_pair("2001:db8::20", "six", ["2001:db8:a::11"])
    for address, own in (("2001:db8:a::1/64", off), ("2001:db8:a::2/64", {})):
        device.config["nsip6"][address] = {**TEMPLATES["nsip6"], "ipv6address": address, **own}
    order = Order(addresses=("2001:db8::20",), return_path={"2001:db8:a::11": "2001:db8:a::1"})
    assert gateways(task.gathered(order)) == {("2001:db8:a::2",)}
    assert "Make it one of 2001:db8:a::2" in task.refused(order)
    task.changed(replace(order, return_path={"2001:db8:a::11": "2001:db8:a::2"}))


def test_a_virtual_address_of_the_other_ip_version_is_left_alone_and_the_device_would_refuse_it(
    device: NetScaler, task: Task
) -> None:
    device.add_pair("2001:db8::20", "mixed")
    order = Order(addresses=("2001:db8::20",), return_path=GOOD)
    assert findings(task.gathered(order), "unsupported_mode") == [
        ("unsupported_mode", "blocker", "sg_mixed_4500"),
        ("unsupported_mode", "blocker", "sg_mixed_500"),
    ]
    assert "not of one IP version" in task.refused(order)
    came = task(replace(order, accept=frozenset({"unsupported_mode"})))
    assert isinstance(came, RunFailed)
    assert came.result.undone is True
    assert "NITRO error 3894" in str(came)
    assert "Give this virtual address servers of its own IP version" in str(came)


@pytest.mark.parametrize("mode", ["MAC", "IPTUNNEL"])
def test_servers_that_reply_directly_are_offered_no_gateway(device: NetScaler, task: Task, mode: str) -> None:
    for port in (500, 4500):
        device.config["lbvserver"][f"lb_vs_ikev2_{port}"]["m"] = mode
    elsewhere = Order(return_path=dict.fromkeys(SERVERS, "10.10.0.254"))
    result = task.gathered(elsewhere)
    assert gateways(result) == {()}
    assert findings(result, "unsupported_mode", "return_path_wrong") == [
        ("unsupported_mode", "warning", "lb_vs_ikev2_4500"),
        ("unsupported_mode", "warning", "lb_vs_ikev2_500"),
    ]
    task.changed(elsewhere)


INSIDE = "CLIENT.IP.SRC.IN_SUBNET(10.10.0.0/24)"


@pytest.mark.parametrize("policy", [INSIDE, "CLIENT.IP.SRC.EQ(10.10.0.77)", "CLIENT.IP.SRC.IN_SUBNET(10.0.0.0/8)"])
def test_a_listen_policy_for_the_servers_own_subnet_is_blocked(device: NetScaler, task: Task, policy: str) -> None:
    inside = device.add_listen_policy("lb_vs_ikev2", "inside", policy)
    everything = replace(ORDER, addresses=(VIP,))
    for order in (ORDER, everything, replace(ORDER, services=tuple(inside))):
        looked = task.gathered(order)
        assert findings(looked, "client_in_server_subnet", "persistence_split", "server_sets_differ") == [
            ("client_in_server_subnet", "blocker", "inside_4500"),
            ("client_in_server_subnet", "blocker", "inside_500"),
        ]
        reason = task.refused(order)
        assert (
            f"client_in_server_subnet at inside_500: This virtual server is for the clients that its listen policy chooses, {policy}"
            in reason
        )
    # Those for other clients are changed, and the others named.
    order = replace(ORDER, services=tuple(GROUPS))
    for result in (task.gathered(order), task.changed(order)):
        assert findings(result, "client_in_server_subnet", "not_selected") == [
            ("not_selected", "warning", name) for name in sorted(inside)
        ]
    assert {task.usip()[name] for name in inside} == {"NO"}


@pytest.mark.parametrize("policy", [f"{INSIDE}.NOT", f"!{INSIDE}", "CLIENT.VLAN.ID.EQ(10)", "CLIENT.IP.SRC.EQ(::1)"])
def test_another_listen_policy_is_reported_and_changed(device: NetScaler, task: Task, policy: str) -> None:
    device.add_listen_policy("lb_vs_ikev2", "others", policy, ["10.10.0.11"])
    device.config["lbvserver"]["lb_vs_ikev2_500"]["listenpolicy"] = "NONE"
    expected = [("client_in_server_subnet", "warning", f"others_{port}") for port in (4500, 500)]
    for result in (task.gathered(), task.changed()):
        assert findings(result, "client_in_server_subnet", "persistence_split", "server_sets_differ") == expected


def test_two_listen_policies_before_one_service_group_are_one_service(device: NetScaler, task: Task) -> None:
    device.add_listen_policy("lb_vs_ikev2", "others", "CLIENT.VLAN.ID.EQ(10)")
    for row in device.config["lbvserver_servicegroup_binding"]:
        row["servicegroupname"] = row["servicegroupname"].replace("sg_others", "sg_ikev2")
    for name in ("sg_others_500", "sg_others_4500"):
        del device.config["servicegroup"][name]
    device.config["lbvserver"]["others_500"]["curstate"] = "OUT OF SERVICE"
    for result in (task.gathered(), task.changed()):
        assert [(service.id, service.enabled) for service in result.services] == [(name, True) for name in GROUPS]


# 2. Services that are not seen


def test_what_is_behind_content_switching_is_named(device: NetScaler, task: Task) -> None:
    names = device.add_content_switching("203.0.113.50", "cs")
    expected = [("not_selected", "warning", "sg_cs_4500"), ("not_selected", "warning", "sg_cs_500")]
    assert findings(task.gathered(), "not_selected") == expected
    assert findings(task.changed(), "not_selected") == expected
    assert {task.usip()[name] for name in names} == {"NO"}
    reason = task.refused(Order(addresses=("203.0.113.50",), return_path=GOOD))
    assert reason == str(task(Order(addresses=("203.0.113.50",), state="gathered")))
    assert "no UDP service on UDP 500 and UDP 4500 at 203.0.113.50" in reason
    assert "sg_cs_500 (no address, udp 500), sg_cs_4500 (no address, udp 4500)" in reason
    for port in (500, 4500):
        outer = f"content switching virtual server cs_cs_{port}"
        assert f"The address belongs to the {outer}, which has no service group of its own." in reason
        assert f"Name what it leads to in 'services': sg_cs_{port}." in reason
    device.reset()
    device.add_content_switching("203.0.113.50", "cs")
    order = Order(services=tuple(names), return_path=GOOD)
    assert [service.id for service in task.gathered(order).services] == names
    assert {service.id for service in task.changed(order).services} == {*names}


def test_content_switching_by_a_policy_is_explained_as_far_as_it_can_be_read(device: NetScaler, task: Task) -> None:
    device.add_content_switching("203.0.113.50", "cs", policy="pol_vpn")
    device.config["csvserver"]["web"] = {**device.config["csvserver"]["cs_cs_500"], "name": "web", "servicetype": "SSL"}
    device.config["csvserver"]["odd"] = {**device.config["csvserver"]["cs_cs_500"], "name": "odd", "ipv46": "x"}
    order = Order(addresses=("203.0.113.50",), return_path=GOOD)
    reason = task.refused(order)
    assert "Name what it leads to in 'services': sg_cs_500." in reason
    assert "virtual server web" not in reason
    device.fault(asks("csvserver_cspolicy_binding"), answer=NetScaler.error(2138), times=9)
    assert "cs_cs_500, which has no service group of its own. Name the service groups behind it" in task.refused(order)
    device.fault(asks("csvserver"), answer=NetScaler.error(2138), times=9)
    assert "no UDP service on UDP 500 and UDP 4500 at 203.0.113.50" in task.refused(order)
    device.log.clear()
    task.changed()
    assert not [entry for entry in device.log if "csvserver" in entry.path]


def test_members_on_every_port_behind_content_switching_are_named_too(device: NetScaler, task: Task) -> None:
    device.add_content_switching("203.0.113.50", "cs")
    for row in device.config["servicegroup_servicegroupmember_binding"]:
        if row["servicegroupname"] == "sg_cs_500":
            row["port"] = 65535
    for result in (task.gathered(), task.changed()):
        found = [item for item in result.findings if item.object == "sg_cs_500"]
        assert [item.code for item in found] == ["not_selected"]
        assert "carries UDP 500 and UDP 4500" in found[0].message


@pytest.mark.parametrize(
    ("kind", "listed", "counts"),
    [
        ("GSLBsiteIP", ["SNIP", "GSLBsiteIP"], True),
        ("ADNSsvcIP", ["ADNSsvcIP", "SNIP"], True),
        ("MIP", ["MIP", "SNIP"], True),
        ("MIP", ["MIP"], False),
        ("VIP", ["VIP"], False),
    ],
)
def test_a_subnet_address_may_be_something_else_as_well(
    device: NetScaler, task: Task, kind: str, listed: list[str], counts: bool
) -> None:
    device.config["nsip"]["10.10.0.1"].update(type=kind, iptype=listed)
    assert gateways(task.gathered()) == {("10.10.0.1",) if counts else ()}
    if counts:
        task.changed()
    else:
        assert "return_path_wrong" in task.refused()


def test_each_address_of_a_range_is_found(device: NetScaler, task: Task) -> None:
    for port in (500, 4500):
        device.config["lbvserver"][f"lb_vs_ikev2_{port}"].update(range="3", curstate="OUT OF SERVICE")
    order = Order(addresses=("203.0.113.22",), return_path=GOOD)
    for result in (task.gathered(order), task.changed(order)):
        assert [(service.id, service.address, service.port) for service in result.services] == [
            ("sg_ikev2_500", "203.0.113.22", 500),
            ("sg_ikev2_4500", "203.0.113.22", 4500),
        ]
    assert "no UDP service" in str(task(Order(addresses=("203.0.113.23",))))
    assert isinstance(task(Order(state="restored", snapshot=result.snapshot)), Result)
    assert {task.usip()[name] for name in GROUPS} == {"NO"}
    every = task.changed()
    assert findings(every, "disabled_service") == [("disabled_service", "info", name) for name in sorted(GROUPS)]
    assert [service.address for service in every.services[::2]] == [VIP, "203.0.113.21", "203.0.113.22"]


def test_each_address_of_an_ip_set_is_found_with_two_requests_more(device: NetScaler, task: Task) -> None:
    for port in (500, 4500):
        device.config["lbvserver"][f"lb_vs_ikev2_{port}"]["ipset"] = "vpn"
    device.config["ipset_nsip_binding"] += [
        {"name": "vpn", "ipaddress": "198.51.100.7"},
        {"name": "web", "ipaddress": "198.51.100.8"},
    ]
    order = Order(addresses=("198.51.100.7",), return_path=GOOD)
    assert [service.id for service in task.gathered(order).services] == GROUPS
    assert task.changed(order).requests == 18
    assert "no UDP service" in str(task(Order(addresses=("198.51.100.8",))))
    device.fault(lambda entry: entry.path.endswith("ipset_nsip_binding"), answer=NetScaler.error(2138), times=9)
    assert findings(task.gathered(Order()), "not_read") == [("not_read", "warning", "IP sets")]


# 3. One odd object must never take the whole device away


def test_a_service_by_domain_name_without_an_address(device: NetScaler, task: Task) -> None:
    web = {"name": "web", "servername": "portal.example.net", "servicetype": "HTTP", "port": 80}
    device.config["service"]["web"] = {**TEMPLATES["service"], **web}
    vpn = {"name": "vpn", "servername": "rras3.example.net", "port": 500}
    device.config["service"]["vpn"] = {**TEMPLATES["service"], **vpn}
    for row in device.config["service"].values():
        del row["ipaddress"]
    for result in (task.gathered(), task.changed()):
        assert findings(result, "not_read", "not_selected") == [("not_selected", "warning", "vpn")]


@pytest.mark.parametrize("own", [{"ip": "0.0.0.0"}, {"ip": ""}, {}])
def test_a_member_by_domain_name_counts_as_a_server_whose_gateway_it_is_not_known(
    device: NetScaler, task: Task, own: dict[str, str]
) -> None:
    row = device.member("sg_ikev2_500", "10.10.0.12")
    del row["ip"]
    row |= {"servername": "rras2.example.net", **own}
    assert findings(task.gathered(), "return_path_unverified", "server_sets_differ") == [
        ("return_path_unverified", "blocker", "rras2.example.net"),
        ("server_sets_differ", "warning", "sg_ikev2_500, sg_ikev2_4500"),
    ]
    assert "return_path_unverified at rras2.example.net" in task.refused()
    task.changed(replace(ORDER, accept=frozenset({"return_path_unverified"})))


def test_a_group_that_scales_by_itself_and_shows_no_ports_is_named_unless_it_is_chosen(
    device: NetScaler, task: Task
) -> None:
    names = device.add_pair("203.0.113.60", "auto", ["10.10.0.11"])
    for name in names:
        device.config["servicegroup"][name]["autoscale"] = "DNS"
        row = device.member(name, "10.10.0.11")
        for key in ("ip", "port"):
            del row[key]
    assert findings(task.gathered(), "not_read") == [
        ("not_read", "warning", "sg_auto_4500"),
        ("not_read", "warning", "sg_auto_500"),
    ]
    for order in (Order(services=tuple(names)), Order(addresses=("203.0.113.60",))):
        for reason in (str(task(replace(order, state="gathered"))), task.refused(replace(order, return_path=GOOD))):
            assert "described sg_auto_500 in a way that is not understood (its member: KeyError: 'port')" in reason
    # Another address is not concerned, even if it has half a pair.
    device.add_pair("203.0.113.61", "half", ["10.10.0.12"])
    device.config["lbvserver"]["half_4500"]["port"] = 1701
    assert findings(task.gathered(Order(addresses=("203.0.113.61",))), "pair_incomplete", "not_read") == [
        ("not_read", "warning", "sg_auto_4500"),
        ("not_read", "warning", "sg_auto_500"),
        ("pair_incomplete", "blocker", "sg_half_500"),
    ]
    del device.member("sg_portal", "10.10.0.21")["port"]  # what carries no UDP does not matter
    result = task.changed()
    assert {service.id for service in result.services} == {*GROUPS}
    assert "sg_portal" not in {item.object for item in result.findings}


def test_an_odd_virtual_server_beside_the_pair_is_named_and_one_of_the_pair_ends_the_run(
    device: NetScaler, task: Task
) -> None:
    order = replace(ORDER, addresses=(VIP,))
    device.config["lbvserver"]["lb_vs_dns"]["port"] = None
    for result in (task.gathered(order), task.changed(order)):
        assert findings(result, "not_read") == [
            ("not_read", "warning", "lb_vs_dns"),
            ("not_read", "warning", "sg_dns"),
        ]
        assert [service.id for service in result.services] == GROUPS
    device.config["lbvserver"]["lb_vs_ikev2_500"]["port"] = None
    for named in (order, replace(ORDER, services=tuple(GROUPS))):
        for reason in (str(task(replace(named, state="gathered"))), task.refused(named)):
            assert "described lb_vs_ikev2_500" in reason or "described sg_ikev2_500" in reason
    assert task.gathered(Order()).services == ()


def test_a_binding_that_cannot_be_read_is_named_and_one_of_the_pair_ends_the_run(device: NetScaler, task: Task) -> None:
    def spoil(name: str) -> None:
        rows = device.config["lbvserver_servicegroup_binding"]
        next(row for row in rows if row["name"] == name)["servicegroupname"] = None

    order = replace(ORDER, addresses=(VIP,))
    spoil("lb_vs_portal")  # what carries no UDP does not matter
    assert findings(task.gathered(order), "not_read") == []
    spoil("lb_vs_dns")
    for result in (task.gathered(order), task.changed(order)):
        assert findings(result, "not_read") == [("not_read", "warning", "lb_vs_dns")]
        assert [service.id for service in result.services] == GROUPS
    spoil("lb_vs_ikev2_500")
    assert "described lb_vs_ikev2_500" in task.refused(order)


def test_a_server_has_the_port_of_its_member(device: NetScaler, task: Task) -> None:
    device.member("sg_ikev2_500", "10.10.0.12")["port"] = 1500
    (of_500, of_4500) = task.gathered(replace(ORDER, addresses=(VIP,))).services
    assert [(server.address, server.port) for server in of_500.servers] == [("10.10.0.11", 500), ("10.10.0.12", 1500)]
    assert {server.port for server in of_4500.servers} == {4500}


@pytest.mark.parametrize("old", ["refuses", "ignores"])
def test_the_firmware_of_2013(device: NetScaler, task: Task, old: t.Literal["refuses", "ignores"]) -> None:
    device.old = old
    more = 1 if old == "refuses" else 0
    assert findings(task.gathered(), "not_read") == []
    assert task.changed().requests == 16 + more
    unchanged = task()
    assert isinstance(unchanged, Result)
    assert (unchanged.changed, unchanged.requests) == (False, 9 + more)


def asks(resource: str) -> t.Callable[[Entry], bool]:
    return lambda entry: entry.path.rpartition("/config/")[2].partition("/")[0] == resource


def test_where_nobody_may_ask_for_high_availability_a_look_goes_on_and_a_change_waits(
    device: NetScaler, task: Task
) -> None:
    device.fault(asks("hanode"), answer=NetScaler.error(2138), times=99)
    result = task.gathered()
    assert [item.severity for item in result.findings if item.code == "not_active_unit"] == ["blocker"]
    assert "does not let user 'nsroot' do this" in task.refused()
    task.changed(replace(ORDER, accept=frozenset({"not_active_unit"})))


@pytest.mark.parametrize("order", [ORDER, Order()], ids=["gateways given", "no gateways given"])
def test_without_its_own_addresses_no_gateway_is_known(device: NetScaler, task: Task, order: Order) -> None:
    device.fault(asks("nsip"), answer=NetScaler.error(2138), times=99)
    looked = task.gathered(order)
    assert gateways(looked) == {()}
    assert findings(looked, "not_read", "return_path_unverified", "return_path_wrong") == [
        ("not_read", "warning", "addresses (nsip)"),
        *(("return_path_unverified", "blocker", server) for server in SERVERS),
    ]
    assert own(looked) == [VIP]
    reason = task.refused(order)
    assert "it has none there" not in reason
    assert "return_path_unverified at 10.10.0.11: The device's own addresses could not be read" in reason
    done = task.changed(replace(order, accept=frozenset({"return_path_unverified"})))
    assert done.requests == 16
    # A rollback needs none.
    assert done.snapshot is not None
    back = task(Order(state="restored", snapshot=done.snapshot))
    assert isinstance(back, Result)
    assert {*task.usip().values()} == {"NO"}


def test_the_same_of_ipv6_alone(device: NetScaler, task: Task) -> None:
    device.add_pair("2001:db8::20", "six", ["2001:db8:a::11"])
    device.fault(asks("nsip6"), answer=NetScaler.error(2138), times=99)
    assert findings(task.gathered(), "not_read", "return_path_unverified") == [
        ("not_read", "warning", "addresses (nsip6)"),
        ("return_path_unverified", "blocker", "2001:db8:a::11"),
    ]
    assert "return_path_unverified at 2001:db8:a::11" in task.refused()
    task.changed(replace(ORDER, addresses=(VIP,)))


def test_what_only_findings_depend_on_does_not_end_the_run(device: NetScaler, task: Task) -> None:
    device.group_persistence = "own"
    snip(device, "192.0.2.30", type="CLIP", iptype=["CLIP"])
    for resource in ("lbgroup", "clusterinstance"):
        device.fault(asks(resource), answer=NetScaler.error(2138), times=99)
    expected = [("not_read", "warning", "cluster"), ("not_read", "warning", "persistency groups")]
    assert findings(task.gathered(), "not_read", "persistence_split") == expected
    assert findings(task.changed(), "not_read", "persistence_split") == expected


@pytest.mark.parametrize("part", [{"errorcode": "x"}, {"errorcode": [1]}, {"errorcode": {"x": 1}, "message": 7}])
def test_an_odd_answer_to_a_write_ends_in_an_error_of_our_own(
    device: NetScaler, task: Task, part: dict[str, t.Any]
) -> None:
    device.fault(lambda entry: entry.method == "PUT", answer=NetScaler.bulk_failed([part]))
    came = task()
    assert isinstance(came, RunFailed)
    assert "described its result in a way that is not understood" in str(came)
    assert came.result.undone is True
    assert {*task.usip().values()} == {"NO"}


def test_the_clients_of_another_ip_version_are_not_cut_off_by_way_of_a_second_address(
    device: NetScaler, task: Task
) -> None:
    for port in (500, 4500):
        device.config["lbvserver"][f"lb_vs_ikev2_{port}"]["ipset"] = "vpn"
    device.config["ipset_nsip6_binding"].append({"name": "vpn", "ipaddress": "2001:db8::7"})
    order = replace(ORDER, addresses=(VIP,))
    assert [item.object for item in task.gathered(order).findings if item.code == "unsupported_mode"] == GROUPS
    assert "It also serves 2001:db8::7" in task.refused(order)


# 4. False statements


@pytest.mark.parametrize("shown", ["shown", "own"])
@pytest.mark.parametrize(
    ("group", "member", "split"),
    [
        ({"persistencetype": "SOURCEIP"}, "NONE", False),
        ({"persistencetype": "NONE"}, "NONE", True),
        ({"persistencetype": "COOKIEINSERT"}, "NONE", True),
        ({"persistencetype": "SOURCEIP", "usevserverpersistency": "ENABLED"}, "NONE", True),
        ({"persistencetype": "NONE", "usevserverpersistency": "ENABLED"}, "SOURCEIP", False),
    ],
)
def test_persistency_groups_are_judged_by_their_own_type(
    device: NetScaler,
    task: Task,
    shown: t.Literal["shown", "own"],
    group: dict[str, str],
    member: str,
    split: bool,
) -> None:
    device.group_persistence = shown
    device.config["lbgroup"]["pg_ikev2"].update(group)
    for port in (500, 4500):
        device.config["lbvserver"][f"lb_vs_ikev2_{port}"]["persistencetype"] = member
    both = [("persistence_split", "warning", "lb_vs_ikev2_500, lb_vs_ikev2_4500")]
    expected = both if split else []
    assert findings(task.gathered(), "persistence_split") == expected
    result = task.changed()
    assert findings(result, "persistence_split") == expected
    # The group is asked for only where what the virtual servers show leaves a question open.
    asked = split or (shown == "own" and member == "NONE")
    assert result.requests == 16 + asked
    unchanged = task()
    assert isinstance(unchanged, Result)
    assert findings(unchanged) == expected
    assert unchanged.requests == 9 + asked


@pytest.mark.parametrize(
    ("state", "info"),
    [
        ({"state": "DISABLED", "svrstate": "OUT OF SERVICE"}, True),
        ({"svrstate": "OUT OF SERVICE"}, True),
        ({"svrstate": "DOWN"}, False),
        ({"svrstate": "GOING OUT OF SERVICE"}, False),
    ],
)
def test_a_server_out_of_service_on_one_port(device: NetScaler, task: Task, state: dict[str, str], info: bool) -> None:
    device.member("sg_ikev2_500", "10.10.0.12").update(state)
    differ = [("server_sets_differ", "warning", "sg_ikev2_500, sg_ikev2_4500")]
    assert findings(task.gathered(), "server_sets_differ") == differ
    predicted = task(check_mode=True)
    assert isinstance(predicted, Result)
    assert findings(predicted, "server_sets_differ") == differ
    device.member("sg_ikev2_4500", "10.10.0.12").update(state)
    assert findings(task.gathered(), "server_sets_differ") == []
    known = Order(return_path={"10.10.0.11": "10.10.0.1"})
    if not info:  # it comes back by itself, and its gateway matters then
        assert "return_path_unverified at 10.10.0.12" in task.refused(known)
        return
    changed = task.changed(known)
    assert findings(changed, "return_path_unverified") == [("return_path_unverified", "info", "10.10.0.12")]
    assert any("10.10.0.1" in item.remedy for item in changed.findings if item.object == "10.10.0.12")


def test_a_service_out_of_service_on_one_port(device: NetScaler, task: Task) -> None:
    names = device.add_pair("203.0.113.41", "plain", plain=True)
    device.config["service"][names[0]]["svrstate"] = "OUT OF SERVICE"
    order = Order(addresses=("203.0.113.41",), return_path=GOOD)
    for result in (task.gathered(order), task.changed(order)):
        (finding,) = [item for item in result.findings if item.code == "server_sets_differ"]
        assert f"{names[0]}, {names[1]} has 10.10.0.12; " in finding.message


def test_a_disabled_virtual_server_is_shown_as_disabled(device: NetScaler, task: Task) -> None:
    device.config["lbvserver"]["lb_vs_ikev2_500"]["curstate"] = "OUT OF SERVICE"
    assert [service.enabled for service in task.gathered().services] == [False, True]
    result = task.changed()
    assert [service.enabled for service in result.services] == [False, True]
    assert findings(result, "disabled_service") == [("disabled_service", "info", "sg_ikev2_500")]


def test_what_takes_over_for_a_virtual_server_is_named(device: NetScaler, task: Task) -> None:
    device.add_backup("lb_vs_ikev2_500", "backup", ["10.10.0.11"])
    device.add_backup("lb_vs_ikev2_4500", "first")
    device.config["lbvserver"]["first"]["backupvserver"] = "second"
    device.config["lbvserver"]["second"] = {**device.config["lbvserver"]["first"], "backupvserver": "first"}
    device.config["lbvserver"]["second"]["name"] = "second"
    named = {
        item.object: item.message
        for result in (task.gathered(), task.changed())
        for item in result.findings
        if item.code == "not_selected" and item.object.startswith("lb_")
    }
    assert sorted(named) == ["lb_vs_ikev2_4500", "lb_vs_ikev2_500"]
    assert "its backup virtual server backup takes the clients, and sg_backup behind that" in named["lb_vs_ikev2_500"]
    group = ("sg_backup", "sg_first")
    assert {task.usip()[name] for name in group} == {"NO"}
    both = task(Order(services=(*GROUPS, *group), return_path=GOOD))
    assert isinstance(both, Result)
    assert findings(both, "not_selected") == []


# 5. Both nodes


@pytest.mark.parametrize("off", [("haprop",), ("hasync",), ("haprop", "hasync")])
def test_a_partner_that_does_not_get_the_change_is_reported_before_and_after(
    device: NetScaler, task: Task, off: tuple[str, ...]
) -> None:
    device.state["hanode"]["0"].update(dict.fromkeys(off, "DISABLED"))
    for result in (task.gathered(), task.changed()):
        (finding,) = [item for item in result.findings if item.code == "unsynced_changes"]
        assert finding.severity == "warning"
        assert ("does not get changes" in finding.message) == ("haprop" in off)
    device.state["hanode"]["0"]["state"] = "Secondary"
    looked = task.gathered()
    assert {"not_active_unit", "unsynced_changes"} <= {item.code for item in looked.findings}
    device.config["servicegroup"]["sg_ikev2_500"]["usip"] = "NO"
    assert "not_active_unit" in task.refused()


@pytest.mark.parametrize("shared", [False, True])
def test_a_subnet_address_of_one_node_of_a_cluster_is_reported(device: NetScaler, task: Task, shared: bool) -> None:
    snip(device, "192.0.2.30", type="CLIP", iptype=["CLIP"])
    device.state["clusterinstance"]["1"] = {"clid": "1", "processlocal": "ENABLED"}
    device.config["nsip"]["10.10.0.1"]["ownernode"] = "1"
    if shared:
        snip(device, "10.10.0.2")
    assert gateways(task.gathered()) == {("10.10.0.2",) if shared else ("10.10.0.1",)}
    expected = [("gateway_not_shared", "info" if shared else "warning", "10.10.0.1")]
    assert findings(task.gathered(), "gateway_not_shared") == expected
    if shared:
        assert "Make it one of 10.10.0.2" in task.refused()
    order = Order(return_path=dict.fromkeys(SERVERS, "10.10.0.2" if shared else "10.10.0.1"))
    result = task.changed(order)
    assert findings(result, "gateway_not_shared") == expected
    # What hanode says in a cluster is not known, and a cluster has no high availability: it is not asked.
    assert result.requests == 16
    assert not [entry for entry in device.log if asks("hanode")(entry)]


# The device's own addresses

OWN = ["10.10.0.1", "192.0.2.20", "203.0.113.20", "203.0.113.5"]


def own(result: Result) -> list[str]:
    addresses: list[str] = result.as_dict()["own_addresses"]
    return addresses


def test_the_addresses_from_which_the_device_may_send_are_returned(device: NetScaler, task: Task) -> None:
    device.add_pair("203.0.113.99", "other")
    device.config["lbvserver"]["other_4500"].update(td="4")
    device.config["lbvserver"]["other_500"].update(range="2")
    everything = sorted([*OWN, "203.0.113.99", "203.0.113.100"])
    order = replace(ORDER, addresses=(VIP,))
    assert own(task.gathered(order)) == own(task.changed(order)) == everything
    assert len([entry for entry in device.log if entry.path.endswith("netprofile")]) == 0
    unchanged = task(order)
    assert isinstance(unchanged, Result)
    assert own(unchanged) == ["203.0.113.100", VIP, "203.0.113.99"]


@pytest.mark.parametrize("where", ["lbvserver", "servicegroup"])
@pytest.mark.parametrize("in_set", [False, True])
def test_the_sources_of_net_profiles_are_among_them(device: NetScaler, task: Task, where: str, in_set: bool) -> None:
    name = {"lbvserver": "lb_vs_ikev2_500", "servicegroup": "sg_ikev2_500"}[where]
    device.add_net_profile("np_other", "10.30.0.1", device.config["servicegroup"]["sg_dns"])
    device.add_net_profile("np_vpn", "ips_vpn" if in_set else "10.20.0.7", device.config[where][name])
    if in_set:
        device.config["ipset"]["ips_vpn"] = {"name": "ips_vpn", "td": "0"}
        device.config["ipset_nsip_binding"] = [
            {"name": name, "ipaddress": address}
            for name, address in (("ips_vpn", "10.20.0.8"), ("ips_vpn", "10.20.0.9"), ("ips_other", "10.20.0.10"))
        ]
    sources = ["10.20.0.8", "10.20.0.9"] if in_set else ["10.20.0.7"]
    looked = task.gathered()
    changed = task.changed()
    assert own(looked) == own(changed) == sorted([*OWN, *sources])
    assert changed.requests == 16 + 1 + 2 * in_set


@pytest.mark.parametrize("refused", ["netprofile", "ipset_nsip_binding"])
def test_net_profiles_that_cannot_be_read_are_a_finding(device: NetScaler, task: Task, refused: str) -> None:
    device.add_net_profile("np_vpn", "ips_vpn", device.config["servicegroup"]["sg_ikev2_500"])
    device.config["netprofile"]["odd"] = {"name": 5, "srcip": "10.20.0.7"}
    assert ("not_read", "warning", "an object without name") in findings(task.gathered())
    device.fault(asks(refused), answer=NetScaler.error(2138), times=9)
    result = task.gathered()
    assert [name for _code, _severity, name in findings(result, "not_read")][:1] in (["net profiles"], ["IP sets"])
    assert own(result) == OWN
    assert task.changed().changed
