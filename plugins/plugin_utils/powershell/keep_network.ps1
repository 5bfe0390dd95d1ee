# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Keeps the category of the network on the interface $Alias for $Seconds seconds. Behind another gateway, Windows takes some time to find out
# which network that is, and may then see a new, public one.
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [string]$Alias,
    [Parameter(Mandatory = $true)]
    [string]$Category,
    [Parameter(Mandatory = $true)]
    [int]$Seconds
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
# Cmdlets made from CDXML are functions of a module: they do not see the preference of a script that is called.
$PSDefaultParameterValues = @{ '*:ErrorAction' = 'Stop' }

for ($passed = 0; $passed -lt $Seconds; $passed++) {
    # There is none while Windows is finding out. A domain's network is known by its controllers, and its category cannot be set.
    try { $network = Get-NetConnectionProfile -InterfaceAlias $Alias } catch { if ($_.FullyQualifiedErrorId -notlike 'CmdletizationQuery_NotFound*') { throw } else { $network = $null } }
    if ($network -and [string]$network.NetworkCategory -notin $Category, 'DomainAuthenticated') { Set-NetConnectionProfile -InterfaceAlias $Alias -NetworkCategory $Category }
    Start-Sleep -Seconds 1
}
