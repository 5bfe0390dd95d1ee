# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Pester 5 tests of the scripts in plugins/plugin_utils/powershell, with mocked cmdlets: those of Windows, or on Linux the lab's stand-ins for them.

BeforeAll {
    $scripts = Join-Path $PSScriptRoot '../../plugins/plugin_utils/powershell'
    $Ansible = [pscustomobject]@{ Changed = $true; Result = $null }
    $new = '0.0.0.0/0 10.10.0.1 5 External'

    # Fails as a cmdlet made from CDXML does. Such a cmdlet is a function of a module: it sees its own -ErrorAction, but not the $ErrorActionPreference
    # of the script that calls it, which Write-Error alone would see in a mock.
    function Write-CimError([string]$Message, [System.Collections.IDictionary]$Bound, [string]$Id = 'CmdletizationQuery_NotFound_TaskName') {
        $action = if ($Bound.Contains('ErrorAction')) { $Bound['ErrorAction'] } else { 'Continue' }
        Write-Error -Message $Message -Category ObjectNotFound -ErrorId $Id -ErrorAction $action
    }

    function New-Route([string]$NextHop, [int]$Metric = 256) {
        [pscustomobject]@{ DestinationPrefix = '0.0.0.0/0'; NextHop = $NextHop; InterfaceIndex = 4; RouteMetric = $Metric }
    }

    function New-Task([string]$State) { [pscustomobject]@{ State = $State } }
}

