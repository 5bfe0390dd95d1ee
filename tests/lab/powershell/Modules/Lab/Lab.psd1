# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
@{
    RootModule = 'Lab.psm1'
    ModuleVersion = '1.0'
    GUID = '6c0f3f0e-8f5e-4a5e-9d0c-2f3f7a0f2a11'
    FunctionsToExport = @('Invoke-LabCommand', 'Get-Service')
    CmdletsToExport = @()
    VariablesToExport = @()
    AliasesToExport = @()
}
