# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs the Pester tests, and says which lines of the scripts they reached. On Linux, run.py starts it, with the lab's stand-ins in place of Windows.
# -Whole: a line that no test reaches counts as a failure.
param([switch]$Whole)
$ErrorActionPreference = 'Stop'
Import-Module -Name Pester -MinimumVersion 5.5
$scripts = Join-Path -Path $PSScriptRoot -ChildPath '../../plugins/plugin_utils/powershell/*.ps1'
$configuration = New-PesterConfiguration
$configuration.Run.Path = $PSScriptRoot
$configuration.Run.PassThru = $true
$configuration.CodeCoverage.Enabled = $true
$configuration.CodeCoverage.UseBreakpoints = $false
$configuration.CodeCoverage.Path = @((Get-ChildItem -Path $scripts).FullName)
$configuration.CodeCoverage.OutputPath = Join-Path -Path ([System.IO.Path]::GetTempPath()) -ChildPath 'aovpn.ikev2-coverage.xml'
$result = Invoke-Pester -Configuration $configuration

# Pester counts commands; several may be in a line.
$missed = @($result.CodeCoverage.CommandsMissed | ForEach-Object -Process { '{0}:{1}' -f (Split-Path -Path $_.File -Leaf), $_.Line } | Select-Object -Unique)
$reached = @($result.CodeCoverage.CommandsExecuted | ForEach-Object -Process { '{0}:{1}' -f (Split-Path -Path $_.File -Leaf), $_.Line } | Select-Object -Unique)
$lines = @($missed + $reached | Select-Object -Unique)
Write-Output ('Lines reached: {0} of {1}, {2:0.0} %' -f ($lines.Count - $missed.Count), $lines.Count, (100 * ($lines.Count - $missed.Count) / $lines.Count))
if ($missed) { Write-Output "Not reached: $($missed -join ', ')" }
if ($Whole -and $missed) { exit 1 }
exit $result.FailedCount + $result.FailedBlocksCount + $result.FailedContainersCount