Describe 'change_routes.ps1' {
    BeforeAll {
        Mock New-NetRoute { $null }
        Mock Remove-NetRoute { $null }
        Mock Get-NetIPInterface { [pscustomobject]@{ InterfaceAlias = 'External'; InterfaceIndex = 4 } }
        Mock Get-ScheduledTask { Write-CimError 'no such task' $PesterBoundParameters }
        Mock Stop-ScheduledTask { $null }
        Mock Unregister-ScheduledTask { $null }
    }

    Context 'where the route is in no store' {
        BeforeAll { Mock Get-NetRoute { Write-CimError 'no route' $PesterBoundParameters 'CmdletizationQuery_NotFound' } }

        It 'adds to the active store alone' {
            & "$scripts/change_routes.ps1" -Steps "add ActiveStore $new"
            Should -Invoke New-NetRoute -Times 1 -Exactly -ParameterFilter {
                $PolicyStore -eq 'ActiveStore' -and $DestinationPrefix -eq '0.0.0.0/0' -and $NextHop -eq '10.10.0.1' -and $InterfaceIndex -eq 4 -and $RouteMetric -eq 5
            }
            Should -Invoke Get-NetIPInterface -Times 1 -Exactly -ParameterFilter { $AddressFamily -eq 'IPv4' }
        }

        It 'adds to both stores by naming none' {
            & "$scripts/change_routes.ps1" -Steps "add both $new"
            Should -Invoke New-NetRoute -Times 1 -Exactly -ParameterFilter { -not $PolicyStore }
            Should -Invoke Remove-NetRoute -Times 0 -Exactly
        }

        It 'removes nothing' {
            & "$scripts/change_routes.ps1" -Steps "remove ActiveStore $new", "remove PersistentStore $new"
            Should -Invoke Remove-NetRoute -Times 0 -Exactly
        }

        It 'stops where a route cannot be added' {
            Mock New-NetRoute { Write-CimError 'no' $PesterBoundParameters 'Windows System Error 87' }
            { & "$scripts/change_routes.ps1" -Steps "add both $new", "add ActiveStore $new" } | Should -Throw 'no'
            Should -Invoke New-NetRoute -Times 1 -Exactly
        }

        It 'takes an index for an interface without an alias' {
            & "$scripts/change_routes.ps1" -Steps 'add ActiveStore 172.16.0.0/12 0.0.0.0 256 17'
            Should -Invoke New-NetRoute -Times 1 -Exactly -ParameterFilter { $InterfaceIndex -eq 17 }
        }

        It 'refuses <_>, and does nothing' -ForEach 'remove both', 'add PersistentStore', 'keep ActiveStore' {
            { & "$scripts/change_routes.ps1" -Steps "add ActiveStore $new", "$_ $new" } | Should -Throw '*not a step that is known*'
            Should -Invoke New-NetRoute -Times 0 -Exactly
        }

        It 'refuses an interface that does not exist' {
            { & "$scripts/change_routes.ps1" -Steps 'add ActiveStore 0.0.0.0/0 10.10.0.1 5 External 2' } | Should -Throw "*'External 2' does not exist*"
        }
    }

    Context 'where the route is in the active store' {
        BeforeAll {
            Mock Get-NetRoute { if ($PolicyStore -eq 'ActiveStore') { New-Route '10.10.0.1' 7 } else { Write-CimError 'no route' $PesterBoundParameters 'CmdletizationQuery_NotFound' } }
        }

        It 'leaves it alone' {
            & "$scripts/change_routes.ps1" -Steps "add ActiveStore $new"
            Should -Invoke New-NetRoute -Times 0 -Exactly
        }

        It 'replaces it where it should be persistent' {
            & "$scripts/change_routes.ps1" -Steps "add both $new"
            Should -Invoke Remove-NetRoute -Times 1 -Exactly -ParameterFilter { $PolicyStore -eq 'ActiveStore' }
            Should -Invoke New-NetRoute -Times 1 -Exactly -ParameterFilter { -not $PolicyStore }
        }

        It 'brings it back where it cannot be made persistent' {
            Mock New-NetRoute { Write-CimError 'no' $PesterBoundParameters 'Windows System Error 87' } -ParameterFilter { -not $PolicyStore }
            { & "$scripts/change_routes.ps1" -Steps "add both $new" } | Should -Throw 'no'
            Should -Invoke New-NetRoute -Times 1 -Exactly -ParameterFilter { $PolicyStore -eq 'ActiveStore' -and $RouteMetric -eq 7 }
        }

        It 'gives the first reason where it cannot be brought back either' {
            Mock New-NetRoute { Write-CimError "no $PolicyStore" $PesterBoundParameters 'Windows System Error 87' }
            { & "$scripts/change_routes.ps1" -Steps "add both $new" } | Should -Throw 'no '
        }

        It 'removes it by everything that tells it from others' {
            & "$scripts/change_routes.ps1" -Steps "remove ActiveStore $new"
            Should -Invoke Remove-NetRoute -Times 1 -Exactly -ParameterFilter {
                $PolicyStore -eq 'ActiveStore' -and $DestinationPrefix -eq '0.0.0.0/0' -and $NextHop -eq '10.10.0.1' -and $InterfaceIndex -eq 4
            }
        }
    }

    It 'leaves a route alone that is in both stores' {
        Mock Get-NetRoute { New-Route '10.10.0.1' }
        & "$scripts/change_routes.ps1" -Steps "add both $new"
        Should -Invoke New-NetRoute -Times 0 -Exactly
        Should -Invoke Remove-NetRoute -Times 0 -Exactly
    }

    It 'does nothing where the routes cannot be read' {
        Mock Get-NetRoute { Write-CimError 'no RPC' $PesterBoundParameters 'HRESULT 0x800706ba' }
        { & "$scripts/change_routes.ps1" -Steps "remove ActiveStore $new", "add ActiveStore $new" } | Should -Throw 'no RPC'
        Should -Invoke New-NetRoute -Times 0 -Exactly
    }

    It 'remembers what is its own before it adds it' {
        Mock Get-NetRoute { Write-CimError 'no route' $PesterBoundParameters 'CmdletizationQuery_NotFound' }
        Mock Test-Path { $false } -ParameterFilter { $LiteralPath -like 'HKLM:*' }
        Mock New-Item { $null } -ParameterFilter { $Path -like 'HKLM:*' }
        Mock New-ItemProperty { Write-Error -Message 'no' }
        { & "$scripts/change_routes.ps1" -Steps "add both $new" -Remember '172.16.0.9/32 10.10.0.254 External' } | Should -Throw 'no'
        Should -Invoke New-Item -Times 1 -Exactly
        Should -Invoke New-ItemProperty -Times 1 -Exactly -ParameterFilter { $Name -eq 'AddedRoutes' -and $Value.Count -eq 1 -and $Value[0] -eq '172.16.0.9/32 10.10.0.254 External' }
        Should -Invoke New-NetRoute -Times 0 -Exactly
    }

    It 'changes nothing where the rollback is <_>' -ForEach 'gone', 'Running', 'Queued', 'Disabled' {
        $state = $_
        Mock Get-NetRoute { Write-CimError 'no route' $PesterBoundParameters 'CmdletizationQuery_NotFound' }
        Mock Get-ScheduledTask { if ($state -eq 'gone') { Write-CimError 'no such task' $PesterBoundParameters } else { New-Task $state } }
        { & "$scripts/change_routes.ps1" -Steps "add both $new" -Armed } | Should -Throw
        Should -Invoke New-NetRoute -Times 0 -Exactly
    }

    It 'stops between two steps where the rollback has begun' {
        $asked = @{ times = 0 }
        Mock Get-NetRoute { Write-CimError 'no route' $PesterBoundParameters 'CmdletizationQuery_NotFound' }
        Mock Get-ScheduledTask { $asked.times++; New-Task $(if ($asked.times -le 2) { 'Ready' } else { 'Running' }) }
        { & "$scripts/change_routes.ps1" -Steps "add ActiveStore $new", 'add ActiveStore 172.16.0.0/12 10.10.0.1 5 External' -Armed } | Should -Throw '*is running*'
        Should -Invoke New-NetRoute -Times 1 -Exactly
        Should -Invoke Get-ScheduledTask -Times 3 -Exactly -ParameterFilter { $TaskName -eq 'aovpn.ikev2 rollback' }
    }

    It 'forgets, and leaves the memory alone where it is not told' {
        Mock Get-NetRoute { Write-CimError 'no route' $PesterBoundParameters 'CmdletizationQuery_NotFound' }
        Mock Test-Path { $true } -ParameterFilter { $LiteralPath -like 'HKLM:*' }
        Mock New-ItemProperty { $null }
        & "$scripts/change_routes.ps1" -Steps @()
        Should -Invoke New-ItemProperty -Times 0 -Exactly
        & "$scripts/change_routes.ps1" -Steps @() -Remember @()
        Should -Invoke New-ItemProperty -Times 1 -Exactly -ParameterFilter { $Value.Count -eq 0 }
    }

    It 'remembers the gateways that were replaced' {
        Mock Get-NetRoute { Write-CimError 'no route' $PesterBoundParameters 'CmdletizationQuery_NotFound' }
        Mock Test-Path { $true } -ParameterFilter { $LiteralPath -like 'HKLM:*' }
        Mock New-ItemProperty { $null }
        & "$scripts/change_routes.ps1" -Steps @() -Former '10.10.0.254 10.10.0.1 External'
        Should -Invoke New-ItemProperty -Times 1 -Exactly -ParameterFilter { $Name -eq 'FormerGateways' -and $Value[0] -eq '10.10.0.254 10.10.0.1 External' }
    }

    Context 'as a rollback' {
        BeforeAll {
            Mock Get-NetRoute { New-Route '10.10.0.1' }
            Mock Get-ScheduledTask { New-Task 'Running' }
            Mock Test-Path { $true } -ParameterFilter { $LiteralPath -like 'HKLM:*' }
            Mock New-ItemProperty { $null }
        }

        It 'ends the change first' {
            & "$scripts/change_routes.ps1" -Steps "add ActiveStore $new" -RollBack
            Should -Invoke Stop-ScheduledTask -Times 1 -Exactly -ParameterFilter { $TaskName -eq 'aovpn.ikev2 apply' }
            Should -Invoke Unregister-ScheduledTask -Times 1 -Exactly -ParameterFilter { $TaskName -eq 'aovpn.ikev2 apply' }
        }

        It 'fails where the routes are not those afterwards' {
            { & "$scripts/change_routes.ps1" -Steps "remove ActiveStore $new" -Remember @() -RollBack } | Should -Throw '*changed again*'
            Should -Invoke New-ItemProperty -Times 0 -Exactly
        }

        It 'does not fail for the sake of the memory' {
            Mock New-ItemProperty { Write-Error -Message 'no' }
            & "$scripts/change_routes.ps1" -Steps "add ActiveStore $new" -Remember 'one' -RollBack
            Should -Invoke New-ItemProperty -Times 1 -Exactly
        }
    }
}

