# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Ends a change of the default gateway: removes its tasks and files. With -RollBack, it restores the old routes first.
# Run by win_powershell if the change is confirmed, or else by the task that arm_rollback.ps1 has registered.
[CmdletBinding()]
param(
    [switch]$RollBack
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

$folder = Join-Path -Path $env:ProgramFiles -ChildPath 'aovpn.ikev2'
if ($RollBack) {
    # The change must not continue while it is being ended.
    Stop-ScheduledTask -TaskName 'aovpn.ikev2 apply' -ErrorAction SilentlyContinue
    $change = Join-Path -Path $folder -ChildPath 'change_routes.ps1'
    $plan = Join-Path -Path $folder -ChildPath 'rollback.json'
    & $change -Path $plan
    # Only the routes matter: nothing else is a reason to stay armed.
    try {
        & $change -Steps @() -Remember @((Get-Content -LiteralPath $plan -Raw -Encoding UTF8 | ConvertFrom-Json).remember)
    } catch {
        Write-Verbose -Message $_
    }
} elseif (Get-ScheduledTask -TaskName 'aovpn.ikev2 rollback' -ErrorAction SilentlyContinue | Where-Object -Property State -EQ -Value 'Running') {
    throw 'The rollback is already running: it is too late to confirm the change.'
}

# After the routes: if this is interrupted before, the rollback is still armed.
Unregister-ScheduledTask -TaskName 'aovpn.ikev2 apply' -Confirm:$false -ErrorAction SilentlyContinue
Unregister-ScheduledTask -TaskName 'aovpn.ikev2 rollback' -Confirm:$false -ErrorAction SilentlyContinue
Remove-Item -LiteralPath $folder -Recurse -Force -ErrorAction SilentlyContinue
