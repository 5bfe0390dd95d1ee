# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Pester 5 tests of the scripts in plugins/plugin_utils/powershell, with mocked cmdlets: those of Windows, or on Linux the lab's stand-ins for them.

BeforeAll {
    $scripts = Join-Path $PSScriptRoot '../../plugins/plugin_utils/powershell'
    $programFiles = $env:ProgramFiles
    $Ansible = [pscustomobject]@{ Changed = $true; Result = $null }

    function New-Step([string]$Action, [string]$Store) {
        @{ action = $Action; store = $Store; destination = '0.0.0.0/0'; next_hop = '10.10.0.1'; interface_index = 4; metric = 5 }
    }

    # Fails as a cmdlet made from CDXML does. Such a cmdlet is a function of a module: it sees its own -ErrorAction, but not the $ErrorActionPreference
    # of the script that calls it, which Write-Error alone would see in a mock.
    function Write-CimError([string]$Message, [System.Collections.IDictionary]$Bound) {
        $action = if ($Bound.Contains('ErrorAction')) { $Bound['ErrorAction'] } else { 'Continue' }
        Write-Error -Message $Message -Category ObjectNotFound -ErrorId 'CmdletizationQuery_NotFound_TaskName' -ErrorAction $action
    }
}

AfterAll {
    $env:ProgramFiles = $programFiles
}

Describe 'change_routes.ps1' {
    BeforeAll {
        Mock New-NetRoute { $null }
        Mock Remove-NetRoute { $null }
    }

    Context 'where the route is in no store' {
        BeforeAll { Mock Get-NetRoute { $null } }

        It 'adds to the active store alone' {
            & "$scripts/change_routes.ps1" -Steps (New-Step add ActiveStore)
            Should -Invoke New-NetRoute -Times 1 -Exactly -ParameterFilter {
                $PolicyStore -eq 'ActiveStore' -and $DestinationPrefix -eq '0.0.0.0/0' -and $NextHop -eq '10.10.0.1' -and $InterfaceIndex -eq 4 -and $RouteMetric -eq 5
            }
        }

        It 'adds to both stores by naming none' {
            & "$scripts/change_routes.ps1" -Steps (New-Step add both)
            Should -Invoke New-NetRoute -Times 1 -Exactly -ParameterFilter { -not $PolicyStore }
            Should -Invoke Remove-NetRoute -Times 0 -Exactly
        }

        It 'removes nothing' {
            & "$scripts/change_routes.ps1" -Steps (New-Step remove ActiveStore), (New-Step remove PersistentStore)
            Should -Invoke Remove-NetRoute -Times 0 -Exactly
        }
    }

    Context 'where the route is in the active store' {
        BeforeAll { Mock Get-NetRoute { if ($PolicyStore -eq 'ActiveStore') { 'a route' } } }

        It 'leaves it alone' {
            & "$scripts/change_routes.ps1" -Steps (New-Step add ActiveStore)
            Should -Invoke New-NetRoute -Times 0 -Exactly
        }

        It 'replaces it where it should be persistent' {
            & "$scripts/change_routes.ps1" -Steps (New-Step add both)
            Should -Invoke Remove-NetRoute -Times 1 -Exactly -ParameterFilter { $PolicyStore -eq 'ActiveStore' }
            Should -Invoke New-NetRoute -Times 1 -Exactly -ParameterFilter { -not $PolicyStore }
        }

        It 'removes it by everything that tells it from others' {
            & "$scripts/change_routes.ps1" -Steps (New-Step remove ActiveStore)
            Should -Invoke Remove-NetRoute -Times 1 -Exactly -ParameterFilter {
                $PolicyStore -eq 'ActiveStore' -and $DestinationPrefix -eq '0.0.0.0/0' -and $NextHop -eq '10.10.0.1' -and $InterfaceIndex -eq 4
            }
        }
    }

    Context 'where the route is in both stores' {
        BeforeAll { Mock Get-NetRoute { 'a route' } }

        It 'leaves it alone' {
            & "$scripts/change_routes.ps1" -Steps (New-Step add both)
            Should -Invoke New-NetRoute -Times 0 -Exactly
            Should -Invoke Remove-NetRoute -Times 0 -Exactly
        }
    }

    It 'reads steps from a file' {
        Mock Get-NetRoute { $null }
        $file = Join-Path $TestDrive 'steps.json'
        Set-Content -LiteralPath $file -Value (ConvertTo-Json -InputObject @{ steps = @((New-Step add ActiveStore), (New-Step add both)) } -Depth 5) -Encoding UTF8
        & "$scripts/change_routes.ps1" -Path $file
        Should -Invoke New-NetRoute -Times 2 -Exactly
    }

    It 'remembers what is its own before it adds it' {
        Mock Get-NetRoute { $null }
        Mock Test-Path { $false } -ParameterFilter { $LiteralPath -like 'HKLM:*' }
        Mock New-Item { $null } -ParameterFilter { $Path -like 'HKLM:*' }
        Mock New-ItemProperty { Write-Error -Message 'no' }
        { & "$scripts/change_routes.ps1" -Steps (New-Step add both) -Remember '172.16.0.9/32 10.10.0.254 External' } | Should -Throw 'no'
        Should -Invoke New-Item -Times 1 -Exactly
        Should -Invoke New-ItemProperty -Times 1 -Exactly -ParameterFilter { $Name -eq 'AddedRoutes' -and $Value.Count -eq 1 -and $Value[0] -eq '172.16.0.9/32 10.10.0.254 External' }
        Should -Invoke New-NetRoute -Times 0 -Exactly
    }

    It 'changes nothing once the rollback <_>' -ForEach 'is running', 'has run' {
        $state = $_
        Mock Get-NetRoute { $null }
        Mock Get-ScheduledTask { if ($state -eq 'has run') { Write-CimError 'no such task' $PesterBoundParameters } else { [pscustomobject]@{ State = 'Running' } } }
        { & "$scripts/change_routes.ps1" -Steps (New-Step add both) -Armed 2>$null } | Should -Throw
        Should -Invoke New-NetRoute -Times 0 -Exactly
    }

    It 'forgets, and leaves the memory alone where it is not told' {
        Mock Test-Path { $true } -ParameterFilter { $LiteralPath -like 'HKLM:*' }
        Mock New-ItemProperty { $null }
        & "$scripts/change_routes.ps1" -Steps @()
        Should -Invoke New-ItemProperty -Times 0 -Exactly
        & "$scripts/change_routes.ps1" -Steps @() -Remember @()
        Should -Invoke New-ItemProperty -Times 1 -Exactly -ParameterFilter { $Value.Count -eq 0 }
    }
}