Describe 'arm_rollback.ps1' {
    BeforeAll {
        Mock Register-ScheduledTask { $null }
        Mock Unregister-ScheduledTask { $null }
    }

    It 'registers a task of SYSTEM for a time and for the next start, which ends' {
        Mock Get-ScheduledTaskInfo { [pscustomobject]@{ NextRunTime = (Get-Date).AddSeconds(180) } }
        & "$scripts/arm_rollback.ps1" -Command 'QQ==' -Seconds 180
        Should -Invoke Register-ScheduledTask -Times 1 -Exactly -ParameterFilter {
            $TaskName -eq 'aovpn.ikev2 rollback' -and $Trigger.Count -eq 2 -and $Trigger[0].Repetition.Interval -eq 'PT1M' -and $Trigger[0].EndBoundary -and
            $Force -and $Trigger[1].EndBoundary -and $Principal.UserId -eq 'S-1-5-18' -and $Settings.ExecutionTimeLimit -eq 'PT5M' -and $Action[0].Arguments -like '*-EncodedCommand QQ=='
        }
    }

    It 'leaves nothing armed where the task would not run' {
        Mock Get-ScheduledTaskInfo { [pscustomobject]@{ NextRunTime = $null } }
        { & "$scripts/arm_rollback.ps1" -Command 'QQ==' -Seconds 180 } | Should -Throw '*will not run*'
        Should -Invoke Unregister-ScheduledTask -Times 1 -Exactly
    }

    It 'gives the first reason where the task cannot be removed either' {
        Mock Get-ScheduledTaskInfo { Write-CimError 'no RPC' $PesterBoundParameters 'HRESULT 0x800706ba' }
        Mock Unregister-ScheduledTask { Write-CimError 'no RPC again' $PesterBoundParameters 'HRESULT 0x800706ba' }
        { & "$scripts/arm_rollback.ps1" -Command 'QQ==' -Seconds 180 } | Should -Throw 'no RPC'
    }
}

