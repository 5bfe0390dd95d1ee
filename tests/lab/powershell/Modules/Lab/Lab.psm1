# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What each stand-in of a Windows cmdlet does: it hands its parameters to the lab, and gives what comes back.

$common = [System.Management.Automation.Cmdlet]::CommonParameters + [System.Management.Automation.Cmdlet]::OptionalCommonParameters

function Invoke-LabCommand {
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)] [string]$Command,
        [Parameter(Mandatory = $true)] [System.Management.Automation.PSCmdlet]$Cmdlet,
        [Parameter(Mandatory = $true)] [System.Collections.IDictionary]$Bound,
        # One that Windows has as a compiled cmdlet: it sees its caller's $ErrorActionPreference, which a function of a module does not.
        [switch]$Compiled
    )
    $given = @{}
    foreach ($name in $Bound.Keys) {
        if ($name -notin $common) { $given[$name] = $Bound[$name] }
    }
    $reply = [Lab.Link]::Ask($Command, $given, $Cmdlet.ParameterSetName)
    foreach ($item in $reply.Output) { $Cmdlet.WriteObject($item) }
    if (-not $reply.Error) { return }
    $preference = if ($Compiled -and -not $Bound.ContainsKey('ErrorAction')) { [string]$Cmdlet.GetVariableValue('ErrorActionPreference') }
    # Not terminating by itself, as cmdlets fail.
    if ($preference -eq 'Stop') { $Cmdlet.ThrowTerminatingError($reply.Error) }
    if ($preference -notin 'SilentlyContinue', 'Ignore') { $Cmdlet.WriteError($reply.Error) }
}

function Get-Service {
    [CmdletBinding(DefaultParameterSetName = 'Default')]
    param(
        [Parameter(ParameterSetName = 'Default', Position = 0, ValueFromPipelineByPropertyName = $true)] [Alias('ServiceName')] [string[]]$Name,
        [Parameter(ParameterSetName = 'DisplayName', Mandatory = $true)] [string[]]$DisplayName,
        [switch]$DependentServices,
        [Alias('SDO', 'ServicesDependedOn')] [switch]$RequiredServices,
        [string[]]$Include,
        [string[]]$Exclude
    )
    process { Invoke-LabCommand -Command 'Get-Service' -Cmdlet $PSCmdlet -Bound $PSBoundParameters -Compiled }
}
