# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Has a SYSTEM task run $Command, the text that makes the change, so that it does not depend on the connection that it may cut off.
# Run arm_rollback.ps1 first. The text itself looks for the rollback before each step.
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [string]$Command
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
# Cmdlets made from CDXML are functions of a module: they do not see the preference of a script that is called.
$PSDefaultParameterValues = @{ '*:ErrorAction' = 'Stop' }

function Assert-Armed {
    $state = [string](Get-ScheduledTask -TaskName 'aovpn.ikev2 rollback').State
    if ($state -ne 'Ready') { throw "The rollback is not waiting any more: its task is $($state.ToLowerInvariant())." }
}

Assert-Armed
$settings = @{ AllowStartIfOnBatteries = $true; DontStopIfGoingOnBatteries = $true; ExecutionTimeLimit = New-TimeSpan -Minutes 5 }
$task = @{
    TaskName = 'aovpn.ikev2 apply'
    Description = 'Makes the load balancer the default gateway of this server.'
    Action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe" -Argument "-NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand $Command"
    # SYSTEM, whatever its name is in the language of this server.
    Principal = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest
    Settings = New-ScheduledTaskSettingsSet @settings
}
$null = Register-ScheduledTask @task -Force
try {
    # The rollback may have begun meanwhile, and found no task to end.
    Assert-Armed
    Start-ScheduledTask -TaskName $task.TaskName
} catch {
    $reason = $_
    try { Unregister-ScheduledTask -TaskName $task.TaskName -Confirm:$false } catch { Write-Verbose -Message $_ }
    throw $reason
}
