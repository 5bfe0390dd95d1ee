# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Adds and removes the IPv4 routes in $Steps, in this order. Steps that are already done are skipped. Decides nothing: the plan was made on the controller.
# A step is a line: 'add' or 'remove', 'ActiveStore', 'PersistentStore' (remove only) or 'both' (add only), prefix, next hop, metric, interface.
# An interface is known by its alias, because its index may be another one after a restart. One without an alias is known by its index.
# $Remember and $Former, if given: the routes that are this collection's own from now on, and the gateways that it has replaced, for the registry.
# $Armed: stop as soon as the rollback is not waiting any more, because nothing would undo later changes.
# $RollBack: $Steps undo a change. End the task that makes it first, and see at the end that they were carried out.
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)][AllowEmptyCollection()][string[]]$Steps,
    [AllowEmptyCollection()][string[]]$Remember,
    [AllowEmptyCollection()][string[]]$Former,
    [switch]$Armed,
    [switch]$RollBack
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
# Cmdlets made from CDXML are functions of a module: they do not see the preference of a script that is called.
$PSDefaultParameterValues = @{ '*:ErrorAction' = 'Stop' }

# Only this error means that something does not exist. Any other one means that it is not known.
function Get-Existing([scriptblock]$Query) {
    try { & $Query } catch { if ($_.FullyQualifiedErrorId -notlike 'CmdletizationQuery_NotFound*') { throw } }
}
function Read-Route {
    # The metrics of all routes, by store, prefix, next hop and interface index.
    $found = @{}
    foreach ($store in 'ActiveStore', 'PersistentStore') {
        foreach ($route in Get-Existing -Query { Get-NetRoute -AddressFamily IPv4 -PolicyStore $store }) {
            $found['{0} {1} {2} {3}' -f $store, $route.DestinationPrefix, $route.NextHop, $route.InterfaceIndex] = [uint16]$route.RouteMetric
        }
    }
    $found
}
function Set-Memory {
    $key = 'HKLM:\SOFTWARE\aovpn.ikev2'
    if ($memory.Count -and -not (Test-Path -LiteralPath $key)) { $null = New-Item -Path $key }
    foreach ($each in $memory.GetEnumerator()) { $null = New-ItemProperty -LiteralPath $key -Name $each.Key -PropertyType MultiString -Value ([string[]]@($each.Value)) -Force }
}
function Assert-Armed {
    $state = [string](Get-ScheduledTask -TaskName 'aovpn.ikev2 rollback').State
    if ($state -ne 'Ready') { throw "The rollback is not waiting any more: its task is $($state.ToLowerInvariant())." }
}

$memory = @{}
if ($PSBoundParameters.ContainsKey('Remember')) { $memory['AddedRoutes'] = $Remember }
if ($PSBoundParameters.ContainsKey('Former')) { $memory['FormerGateways'] = $Former }
$indexes = @{}
foreach ($interface in Get-NetIPInterface -AddressFamily IPv4) { $indexes[[string]$interface.InterfaceAlias] = [uint32]$interface.InterfaceIndex }
$known = 'add ActiveStore', 'add both', 'remove ActiveStore', 'remove PersistentStore'
$parsed = @(foreach ($line in $Steps) {
    $action, $store, $prefix, $hop, $metric, $alias = $line -split ' ', 6
    if ("$action $store" -notin $known) { throw "'$line' is not a step that is known." }
    if (-not $indexes.ContainsKey($alias) -and $alias -notmatch '^\d+$') { throw "The interface '$alias' does not exist now." }
    # All of destination, next hop, interface and store: with fewer, Remove-NetRoute would remove other routes, too.
    $route = @{ DestinationPrefix = $prefix; NextHop = $hop; InterfaceIndex = if ($indexes.ContainsKey($alias)) { $indexes[$alias] } else { [uint32]$alias } }
    @{ action = $action; store = $store; metric = [uint16]$metric; route = $route; key = "$prefix $hop $($route.InterfaceIndex)" }
})

if ($Armed) { Assert-Armed }
# Before the routes: if this is interrupted, an added route is still known as our own.
if (-not $RollBack) { Set-Memory }
if ($RollBack -and (Get-Existing -Query { Get-ScheduledTask -TaskName 'aovpn.ikev2 apply' })) {
    Stop-ScheduledTask -TaskName 'aovpn.ikev2 apply'
    Unregister-ScheduledTask -TaskName 'aovpn.ikev2 apply' -Confirm:$false
}

$table, $wanted = (Read-Route), @{}
foreach ($step in $parsed) {
    if ($Armed) { Assert-Armed }
    $route, $active, $persistent, $place = $step.route, "ActiveStore $($step.key)", "PersistentStore $($step.key)", "$($step.store) $($step.key)"
    if ($step.action -eq 'remove') {
        if ($table.ContainsKey($place)) { Remove-NetRoute @route -PolicyStore $step.store -Confirm:$false }
        $table.Remove($place)
        $wanted[$place] = $false
        continue
    }
    $wanted[$active] = $true
    if ($step.store -eq 'both') { $wanted[$persistent] = $true }
    if ($step.store -eq 'both' -and -not $table.ContainsKey($persistent)) {
        # New-NetRoute writes to the persistent store only together with the active one, and only if the route does not exist yet.
        $old = $table[$active]
        if ($null -ne $old) { Remove-NetRoute @route -PolicyStore ActiveStore -Confirm:$false }
        try { $null = New-NetRoute @route -RouteMetric $step.metric } catch {
            $reason = $_
            # The route that was in use is not left missing.
            try { if ($null -ne $old) { $null = New-NetRoute @route -RouteMetric $old -PolicyStore ActiveStore } } catch { Write-Verbose -Message $_ }
            throw $reason
        }
        $table[$active] = $table[$persistent] = $step.metric
    } elseif (-not $table.ContainsKey($active)) {
        $null = New-NetRoute @route -RouteMetric $step.metric -PolicyStore ActiveStore
        $table[$active] = $step.metric
    }
}

if ($RollBack) {
    # What makes the change may have been in the middle of a step.
    $table = Read-Route
    foreach ($each in $wanted.GetEnumerator()) {
        if ($table.ContainsKey($each.Key) -ne $each.Value) { throw "The routes were restored, but then changed again: $($each.Key)" }
    }
    # Only the routes matter: nothing else is a reason to stay armed.
    try { Set-Memory } catch { Write-Verbose -Message $_ }
}
