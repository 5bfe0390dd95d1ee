# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Stand-ins of cmdlets that Linux has, too. https://learn.microsoft.com/powershell/module/microsoft.powershell.management/get-process
function Get-Process {
    [CmdletBinding(DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Position = 0)] [Alias('ProcessName')] [string[]]$Name,
        [Parameter(ParameterSetName = 'Id', Mandatory = $true, ValueFromPipelineByPropertyName = $true)] [Alias('PID')] [int[]]$Id
    )
    process { Invoke-LabCommand -Command 'Get-Process' -Cmdlet $PSCmdlet -Bound $PSBoundParameters -Compiled }
}
