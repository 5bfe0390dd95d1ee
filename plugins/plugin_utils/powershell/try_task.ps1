# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Tests, where a policy gives reason to doubt it, whether a scheduled task can do what the rollback does: with $Command, it has a SYSTEM task run that text,
# which changes nothing. Without, it returns the result of that task so far. With -Remove, it removes the task.
[CmdletBinding()]
param(
    [string]$Command,
    [switch]$Remove
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
# Cmdlets made from CDXML are functions of a module: they do not see the preference of a script that is called.
$PSDefaultParameterValues = @{ '*:ErrorAction' = 'Stop' }

$name = 'aovpn.ikev2 test'
if ($Command) {
    $settings = @{ AllowStartIfOnBatteries = $true; DontStopIfGoingOnBatteries = $true; ExecutionTimeLimit = New-TimeSpan -Minutes 5 }
    $task = @{
        TaskName = $name
        Description = 'Tests whether a rollback of the default gateway could run. Changes nothing.'
        Action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe" -Argument "-NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand $Command"
        # SYSTEM, whatever its name is in the language of this server.
        Principal = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest
        Settings = New-ScheduledTaskSettingsSet @settings
    }
    $null = Register-ScheduledTask @task -Force
    Start-ScheduledTask -TaskName $name
} elseif ($Remove) {
    Unregister-ScheduledTask -TaskName $name -Confirm:$false
} else {
    $Ansible.Changed = $false
    $Ansible.Result = @{ result = [long](Get-ScheduledTaskInfo -TaskName $name).LastTaskResult }
}
