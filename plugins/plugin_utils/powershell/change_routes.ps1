# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Adds and removes the IPv4 routes in $Steps, in this order. Decides nothing: the plan was made on the controller.
# A step: @{ action = 'add' or 'remove'; store = 'ActiveStore', 'PersistentStore' (remove only) or 'both' (add only);
#            destination; next_hop; interface_index; metric (add only) }
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [object[]]$Steps
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

foreach ($step in $Steps) {
    $route = @{
        DestinationPrefix = [string]$step.destination
        NextHop = [string]$step.next_hop
        InterfaceIndex = [uint32]$step.interface_index
    }
    # New-NetRoute writes to both stores unless told one. It does not take PersistentStore.
    if ($step.store -ne 'both') { $route.PolicyStore = [string]$step.store }
    if ($step.action -eq 'add') {
        $null = New-NetRoute @route -RouteMetric ([uint16]$step.metric)
    } else {
        # All of destination, next hop, interface and store: with fewer, it would remove other routes, too.
        Remove-NetRoute @route -Confirm:$false
    }
    $Ansible.Changed = $true
}
