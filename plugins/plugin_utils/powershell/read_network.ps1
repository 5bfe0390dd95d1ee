# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Reads what a plan for the default gateway needs: interfaces, addresses, routes of both stores, and who is connected for management.
# Changes nothing. SupportsShouldProcess makes win_powershell run it in check mode, too.
[CmdletBinding(SupportsShouldProcess)]
param()
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

$interfaces = foreach ($interface in Get-NetIPInterface -AddressFamily IPv4) {
    $adapter = Get-NetAdapter -InterfaceIndex $interface.ifIndex -ErrorAction SilentlyContinue
    if (-not $adapter) { continue }  # the loopback, and tunnels of RRAS itself
    $addresses = foreach ($address in Get-NetIPAddress -InterfaceIndex $interface.ifIndex -AddressFamily IPv4 -ErrorAction SilentlyContinue) {
        '{0}/{1}' -f $address.IPAddress, $address.PrefixLength
    }
    @{
        index = [int]$interface.ifIndex
        alias = [string]$interface.InterfaceAlias
        mac = [string]$adapter.MacAddress
        metric = [int]$interface.InterfaceMetric
        dhcp = $interface.Dhcp -eq 'Enabled'
        addresses = @($addresses)
    }
}

$routes = foreach ($store in 'ActiveStore', 'PersistentStore') {
    foreach ($route in Get-NetRoute -AddressFamily IPv4 -PolicyStore $store -ErrorAction SilentlyContinue) {
        @{
            store = $store
            destination = [string]$route.DestinationPrefix
            next_hop = [string]$route.NextHop
            interface_index = [int]$route.ifIndex
            metric = [int]$route.RouteMetric
        }
    }
}

$management = Get-NetTCPConnection -State Established -LocalPort 5985, 5986, 22 -ErrorAction SilentlyContinue
$servers = Get-DnsClientServerAddress -AddressFamily IPv4

$Ansible.Changed = $false
$Ansible.Result = @{
    interfaces = @($interfaces)
    routes = @($routes)
    peers = @(@($management | ForEach-Object { [string]$_.RemoteAddress }) + @($servers | ForEach-Object { $_.ServerAddresses }) | Sort-Object -Unique)
}