Describe 'arm_rollback.ps1' {
    BeforeAll {
        $env:ProgramFiles = $TestDrive
        Mock Register-ScheduledTask { $null }
        Mock Unregister-ScheduledTask { $null }
        $armed = @{ Steps = @(New-Step add both); Remember = @('172.16.0.9/32 10.10.0.254 External'); Seconds = 180; ChangeScript = 'change'; EndScript = 'end' }
    }

    It 'registers a task of SYSTEM for a time and for the next start, and leaves its files' {
        Mock Get-ScheduledTaskInfo { [pscustomobject]@{ NextRunTime = (Get-Date).AddSeconds(180) } }
        & "$scripts/arm_rollback.ps1" @armed
        Should -Invoke Register-ScheduledTask -Times 1 -Exactly -ParameterFilter {
            $TaskName -eq 'aovpn.ikev2 rollback' -and $Trigger.Count -eq 2 -and $Trigger[0].Repetition.Interval -eq 'PT1M' -and $Principal.UserId -eq 'SYSTEM' -and $Action[0].Arguments -like '*end_change.ps1" -RollBack'
        }
        Get-Content (Join-Path $TestDrive 'aovpn.ikev2/end_change.ps1') | Should -Be 'end'
        $plan = Get-Content (Join-Path $TestDrive 'aovpn.ikev2/rollback.json') -Raw | ConvertFrom-Json
        @($plan.steps).Count | Should -Be 1
        @($plan.steps)[0].next_hop | Should -Be '10.10.0.1'
        @($plan.remember) | Should -Be @('172.16.0.9/32 10.10.0.254 External')
    }

    It 'fails where the task would not run' {
        Mock Get-ScheduledTaskInfo { [pscustomobject]@{ NextRunTime = $null } }
        { & "$scripts/arm_rollback.ps1" @armed } | Should -Throw '*will not run*'
        Should -Invoke Unregister-ScheduledTask -Times 1 -Exactly
    }
}

Describe 'apply_detached.ps1' {
    BeforeAll {
        $env:ProgramFiles = $TestDrive
        $null = New-Item -ItemType Directory -Path (Join-Path $TestDrive 'aovpn.ikev2') -Force
        Mock Register-ScheduledTask { $null }
        Mock Start-ScheduledTask { $null }
    }

    It 'starts a task where the rollback is armed' {
        Mock Get-ScheduledTask { [pscustomobject]@{ State = 'Ready' } }
        & "$scripts/apply_detached.ps1" -Steps (New-Step add ActiveStore)
        Should -Invoke Start-ScheduledTask -Times 1 -Exactly -ParameterFilter { $TaskName -eq 'aovpn.ikev2 apply' }
    }

    It 'does nothing where it <_>' -ForEach 'is not', 'is running' {
        $state = $_
        Mock Get-ScheduledTask { if ($state -eq 'is not') { Write-CimError 'no such task' $PesterBoundParameters } else { [pscustomobject]@{ State = 'Running' } } }
        { & "$scripts/apply_detached.ps1" -Steps (New-Step add ActiveStore) 2>$null } | Should -Throw
        Should -Invoke Register-ScheduledTask -Times 0 -Exactly
    }
}

