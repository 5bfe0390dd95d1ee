# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Reads what a plan for the default gateway needs: interfaces, addresses, routes of both stores, peers that have to stay reachable, and an unfinished change.
# Changes nothing. SupportsShouldProcess makes win_powershell run it in check mode, too.
[CmdletBinding(SupportsShouldProcess)]
param(
    # Management ports of this server: whoever is connected to one of them has to stay reachable.
    [uint16[]]$Ports = @(5985, 5986, 22)
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

$interfaces = foreach ($interface in Get-NetIPInterface -AddressFamily IPv4) {
    $adapter = Get-NetAdapter -InterfaceIndex $interface.InterfaceIndex -ErrorAction SilentlyContinue
    if (-not $adapter) { continue }  # the loopback, and tunnels of RRAS itself
    $addresses = foreach ($address in Get-NetIPAddress -InterfaceIndex $interface.InterfaceIndex -AddressFamily IPv4 -ErrorAction SilentlyContinue) {
        '{0}/{1}' -f $address.IPAddress, $address.PrefixLength
    }
    @{
        index = [int]$interface.InterfaceIndex
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
            interface_index = [int]$route.InterfaceIndex
            metric = [int]$route.RouteMetric
        }
    }
}

$ipv6 = foreach ($route in Get-NetRoute -AddressFamily IPv6 -PolicyStore ActiveStore -DestinationPrefix '::/0' -ErrorAction SilentlyContinue) {
    @{ next_hop = [string]$route.NextHop; interface_index = [int]$route.InterfaceIndex; metric = [int]$route.RouteMetric }
}

# Who has to stay reachable: management, DNS, domain controllers (by the domain's own name) and RADIUS.
$peers = @(Get-NetTCPConnection -State Established -LocalPort $Ports -ErrorAction SilentlyContinue | ForEach-Object -Process { $_.RemoteAddress })
$peers += @(Get-DnsClientServerAddress -AddressFamily IPv4 | ForEach-Object -Process { $_.ServerAddresses })
$names = @(Get-CimInstance -ClassName Win32_ComputerSystem | Where-Object -Property PartOfDomain | ForEach-Object -Process { $_.Domain })
try { $names += @(Get-RemoteAccessRadius | ForEach-Object -Process { $_.ServerName }) } catch { Write-Verbose -Message $_ }
foreach ($name in $names) {
    try { $peers += @([System.Net.Dns]::GetHostAddresses($name) | ForEach-Object -Process { $_.IPAddressToString }) } catch { Write-Verbose -Message $_ }
}

$user = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()
$remoteAccess = Get-Service -Name RemoteAccess -ErrorAction SilentlyContinue
$rollback = Get-ScheduledTaskInfo -TaskName 'aovpn.ikev2 rollback' -ErrorAction SilentlyContinue
$memory = Get-Item -LiteralPath 'HKLM:\SOFTWARE\aovpn.ikev2' -ErrorAction SilentlyContinue
$apply = Get-ScheduledTaskInfo -TaskName 'aovpn.ikev2 apply' -ErrorAction SilentlyContinue

$Ansible.Changed = $false
$Ansible.Result = @{
    interfaces = @($interfaces)
    routes = @($routes)
    ipv6_defaults = @($ipv6)
    peers = @($peers | Where-Object -FilterScript { $_ } | Sort-Object -Unique)
    administrator = $user.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
    remote_access = if ($remoteAccess) { ([string]$remoteAccess.StartType).ToLowerInvariant() } else { $null }
    pending = if ($rollback) {
        @{
            due_in = if ($rollback.NextRunTime) { [math]::Max(0.0, ($rollback.NextRunTime - (Get-Date)).TotalSeconds) } else { $null }
            applied = if ($apply) { [long]$apply.LastTaskResult } else { $null }
        }
    } else { $null }
    remembered = @(if ($memory) { $memory.GetValue('AddedRoutes', @()) })
}
