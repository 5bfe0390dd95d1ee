# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes a PowerShell that of a host of the lab. It is the profile of those that are started as powershell.exe, and the warm one reads it, too.
# The types are compiled once: $env:LAB_TYPES is the library's file.
if (-not ('Lab.Link' -as [type])) {
    if (-not (Test-Path -LiteralPath $env:LAB_TYPES)) {
        $new = "$env:LAB_TYPES.$PID.dll"
        Add-Type -Path "$PSScriptRoot/Link.cs" -OutputAssembly $new
        Move-Item -LiteralPath $new -Destination $env:LAB_TYPES -Force
    }
    Add-Type -Path $env:LAB_TYPES
    [Lab.Session]::Install(@'
[CmdletBinding(DefaultParameterSetName = 'Name')]
param(
    [Parameter(ParameterSetName = 'Name', Position = 0)] [Alias('ProcessName')] [string[]]$Name,
    [Parameter(ParameterSetName = 'Id', Mandatory = $true, ValueFromPipelineByPropertyName = $true)] [Alias('PID')] [int[]]$Id
)
process { Invoke-LabCommand -Command 'Get-Process' -Cmdlet $PSCmdlet -Bound $PSBoundParameters }
'@)
}