Describe 'end_change.ps1' {
    BeforeAll {
        $env:ProgramFiles = $TestDrive
        Mock Stop-ScheduledTask { $null }
        Mock Unregister-ScheduledTask { $null }
    }

    BeforeEach {
        $folder = Join-Path $TestDrive 'aovpn.ikev2'
        $null = New-Item -ItemType Directory -Path $folder -Force
    }

    It 'confirms nothing once the rollback is running' {
        Mock Get-ScheduledTask { [pscustomobject]@{ State = 'Running' } }
        { & "$scripts/end_change.ps1" } | Should -Throw '*too late*'
        Should -Invoke Unregister-ScheduledTask -Times 0 -Exactly
    }

    It 'removes tasks and files, and no routes' {
        Mock Get-ScheduledTask { [pscustomobject]@{ State = 'Ready' } }
        & "$scripts/end_change.ps1"
        Should -Invoke Unregister-ScheduledTask -Times 2 -Exactly
        $folder | Should -Not -Exist
    }

    It 'brings the routes back first, then what was known for its own' {
        Set-Content (Join-Path $folder 'rollback.json') '{ "steps": [], "remember": ["one"] }'
        Set-Content (Join-Path $folder 'change_routes.ps1') 'param($Path, $Steps, $Remember) Add-Content "$env:ProgramFiles/done" "$Path $Remember"'
        & "$scripts/end_change.ps1" -RollBack
        Get-Content (Join-Path $TestDrive 'done') | Select-Object -First 1 | Should -BeLike '*rollback.json '
        Get-Content (Join-Path $TestDrive 'done') | Select-Object -Last 1 | Should -Be ' one'
        Should -Invoke Unregister-ScheduledTask -Times 2 -Exactly
    }

    It 'does not stay armed where only the memory failed' {
        Set-Content (Join-Path $folder 'rollback.json') '{ "steps": [], "remember": [] }'
        Set-Content (Join-Path $folder 'change_routes.ps1') 'param($Path, $Steps, $Remember) if (-not $Path) { throw "no" }'
        & "$scripts/end_change.ps1" -RollBack
        Should -Invoke Unregister-ScheduledTask -Times 2 -Exactly
    }

    It 'stays armed where the routes could not be brought back' {
        Set-Content (Join-Path $folder 'change_routes.ps1') 'param($Path) throw "no"'
        { & "$scripts/end_change.ps1" -RollBack } | Should -Throw 'no'
        Should -Invoke Unregister-ScheduledTask -Times 0 -Exactly
        $folder | Should -Exist
    }
}

Describe 'the scripts that read' {
    It '<_> changes nothing, gives a result and hides no error, on this very machine' -ForEach 'read_network.ps1', 'read_vpn.ps1' {
        & "$scripts/$_" -ErrorVariable failed
        # What does not exist is an answer.
        $failed | Where-Object { $_.CategoryInfo.Category -ne 'ObjectNotFound' } | Should -BeNullOrEmpty
        $Ansible.Changed | Should -BeFalse
        { ConvertTo-Json -InputObject $Ansible.Result -Depth 5 } | Should -Not -Throw
    }

    It 'reads the network' {
        & "$scripts/read_network.ps1"
        $addresses = @(Get-NetIPAddress -AddressFamily IPv4 | ForEach-Object { '{0}/{1}' -f $_.IPAddress, $_.PrefixLength })
        $Ansible.Result.interfaces.Count | Should -BeGreaterThan 0
        $Ansible.Result.interfaces | ForEach-Object { $_.addresses } | Should -BeIn $addresses
        @($Ansible.Result.routes | Where-Object { $_.store -eq 'ActiveStore' }).Count | Should -Be @(Get-NetRoute -AddressFamily IPv4 -PolicyStore ActiveStore).Count
        $Ansible.Result.administrator | Should -BeOfType [bool]
    }

    It 'reads the VPN server' {
        & "$scripts/read_vpn.ps1"
        $Ansible.Result.now | Should -Match '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$'
        $Ansible.Result.services.IKEEXT.state | Should -Be ([string](Get-Service -Name IKEEXT).Status).ToLowerInvariant()
    }
}
