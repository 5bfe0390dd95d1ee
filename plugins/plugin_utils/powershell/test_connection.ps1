# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Opens a TCP connection to $Port of $HostName, by whatever route leads there now, and returns the address that was tried and whether it was accepted.
# Changes nothing. SupportsShouldProcess makes win_powershell run it in check mode, too.
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string]$HostName,
    [Parameter(Mandatory = $true)]
    [int]$Port
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

# The route that matters is one of IPv4. A name that has no address ends the script.
$addresses = @([System.Net.Dns]::GetHostAddresses($HostName) | ForEach-Object -Process { $_.IPAddressToString } | Where-Object -FilterScript { $_ -notlike '*:*' })
$address = [string]($addresses | Select-Object -First 1)

$Ansible.Changed = $false
$Ansible.Result = @{
    address = $address
    accepted = $address -and (Test-NetConnection -ComputerName $address -Port $Port -InformationLevel Quiet -WarningAction SilentlyContinue)
}
