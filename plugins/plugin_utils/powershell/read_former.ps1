# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Returns the rollback that an earlier version of this collection armed: it kept the steps in a file, which its task, a script's file, may not be allowed to use.
# Null if there is none. Changes nothing.
[CmdletBinding()]
param()
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

$file = Join-Path -Path $env:ProgramFiles -ChildPath 'aovpn.ikev2/rollback.json'
$Ansible.Changed = $false
$Ansible.Result = @{ rollback = if (Test-Path -LiteralPath $file) { [string](Get-Content -LiteralPath $file -Raw -Encoding UTF8) } else { $null } }