Describe 'apply_detached.ps1' {
    BeforeAll {
        Mock Register-ScheduledTask { $null }
        Mock Start-ScheduledTask { $null }
        Mock Unregister-ScheduledTask { $null }
    }

    It 'starts a task where the rollback is armed' {
        Mock Get-ScheduledTask { New-Task 'Ready' }
        & "$scripts/apply_detached.ps1" -Command 'QQ=='
        Should -Invoke Start-ScheduledTask -Times 1 -Exactly -ParameterFilter { $TaskName -eq 'aovpn.ikev2 apply' }
        Should -Invoke Get-ScheduledTask -Times 2 -Exactly -ParameterFilter { $TaskName -eq 'aovpn.ikev2 rollback' }
        Should -Invoke Register-ScheduledTask -Times 1 -Exactly -ParameterFilter {
            $Force -and $Principal.UserId -eq 'S-1-5-18' -and $Settings.ExecutionTimeLimit -eq 'PT5M' -and $Action[0].Arguments -like '*-ExecutionPolicy Bypass -EncodedCommand QQ=='
        }
        Should -Invoke Unregister-ScheduledTask -Times 0 -Exactly
    }

    It 'does nothing where it is <_>' -ForEach 'gone', 'Running', 'Queued' {
        $state = $_
        Mock Get-ScheduledTask { if ($state -eq 'gone') { Write-CimError 'no such task' $PesterBoundParameters } else { New-Task $state } }
        { & "$scripts/apply_detached.ps1" -Command 'QQ==' } | Should -Throw
        Should -Invoke Register-ScheduledTask -Times 0 -Exactly
    }

    It 'starts nothing where the rollback begins meanwhile, though the task <_>' -ForEach 'can be removed', 'cannot be removed' {
        $removable = $_ -eq 'can be removed'
        $asked = @{ times = 0 }
        Mock Get-ScheduledTask { $asked.times++; New-Task $(if ($asked.times -eq 1) { 'Ready' } else { 'Running' }) }
        Mock Unregister-ScheduledTask { if (-not $removable) { Write-CimError 'no RPC' $PesterBoundParameters 'HRESULT 0x800706ba' } }
        { & "$scripts/apply_detached.ps1" -Command 'QQ==' } | Should -Throw '*is running*'
        Should -Invoke Start-ScheduledTask -Times 0 -Exactly
        Should -Invoke Unregister-ScheduledTask -Times 1 -Exactly
    }
}

Describe 'try_task.ps1' {
    BeforeAll {
        Mock Register-ScheduledTask { $null }
        Mock Start-ScheduledTask { $null }
        Mock Unregister-ScheduledTask { $null }
        Mock Get-ScheduledTaskInfo { [pscustomobject]@{ LastTaskResult = 267011 } }
    }

    It 'starts a task of SYSTEM that has no trigger' {
        & "$scripts/try_task.ps1" -Command 'QQ=='
        Should -Invoke Register-ScheduledTask -Times 1 -Exactly -ParameterFilter {
            $TaskName -eq 'aovpn.ikev2 test' -and -not $Trigger -and $Principal.UserId -eq 'S-1-5-18' -and $Settings.ExecutionTimeLimit -eq 'PT5M' -and
            $Force -and $Action[0].Arguments -like '*-ExecutionPolicy Bypass -EncodedCommand QQ=='
        }
        Should -Invoke Start-ScheduledTask -Times 1 -Exactly -ParameterFilter { $TaskName -eq 'aovpn.ikev2 test' }
        Should -Invoke Unregister-ScheduledTask -Times 0 -Exactly
    }

    It 'reads its result, and changes nothing' {
        & "$scripts/try_task.ps1"
        $Ansible.Result.result | Should -Be 267011
        $Ansible.Changed | Should -BeFalse
        Should -Invoke Register-ScheduledTask -Times 0 -Exactly
        Should -Invoke Unregister-ScheduledTask -Times 0 -Exactly
    }

    It 'removes it' {
        & "$scripts/try_task.ps1" -Remove
        Should -Invoke Unregister-ScheduledTask -Times 1 -Exactly -ParameterFilter { $TaskName -eq 'aovpn.ikev2 test' }
        Should -Invoke Register-ScheduledTask -Times 0 -Exactly
    }
}

