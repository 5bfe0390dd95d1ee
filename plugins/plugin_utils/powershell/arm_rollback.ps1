# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Arms the rollback before anything changes: a SYSTEM task that runs $Command in $Seconds seconds, and at the next start of the server.
# If it fails, for example because a network adapter is not up yet, it retries every minute, for a day. When it succeeds, it removes itself.
# $Command: the whole text of the rollback, as PowerShell's -EncodedCommand takes it. It is no file, which an execution policy could forbid.
# Bypass is for the modules that it needs. That of Group Policy takes precedence: see try_task.ps1.
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [string]$Command,
    [Parameter(Mandatory = $true)]
    [int]$Seconds
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
# Cmdlets made from CDXML are functions of a module: they do not see the preference of a script that is called.
$PSDefaultParameterValues = @{ '*:ErrorAction' = 'Stop' }

$once = @{ Once = $true; At = (Get-Date).AddSeconds($Seconds); RepetitionInterval = New-TimeSpan -Minutes 1; RepetitionDuration = New-TimeSpan -Days 1 }
$triggers = @((New-ScheduledTaskTrigger @once), (New-ScheduledTaskTrigger -AtStartup))
foreach ($trigger in $triggers) { $trigger.EndBoundary = (Get-Date).AddSeconds($Seconds).AddDays(1).ToString('s') }
# A run that hangs must not keep the next one from starting.
$settings = @{ AllowStartIfOnBatteries = $true; DontStopIfGoingOnBatteries = $true; StartWhenAvailable = $true; ExecutionTimeLimit = New-TimeSpan -Minutes 5 }
$task = @{
    TaskName = 'aovpn.ikev2 rollback'
    Description = 'Restores the former default gateway, unless Ansible reaches this server by the new one.'
    Action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe" -Argument "-NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand $Command"
    Trigger = $triggers
    # SYSTEM, whatever its name is in the language of this server.
    Principal = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest
    Settings = New-ScheduledTaskSettingsSet @settings
}
try {
    $null = Register-ScheduledTask @task -Force
    # Read it back: nothing may change before the task is known to exist.
    if (-not (Get-ScheduledTaskInfo -TaskName $task.TaskName).NextRunTime) { throw "The scheduled task '$($task.TaskName)' was registered and will not run." }
} catch {
    $reason = $_
    try { Unregister-ScheduledTask -TaskName $task.TaskName -Confirm:$false } catch { Write-Verbose -Message $_ }
    throw $reason
}
