# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Ends a change of the default gateway: removes its tasks. With -RollBack after the old routes have been restored, else once the new ones are confirmed.
[CmdletBinding()]
param(
    [switch]$RollBack
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
# Cmdlets made from CDXML are functions of a module: they do not see the preference of a script that is called.
$PSDefaultParameterValues = @{ '*:ErrorAction' = 'Stop' }

# Only this error means that a task does not exist. Any other one means that it is not known.
function Find-Task([string]$Name) {
    try { Get-ScheduledTask -TaskName $Name } catch { if ($_.FullyQualifiedErrorId -notlike 'CmdletizationQuery_NotFound*') { throw } }
}

$rollbackTask = 'aovpn.ikev2 rollback'
try {
    if (-not $RollBack -and (Find-Task -Name $rollbackTask)) {
        # Look only when it cannot start any more.
        $null = Disable-ScheduledTask -TaskName $rollbackTask
        $state = [string](Get-ScheduledTask -TaskName $rollbackTask).State
        $lastRun = (Get-ScheduledTaskInfo -TaskName $rollbackTask).LastRunTime
        # One that has never run shows a date of 1999.
        if ($state -in 'Running', 'Queued' -or ($lastRun -and $lastRun.Year -gt 2000)) {
            throw 'The rollback has already begun: it is too late to confirm the change.'
        }
    }
    # The rollback last: if this is interrupted before, it is still there.
    foreach ($name in 'aovpn.ikev2 apply', $rollbackTask) {
        if (Find-Task -Name $name) { Unregister-ScheduledTask -TaskName $name -Confirm:$false }
        if (Find-Task -Name $name) { throw "The scheduled task '$name' was removed and is still there." }
    }
} catch {
    $reason = $_
    # A change that is not confirmed has to be undone.
    try { if (Find-Task -Name $rollbackTask) { $null = Enable-ScheduledTask -TaskName $rollbackTask } } catch { Write-Verbose -Message $_ }
    throw $reason
}
# Files of version 0.1.0, whose tasks ran them. They are no reason not to confirm.
$folder = Join-Path -Path $env:ProgramFiles -ChildPath 'aovpn.ikev2'
try { if (Test-Path -LiteralPath $folder) { Remove-Item -LiteralPath $folder -Recurse -Force } } catch { Write-Verbose -Message $_ }
