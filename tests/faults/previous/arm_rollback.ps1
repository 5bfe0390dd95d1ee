# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Arms the rollback before anything changes: a SYSTEM task that carries out $Steps in $Seconds seconds, and at the next start of the server.
# If it fails, for example because a network adapter is not up yet, it retries every minute. When it succeeds, it removes itself.
# $Remember: the routes that are this collection's own afterwards, as for change_routes.ps1. $ChangeScript and $EndScript are the texts of change_routes.ps1
# and end_change.ps1, which the tasks run.
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [object[]]$Steps,
    [Parameter(Mandatory = $true)]
    [AllowEmptyCollection()]
    [string[]]$Remember,
    [Parameter(Mandatory = $true)]
    [int]$Seconds,
    [Parameter(Mandatory = $true)]
    [string]$ChangeScript,
    [Parameter(Mandatory = $true)]
    [string]$EndScript
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

# Only administrators may write there, so that no one else can change what SYSTEM runs.
$folder = Join-Path -Path $env:ProgramFiles -ChildPath 'aovpn.ikev2'
$null = New-Item -ItemType Directory -Path $folder -Force
Set-Content -LiteralPath (Join-Path -Path $folder -ChildPath 'change_routes.ps1') -Value $ChangeScript -Encoding UTF8
Set-Content -LiteralPath (Join-Path -Path $folder -ChildPath 'end_change.ps1') -Value $EndScript -Encoding UTF8
$json = ConvertTo-Json -InputObject @{ steps = $Steps; remember = $Remember } -Depth 5
Set-Content -LiteralPath (Join-Path -Path $folder -ChildPath 'rollback.json') -Value $json -Encoding UTF8

$once = @{ Once = $true; At = (Get-Date).AddSeconds($Seconds); RepetitionInterval = New-TimeSpan -Minutes 1; RepetitionDuration = New-TimeSpan -Days 1 }
$task = @{
    TaskName = 'aovpn.ikev2 rollback'
    Description = 'Restores the former default gateway, unless Ansible reaches this server by the new one.'
    Action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe" -Argument (
        '-NoProfile -NonInteractive -ExecutionPolicy Bypass -File "{0}" -RollBack' -f (Join-Path -Path $folder -ChildPath 'end_change.ps1'))
    Trigger = @((New-ScheduledTaskTrigger @once), (New-ScheduledTaskTrigger -AtStartup))
    Principal = New-ScheduledTaskPrincipal -UserId 'SYSTEM' -LogonType ServiceAccount -RunLevel Highest
    Settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -StartWhenAvailable
}
$null = Register-ScheduledTask @task -Force

# Read it back: nothing may change before the task is known to exist.
if (-not (Get-ScheduledTaskInfo -TaskName $task.TaskName).NextRunTime) {
    Unregister-ScheduledTask -TaskName $task.TaskName -Confirm:$false
    throw "The scheduled task '$($task.TaskName)' was registered and will not run."
}
