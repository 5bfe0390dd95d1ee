# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Has a SYSTEM task carry out $Steps, so that they do not depend on the connection that they may cut off. Run arm_rollback.ps1 first.
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [object[]]$Steps
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

if ((Get-ScheduledTask -TaskName 'aovpn.ikev2 rollback').State -eq 'Running') { throw 'The rollback is already running.' }

$folder = Join-Path -Path $env:ProgramFiles -ChildPath 'aovpn.ikev2'
$file = Join-Path -Path $folder -ChildPath 'apply.json'
Set-Content -LiteralPath $file -Value (ConvertTo-Json -InputObject @{ steps = $Steps } -Depth 5) -Encoding UTF8
$task = @{
    TaskName = 'aovpn.ikev2 apply'
    Description = 'Makes the load balancer the default gateway of this server.'
    Action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe" -Argument (
        '-NoProfile -NonInteractive -ExecutionPolicy Bypass -File "{0}" -Path "{1}"' -f (Join-Path -Path $folder -ChildPath 'change_routes.ps1'), $file)
    Principal = New-ScheduledTaskPrincipal -UserId 'SYSTEM' -LogonType ServiceAccount -RunLevel Highest
    Settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
}
$null = Register-ScheduledTask @task -Force
Start-ScheduledTask -TaskName $task.TaskName
