# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
@{
    Severity = @('Error', 'Warning', 'Information')
    ExcludeRules = @(
        # The scripts decide nothing: check mode is the controller's, which sends none of those that change.
        'PSUseShouldProcessForStateChangingFunctions',
        # $Ansible is win_powershell's.
        'PSUseDeclaredVarsMoreThanAssignments'
    )
    Rules = @{
        PSUseCompatibleSyntax = @{
            Enable = $true
            TargetVersions = @('5.1')
        }
        PSUseConsistentIndentation = @{
            Enable = $true
            IndentationSize = 4
        }
    }
}