Describe 'read_former.ps1' {
    It 'reads the rollback of an earlier version, if there is one' {
        & "$scripts/read_former.ps1"
        $Ansible.Result.rollback | Should -BeNullOrEmpty
        Mock Test-Path { $true } -ParameterFilter { $LiteralPath -like '*rollback.json' }
        Mock Get-Content { '{}' } -ParameterFilter { $LiteralPath -like '*rollback.json' -and $Raw -and $Encoding }
        & "$scripts/read_former.ps1"
        $Ansible.Result.rollback | Should -Be '{}'
        $Ansible.Changed | Should -BeFalse
    }
}

Describe 'end_change.ps1' {
    BeforeAll {
        Mock Disable-ScheduledTask { $null }
        Mock Enable-ScheduledTask { $null }
        Mock Unregister-ScheduledTask { $tasks.Remove("$TaskName") }
        Mock Get-ScheduledTask { if ($tasks.Contains("$TaskName")) { New-Task $tasks["$TaskName"] } else { Write-CimError 'no such task' $PesterBoundParameters } }
        Mock Get-ScheduledTaskInfo { [pscustomobject]@{ LastRunTime = $lastRun } }
    }

    BeforeEach {
        $tasks = @{ 'aovpn.ikev2 apply' = 'Ready'; 'aovpn.ikev2 rollback' = 'Disabled' }
        $lastRun = [datetime]'1999-11-30'
    }

    It 'removes both tasks, once the rollback cannot start any more' {
        & "$scripts/end_change.ps1"
        $tasks.Count | Should -Be 0
        Should -Invoke Disable-ScheduledTask -Times 1 -Exactly
        Should -Invoke Enable-ScheduledTask -Times 0 -Exactly
    }

    It 'has nothing to do a second time' {
        $tasks.Clear()
        & "$scripts/end_change.ps1"
        Should -Invoke Unregister-ScheduledTask -Times 0 -Exactly
    }

    It 'confirms nothing where the rollback <_>' -ForEach 'Running', 'Queued', 'has run' {
        if ($_ -eq 'has run') { $lastRun = Get-Date } else { $tasks['aovpn.ikev2 rollback'] = $_ }
        { & "$scripts/end_change.ps1" } | Should -Throw '*too late*'
        Should -Invoke Unregister-ScheduledTask -Times 0 -Exactly
        Should -Invoke Enable-ScheduledTask -Times 1 -Exactly
    }

    It 'removes the tasks after a rollback without a look at them' {
        $tasks['aovpn.ikev2 rollback'] = 'Running'
        & "$scripts/end_change.ps1" -RollBack
        $tasks.Count | Should -Be 0
        Should -Invoke Disable-ScheduledTask -Times 0 -Exactly
    }

    It 'has not confirmed where a task is still there' {
        Mock Unregister-ScheduledTask { $null }
        { & "$scripts/end_change.ps1" } | Should -Throw '*is still there*'
        Should -Invoke Enable-ScheduledTask -Times 1 -Exactly -ParameterFilter { $TaskName -eq 'aovpn.ikev2 rollback' }
    }

    It 'gives the first reason where the rollback cannot be enabled again' {
        Mock Unregister-ScheduledTask { Write-CimError 'no RPC' $PesterBoundParameters 'HRESULT 0x800706ba' }
        Mock Enable-ScheduledTask { Write-CimError 'no RPC again' $PesterBoundParameters 'HRESULT 0x800706ba' }
        { & "$scripts/end_change.ps1" } | Should -Throw 'no RPC'
    }

    It 'removes the files of an earlier version, though that <_>' -ForEach 'succeeds', 'fails' {
        $fails = $_ -eq 'fails'
        Mock Test-Path { $true } -ParameterFilter { $LiteralPath -like '*aovpn.ikev2' }
        Mock Remove-Item { if ($fails) { Write-Error -Message 'in use' } } -ParameterFilter { $LiteralPath -like '*aovpn.ikev2' }
        & "$scripts/end_change.ps1"
        Should -Invoke Remove-Item -Times 1 -Exactly -ParameterFilter { $Recurse }
        $tasks.Count | Should -Be 0
    }

    It 'does not take a failed query for a task that is gone' {
        Mock Get-ScheduledTask { Write-CimError 'no RPC' $PesterBoundParameters 'HRESULT 0x800706ba' }
        { & "$scripts/end_change.ps1" } | Should -Throw 'no RPC'
    }
}

