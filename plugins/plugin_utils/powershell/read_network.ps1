# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Reads what a plan for the default gateway needs: interfaces, addresses, routes of both stores, peers that have to stay reachable, and an unfinished change.
# Changes nothing. SupportsShouldProcess makes win_powershell run it in check mode, too.
[CmdletBinding(SupportsShouldProcess)]
param(
    # Management ports of this server: whoever is connected to one of them, or by Remote Desktop, has to stay reachable.
    [uint16[]]$Ports,
    # A gateway: on which interfaces does it answer?
    [string]$Gateway
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
# App Control and AppLocker leave ConstrainedLanguage, in which most casts and methods of .NET are refused. This comes first, so that it is the error.
$language = [string](Get-Variable -Name 'ExecutionContext' -ValueOnly).SessionState.LanguageMode
if ($language -ne 'FullLanguage') { throw "script_policy: PowerShell runs scripts in $language on this server, and the collection's scripts need FullLanguage." }
# Cmdlets made from CDXML are functions of a module: they do not see the preference of a script that is called.
$PSDefaultParameterValues = @{ '*:ErrorAction' = 'Stop' }

# Only these errors mean that something does not exist. Any other one means that it is not known.
function Get-Existing([scriptblock]$Query) {
    try { & $Query } catch { if ($_.FullyQualifiedErrorId -notmatch '^(CmdletizationQuery_NotFound|NoServiceFoundForGivenName)') { throw } }
}

if (-not $Ports) { $Ports = @(5985, 5986, 22) }
$interfaces = foreach ($interface in Get-NetIPInterface -AddressFamily IPv4) {
    $adapter = Get-Existing -Query { Get-NetAdapter -InterfaceIndex $interface.InterfaceIndex }
    if (-not $adapter) { continue }  # the loopback, and tunnels of RRAS itself
    $addresses = foreach ($address in Get-Existing -Query { Get-NetIPAddress -InterfaceIndex $interface.InterfaceIndex -AddressFamily IPv4 }) {
        '{0}/{1}' -f $address.IPAddress, $address.PrefixLength
    }
    $settings = "HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces\$($adapter.InterfaceGuid)"
    @{
        index = [int]$interface.InterfaceIndex
        alias = [string]$interface.InterfaceAlias
        mac = [string]$adapter.MacAddress
        metric = [int]$interface.InterfaceMetric
        dhcp = $interface.Dhcp -eq 'Enabled'; addresses = @($addresses)
        gateways = @(if (Test-Path -LiteralPath $settings) { (Get-Item -LiteralPath $settings).GetValue('DefaultGateway', @()) })
    }
}

$routes = foreach ($store in 'ActiveStore', 'PersistentStore') {
    foreach ($route in Get-Existing -Query { Get-NetRoute -AddressFamily IPv4 -PolicyStore $store }) {
        @{ store = $store; destination = [string]$route.DestinationPrefix; next_hop = [string]$route.NextHop; interface_index = [int]$route.InterfaceIndex; metric = [int]$route.RouteMetric }
    }
}

$ipv6 = foreach ($route in Get-Existing -Query { Get-NetRoute -AddressFamily IPv6 -PolicyStore ActiveStore -DestinationPrefix '::/0' }) {
    @{ next_hop = [string]$route.NextHop; interface_index = [int]$route.InterfaceIndex; metric = [int]$route.RouteMetric }
}

$neighbors = $null
if ($Gateway) {
    # One echo request makes the server ask who has this address, whether or not that answers the request itself.
    $null = Test-Connection -ComputerName $Gateway -Count 1 -Quiet
    $neighbors = @(foreach ($neighbor in Get-Existing -Query { Get-NetNeighbor -IPAddress $Gateway }) {
        @{ interface_index = [int]$neighbor.InterfaceIndex; mac = [string]$neighbor.LinkLayerAddress; state = [string]$neighbor.State }
    })
}

$unread = @()
# Who has to stay reachable: management, DNS, domain controllers (by the domain's own name) and RADIUS.
$connections = @(Get-Existing -Query { Get-NetTCPConnection -State Established })
$sessions = @($connections | Where-Object -FilterScript { $_.LocalPort -in ($Ports + 3389) } | ForEach-Object -Process { $_.RemoteAddress } | Sort-Object -Unique)
$configured = @(Get-DnsClientServerAddress -AddressFamily IPv4 | ForEach-Object -Process { $_.ServerAddresses })
$names = @(Get-CimInstance -ClassName Win32_ComputerSystem | Where-Object -Property PartOfDomain | ForEach-Object -Process { $_.Domain })
try { $names += @(Get-RemoteAccessRadius | ForEach-Object -Process { $_.ServerName }) } catch { $unread += "the RADIUS servers: $_" }
foreach ($name in $names) {
    try { $configured += @([System.Net.Dns]::GetHostAddresses($name) | ForEach-Object -Process { $_.IPAddressToString }) } catch { $unread += "the addresses of ${name}: $_" }
}

$networks = @(try {
    foreach ($network in Get-Existing -Query { Get-NetConnectionProfile }) { @{ interface_index = [int]$network.InterfaceIndex; category = [string]$network.NetworkCategory } }
} catch { $unread += "the categories of the networks: $_" })
$user = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()
$remoteAccess = Get-Existing -Query { Get-Service -Name RemoteAccess }
# The information of a task is no query: it needs one that exists.
$task = Get-Existing -Query { Get-ScheduledTask -TaskName 'aovpn.ikev2 rollback' }
$rollback = if ($task) { Get-ScheduledTaskInfo -TaskName 'aovpn.ikev2 rollback' }
$apply = if (Get-Existing -Query { Get-ScheduledTask -TaskName 'aovpn.ikev2 apply' }) { Get-ScheduledTaskInfo -TaskName 'aovpn.ikev2 apply' }
$memory = if (Test-Path -LiteralPath 'HKLM:\SOFTWARE\aovpn.ikev2') { Get-Item -LiteralPath 'HKLM:\SOFTWARE\aovpn.ikev2' }

$Ansible.Changed = $false
$Ansible.Result = ConvertTo-Json -Compress -Depth 5 -InputObject @{
    # That of Group Policy, which takes precedence over what a command line says.
    policy = [string](Get-ExecutionPolicy -Scope MachinePolicy)
    interfaces = @($interfaces)
    routes = @($routes)
    ipv6_defaults = @($ipv6)
    peers = @($sessions + $configured | Where-Object -FilterScript { $_ } | Sort-Object -Unique)
    sessions = $sessions
    configured = @($configured | Where-Object -FilterScript { $_ } | Sort-Object -Unique)
    networks = $networks
    connections = @($connections | ForEach-Object -Process { $_.RemoteAddress } | Sort-Object -Unique)
    administrator = $user.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
    remote_access = if ($remoteAccess) { ([string]$remoteAccess.StartType).ToLowerInvariant() } else { $null }
    pending = if ($rollback) {
        @{
            due_in = if ($rollback.NextRunTime) { [math]::Max(0.0, ($rollback.NextRunTime - (Get-Date)).TotalSeconds) } else { $null }
            state = ([string]$task.State).ToLowerInvariant()
            result = [long]$rollback.LastTaskResult
            applied = if ($apply) { [long]$apply.LastTaskResult } else { $null }
        }
    } else { $null }
    neighbors = $neighbors
    unread = @($unread)
    remembered = @(if ($memory) { $memory.GetValue('AddedRoutes', @()) })
    former = @(if ($memory) { $memory.GetValue('FormerGateways', @()) })
}
