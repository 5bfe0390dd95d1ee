# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Adds and removes the IPv4 routes in $Steps, or in the JSON file $Path, in this order. Steps that are already done are skipped.
# Decides nothing: the plan was made on the controller.
# A step: @{ action = 'add' or 'remove'; store = 'ActiveStore', 'PersistentStore' (remove only) or 'both' (add only);
#            destination; next_hop; interface_index; metric (add only) }
# $Remember, if given: the routes that are this collection's own from now on, for the registry. The file is { "steps": [...] }.
# $Armed: do nothing if the rollback has run, because nothing would undo later changes.
[CmdletBinding(DefaultParameterSetName = 'Steps')]
param(
    [Parameter(Mandatory = $true, ParameterSetName = 'Steps')]
    [AllowEmptyCollection()]
    [object[]]$Steps,
    [Parameter(ParameterSetName = 'Steps')]
    [AllowEmptyCollection()]
    [string[]]$Remember,
    [Parameter(ParameterSetName = 'Steps')]
    [switch]$Armed,
    [Parameter(Mandatory = $true, ParameterSetName = 'Path')]
    [string]$Path
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

if ($PSCmdlet.ParameterSetName -eq 'Path') {
    $Steps = @((Get-Content -LiteralPath $Path -Raw -Encoding UTF8 | ConvertFrom-Json).steps)
}

if ($Armed -and (Get-ScheduledTask -TaskName 'aovpn.ikev2 rollback').State -eq 'Running') { throw 'The rollback is already running.' }

if ($PSBoundParameters.ContainsKey('Remember')) {
    # Before the routes: if this is interrupted, an added route is still known as our own.
    $memory = 'HKLM:\SOFTWARE\aovpn.ikev2'
    if (-not (Test-Path -LiteralPath $memory)) { $null = New-Item -Path $memory }
    $null = New-ItemProperty -LiteralPath $memory -Name 'AddedRoutes' -PropertyType MultiString -Value ([string[]]@($Remember)) -Force
}

foreach ($step in $Steps) {
    # All of destination, next hop, interface and store: with fewer, Remove-NetRoute would remove other routes, too.
    $route = @{
        DestinationPrefix = [string]$step.destination
        NextHop = [string]$step.next_hop
        InterfaceIndex = [uint32]$step.interface_index
    }
    $stands = @{}
    foreach ($store in 'ActiveStore', 'PersistentStore') {
        $stands[$store] = [bool](Get-NetRoute @route -PolicyStore $store -ErrorAction SilentlyContinue)
    }
    if ($step.action -eq 'remove') {
        if ($stands[$step.store]) { Remove-NetRoute @route -PolicyStore $step.store -Confirm:$false }
    } elseif ($step.store -eq 'both' -and -not $stands['PersistentStore']) {
        # New-NetRoute writes to the persistent store only together with the active one, and only if the route does not exist yet.
        if ($stands['ActiveStore']) { Remove-NetRoute @route -PolicyStore ActiveStore -Confirm:$false }
        $null = New-NetRoute @route -RouteMetric ([uint16]$step.metric)
    } elseif (-not $stands['ActiveStore']) {
        $null = New-NetRoute @route -RouteMetric ([uint16]$step.metric) -PolicyStore ActiveStore
    }
}