Describe 'keep_network.ps1' {
    BeforeAll {
        Mock Set-NetConnectionProfile { $null }
        Mock Start-Sleep { $null }
    }

    It 'sets the category of a network that is <Is> <Times> times' -ForEach @{ Is = 'Public'; Times = 3 }, @{ Is = 'Private'; Times = 0 }, @{ Is = 'DomainAuthenticated'; Times = 0 } {
        Mock Get-NetConnectionProfile { [pscustomobject]@{ NetworkCategory = $is } }
        & "$scripts/keep_network.ps1" -Alias 'External' -Category 'Private' -Seconds 3
        Should -Invoke Set-NetConnectionProfile -Times $Times -Exactly -ParameterFilter { $InterfaceAlias -eq 'External' -and $NetworkCategory -eq 'Private' }
    }

    It 'waits where there is no network' {
        Mock Get-NetConnectionProfile { Write-CimError 'none' $PesterBoundParameters 'CmdletizationQuery_NotFound_InterfaceAlias' }
        & "$scripts/keep_network.ps1" -Alias 'External' -Category 'Private' -Seconds 2
        Should -Invoke Start-Sleep -Times 2 -Exactly
    }

    It 'fails where it cannot ask' {
        Mock Get-NetConnectionProfile { Write-CimError 'no RPC' $PesterBoundParameters 'HRESULT 0x800706ba' }
        { & "$scripts/keep_network.ps1" -Alias 'External' -Category 'Private' -Seconds 2 } | Should -Throw 'no RPC'
    }
}

Describe 'test_connection.ps1' {
    BeforeAll { Mock Test-NetConnection { $true } }

    It 'tries an address of IPv4' {
        & "$scripts/test_connection.ps1" -HostName '192.0.2.7' -Port 443
        $Ansible.Result.address | Should -Be '192.0.2.7'
        $Ansible.Result.accepted | Should -BeTrue
        Should -Invoke Test-NetConnection -Times 1 -Exactly -ParameterFilter { $ComputerName -eq '192.0.2.7' -and $Port -eq 443 }
    }

    It 'tries nothing where there is no address of IPv4' {
        & "$scripts/test_connection.ps1" -HostName '2001:db8::1' -Port 443
        $Ansible.Result.accepted | Should -BeFalse
        Should -Invoke Test-NetConnection -Times 0 -Exactly
    }
}

Describe 'the scripts that read' {
    It '<_> stops first in ConstrainedLanguage' -ForEach 'read_network.ps1', 'read_vpn.ps1' {
        Mock Get-Variable { [pscustomobject]@{ SessionState = [pscustomobject]@{ LanguageMode = 'ConstrainedLanguage' } } } -ParameterFilter { $Name -eq 'ExecutionContext' }
        Mock Get-Service { $null }
        { & "$scripts/$_" } | Should -Throw 'script_policy: PowerShell runs scripts in ConstrainedLanguage*'
        Should -Invoke Get-Service -Times 0 -Exactly
    }

    It '<_> changes nothing, gives a result and hides no error, on this very machine' -ForEach 'read_network.ps1', 'read_vpn.ps1' {
        & "$scripts/$_" -ErrorVariable failed
        # What does not exist is an answer.
        $records = $failed | ForEach-Object { if ($_ -is [System.Management.Automation.ActionPreferenceStopException]) { $_.ErrorRecord } else { $_ } }
        $records | Where-Object { $_.CategoryInfo.Category -ne 'ObjectNotFound' } | Should -BeNullOrEmpty
        $Ansible.Changed | Should -BeFalse
        { ConvertFrom-Json -InputObject $Ansible.Result } | Should -Not -Throw
    }

    It 'reads the network' {
        & "$scripts/read_network.ps1"
        $read = ConvertFrom-Json -InputObject $Ansible.Result
        $addresses = @(Get-NetIPAddress -AddressFamily IPv4 | ForEach-Object { '{0}/{1}' -f $_.IPAddress, $_.PrefixLength })
        $read.interfaces.Count | Should -BeGreaterThan 0
        $read.interfaces | ForEach-Object { $_.addresses } | Should -BeIn $addresses
        @($read.routes | Where-Object { $_.store -eq 'ActiveStore' }).Count | Should -Be @(Get-NetRoute -AddressFamily IPv4 -PolicyStore ActiveStore).Count
        $read.administrator | Should -BeOfType [bool]
    }

    It 'reads the VPN server' {
        & "$scripts/read_vpn.ps1"
        $read = ConvertFrom-Json -InputObject $Ansible.Result
        $Ansible.Result | Should -Match '"now":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z"'
        $read.services.IKEEXT.state | Should -Be ([string](Get-Service -Name IKEEXT).Status).ToLowerInvariant()
    }

    Context 'where there is more to read' {
        BeforeAll {
            Mock Get-NetAdapter { [pscustomobject]@{ MacAddress = '00-15-5D-0A-00-11'; InterfaceGuid = '{0}' } }
            Mock Get-NetIPAddress { [pscustomobject]@{ IPAddress = '10.10.0.11'; PrefixLength = 24 } }
            Mock Get-NetRoute { [pscustomobject]@{ DestinationPrefix = '::/0'; NextHop = 'fe80::1'; InterfaceIndex = 4; RouteMetric = 256 } }
            Mock Get-NetNeighbor { [pscustomobject]@{ InterfaceIndex = 4; LinkLayerAddress = '00-00-5E-00-53-01'; State = 'Reachable' } }
            Mock Test-Connection { $false }
            Mock Get-NetConnectionProfile { [pscustomobject]@{ InterfaceIndex = 4; NetworkCategory = 'Private' } }
            Mock Get-NetTCPConnection { [pscustomobject]@{ LocalPort = 3389; RemoteAddress = '192.0.2.7' } }
            Mock Get-CimInstance { [pscustomobject]@{ PartOfDomain = $true; Domain = 'no.such.name.invalid' } } -ParameterFilter { $ClassName -eq 'Win32_ComputerSystem' }
            Mock Get-ScheduledTask { New-Task 'Ready' }
            Mock Get-ScheduledTaskInfo { [pscustomobject]@{ NextRunTime = (Get-Date).AddSeconds(60); LastTaskResult = 267009; LastRunTime = $null } }
            Mock Test-Path { $true } -ParameterFilter { $LiteralPath -like 'HKLM:*' }
            Mock Get-Item { $key = [pscustomobject]@{}; Add-Member -InputObject $key -MemberType ScriptMethod -Name GetValue -Value { param($Name, $Default) 'a value' } -PassThru } -ParameterFilter { $LiteralPath -like 'HKLM:*' }
        }

        It 'reads tasks, neighbours, names and memory' {
            Mock Get-RemoteAccessRadius { Write-CimError 'no role' $PesterBoundParameters 'RemoteAccess 5' }
            & "$scripts/read_network.ps1" -Gateway '10.10.0.1'
            $read = ConvertFrom-Json -InputObject $Ansible.Result
            $read.pending.state | Should -Be 'ready'
            $read.pending.applied | Should -Be 267009
            $read.pending.due_in | Should -BeGreaterThan 30
            $read.neighbors[0].mac | Should -Be '00-00-5E-00-53-01'
            Should -Invoke Get-NetNeighbor -Times 1 -Exactly -ParameterFilter { $IPAddress -eq '10.10.0.1' }
            Should -Invoke Test-Connection -Times 1 -Exactly -ParameterFilter { $ComputerName -eq '10.10.0.1' -and $Count -eq 1 -and $Quiet }
            $read.remembered | Should -Be 'a value'
            $read.peers | Should -Contain '192.0.2.7'
            $read.unread | Should -HaveCount 2
            $read.ipv6_defaults[0].next_hop | Should -Be 'fe80::1'
        }

        It 'reads who has to stay reachable by name' {
            Mock Get-CimInstance { [pscustomobject]@{ PartOfDomain = $true; Domain = '192.0.2.8' } } -ParameterFilter { $ClassName -eq 'Win32_ComputerSystem' }
            Mock Get-RemoteAccessRadius { [pscustomobject]@{ ServerName = '192.0.2.9' } }
            & "$scripts/read_network.ps1" -Ports 22
            $read = ConvertFrom-Json -InputObject $Ansible.Result
            $read.peers | Should -Contain '192.0.2.8'
            $read.peers | Should -Contain '192.0.2.9'
            $read.unread | Should -HaveCount 0
        }

        It 'tells who manages the server from who is connected' {
            Mock Get-NetTCPConnection { foreach ($port in 22, 443, 3389, 5986) { [pscustomobject]@{ LocalPort = $port; RemoteAddress = "192.0.2.$($port % 250)" } } }
            & "$scripts/read_network.ps1" -Ports 22
            $read = ConvertFrom-Json -InputObject $Ansible.Result
            $read.sessions | Should -Be '192.0.2.139', '192.0.2.22'
            $read.connections | Should -HaveCount 4
            Should -Invoke Get-NetTCPConnection -Times 1 -Exactly -ParameterFilter { $State -eq 'Established' }
        }

        It 'says that it could not read the networks' {
            Mock Get-NetConnectionProfile { Write-CimError 'no answer' $PesterBoundParameters 'HRESULT 0x800706ba' }
            & "$scripts/read_network.ps1"
            $read = ConvertFrom-Json -InputObject $Ansible.Result
            $read.networks | Should -HaveCount 0
            $read.unread | Should -Contain 'the categories of the networks: no answer'
        }

        It 'reads what does not exist as nothing' {
            Mock Get-Service { Write-Error -Message 'no such service' -ErrorId 'NoServiceFoundForGivenName' -Category ObjectNotFound }
            Mock Get-ScheduledTask { if ($TaskName -like '*apply') { Write-CimError 'no such task' $PesterBoundParameters } else { New-Task 'Disabled' } }
            Mock Get-ScheduledTaskInfo { [pscustomobject]@{ NextRunTime = $null; LastTaskResult = 267011; LastRunTime = $null } }
            & "$scripts/read_network.ps1"
            $read = ConvertFrom-Json -InputObject $Ansible.Result
            $read.remote_access | Should -BeNullOrEmpty
            $read.pending.due_in | Should -BeNullOrEmpty
            $read.pending.applied | Should -BeNullOrEmpty
            $read.pending.state | Should -Be 'disabled'
            Mock Get-CimInstance { [pscustomobject]@{ ProcessId = 0 } }
            & "$scripts/read_vpn.ps1"
            $read = ConvertFrom-Json -InputObject $Ansible.Result
            @($read.services.PSObject.Properties) | Should -HaveCount 0
        }

        It 'reads services with what depends on them, and counts associations by name' {
            Mock Get-CimInstance { [pscustomobject]@{ ProcessId = 0 } }
            Mock Get-Service {
                $running, $stopped = [pscustomobject]@{ Name = 'One'; Status = 'Running' }, [pscustomobject]@{ Name = 'Two'; Status = 'Stopped' }
                [pscustomobject]@{ Status = 'Running'; StartType = 'Automatic'; DependentServices = @($running, $stopped) }
            }
            Mock Get-NetIPsecMainModeSA {
                foreach ($i in 1, 2) { [pscustomobject]@{ RemoteEndpoint = '192.0.2.7'; KeyModule = 'IKEv2' } }
                [pscustomobject]@{ RemoteEndpoint = '192.0.2.7' }
            }
            & "$scripts/read_vpn.ps1"
            $read = ConvertFrom-Json -InputObject $Ansible.Result
            $read.services.IKEEXT.dependents | Should -Be 'One'
            $read.associations | ForEach-Object { '{0} {1} {2} {3}' -f $_.remote_address, $_.key_module, $_.key_module_name, $_.count } | Should -BeIn '192.0.2.7  IKEv2 2', '192.0.2.7   1'
            $read.associations | Should -HaveCount 2
        }

        It 'fails where it cannot ask for a service' {
            Mock Get-Service { Write-Error -Message 'no RPC' -ErrorId 'HRESULT 0x800706ba' }
            { & "$scripts/read_vpn.ps1" } | Should -Throw 'no RPC'
        }

        It 'fails where it cannot ask: <_>' -ForEach 'Get-NetRoute', 'Get-ScheduledTask', 'Get-NetTCPConnection', 'Get-Service' {
            Mock $_ { Write-CimError 'no RPC' $PesterBoundParameters 'HRESULT 0x800706ba' }
            { & "$scripts/read_network.ps1" } | Should -Throw 'no RPC'
        }

        It 'reads clients, or says that it could not' {
            Mock Get-CimInstance { [pscustomobject]@{ ProcessId = 0 } }
            Mock Get-NetIPsecMainModeSA { Write-CimError 'no RPC' $PesterBoundParameters 'HRESULT 0x800706ba' }
            Mock Get-RemoteAccessConnectionStatistics { Write-CimError 'no role' $PesterBoundParameters 'RemoteAccess 5' }
            Mock Get-VpnServerConfiguration { Write-CimError 'no role' $PesterBoundParameters 'RemoteAccess 5' }
            & "$scripts/read_vpn.ps1"
            $read = ConvertFrom-Json -InputObject $Ansible.Result
            $read.associations_read | Should -BeFalse
            $read.unread | Should -HaveCount 3
            $read.tunnels | Should -BeNullOrEmpty
            $read.ikev2_ports | Should -BeNullOrEmpty
            $read.ike_limit | Should -Be 'a value'
        }

        It 'counts connections by their types' {
            Mock Get-CimInstance { [pscustomobject]@{ ProcessId = 0 } }
            Mock Get-RemoteAccessConnectionStatistics {
                foreach ($type in 'Ikev2', 'Ikev2', 'Sstp') { [pscustomobject]@{ ConnectionType = 'Vpn'; TunnelType = $type } }
                [pscustomobject]@{ ConnectionType = 'DirectAccess'; TunnelType = $null }
            }
            & "$scripts/read_vpn.ps1"
            $read = ConvertFrom-Json -InputObject $Ansible.Result
            $read.tunnels | Should -HaveCount 3
            $read.tunnels | ForEach-Object { '{0} {1} {2}' -f $_.connection_type, $_.tunnel_type, $_.count } | Should -BeIn 'Vpn Ikev2 2', 'Vpn Sstp 1', 'DirectAccess  1'
        }
    }
}
