# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Reads what the VPN server knows about its clients and limits: IKE security associations by remote address and key module, connections, services, registry,
# and whether this user is an administrator.
# Changes nothing. SupportsShouldProcess makes win_powershell run it in check mode, too.
[CmdletBinding(SupportsShouldProcess)]
param()
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
# App Control and AppLocker leave ConstrainedLanguage, in which most casts and methods of .NET are refused. This comes first, so that it is the error.
$language = [string](Get-Variable -Name 'ExecutionContext' -ValueOnly).SessionState.LanguageMode
if ($language -ne 'FullLanguage') { throw "script_policy: PowerShell runs scripts in $language on this server, and the collection's scripts need FullLanguage." }
# Cmdlets made from CDXML are functions of a module: they do not see the preference of a script that is called.
$PSDefaultParameterValues = @{ '*:ErrorAction' = 'Stop' }

function Get-RegistryValue([string]$Path, [string]$Name) {
    if (Test-Path -LiteralPath $Path) { (Get-Item -LiteralPath $Path).GetValue($Name, $null) }
}

# The round-trip format is the same in every culture.
function Get-UtcText([datetime]$Time) { $Time.ToUniversalTime().ToString('o') }

$services = @{}
foreach ($name in 'IKEEXT', 'RemoteAccess') {
    # Only this error means that a service does not exist. Any other one means that it is not known.
    try { $service = Get-Service -Name $name } catch { if ($_.FullyQualifiedErrorId -like 'NoServiceFoundForGivenName*') { continue } else { throw } }
    $services[$name] = @{
        state = ([string]$service.Status).ToLowerInvariant()
        start = ([string]$service.StartType).ToLowerInvariant()
        dependents = @($service.DependentServices | Where-Object -Property Status -EQ -Value 'Running' | ForEach-Object -Process { $_.Name })
    }
}

$ikeext = Get-CimInstance -ClassName Win32_Service -Filter "Name='IKEEXT'"
$process = if ($ikeext -and $ikeext.ProcessId) { Get-Process -Id $ikeext.ProcessId }

# Counted by remote address and key module, of which both the number and the name are returned. One of them may be missing.
$unread = @()
$associations = @{}
try { $found = @(Get-NetIPsecMainModeSA) } catch { $found = $null; $unread += "the security associations: $_" }
foreach ($association in $found) {
    $remote = [string]$association.RemoteEndpoint
    $shown = $association.PSObject.Properties['KeyModule']
    $name = if ($shown) { [string]$shown.Value }
    $number = try { $association.PSBase.CimInstanceProperties['KeyModule'].Value } catch { $null }
    $key = '{0}|{1}|{2}' -f $remote, $number, $name
    if (-not $associations.ContainsKey($key)) {
        $associations[$key] = @{ remote_address = $remote; key_module = if ($null -ne $number) { [int]$number } else { $null }; key_module_name = $name; count = 0 }
    }
    $associations[$key]['count'] += 1
}

# The cmdlets of the RemoteAccess module fail if the role or its management tools are not installed: then both are unknown.
# Connections are of every type, DirectAccess among them, and some may be stale. Counted by both types.
$tunnels = $null
$ports = $null
try {
    $connections = @(Get-RemoteAccessConnectionStatistics | Group-Object -Property @('ConnectionType', 'TunnelType'))
    $tunnels = @($connections | ForEach-Object -Process { @{ connection_type = [string]$_.Group[0].ConnectionType; tunnel_type = [string]$_.Group[0].TunnelType; count = [int]$_.Count } })
} catch {
    $unread += "the connections: $_"
}
try { $ports = [int](Get-VpnServerConfiguration).Ikev2Ports } catch { $unread += "the number of ports: $_" }

$user = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()

$Ansible.Changed = $false
$Ansible.Result = ConvertTo-Json -Compress -Depth 5 -InputObject @{
    now = Get-UtcText -Time (Get-Date)
    services = $services
    ikeext_started = if ($process) { Get-UtcText -Time $process.StartTime } else { $null }
    ike_limit = Get-RegistryValue -Path 'HKLM:\SYSTEM\CurrentControlSet\Services\IKEEXT\Parameters' -Name 'IkeNumEstablishedForInitialQuery'
    restart_owed_since = Get-RegistryValue -Path 'HKLM:\SOFTWARE\aovpn.ikev2' -Name 'IkeextRestartOwedSince'
    fragmentation = Get-RegistryValue -Path 'HKLM:\SYSTEM\CurrentControlSet\Services\RemoteAccess\Parameters\Ikev2' -Name 'EnableServerFragmentation'
    build = Get-RegistryValue -Path 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion' -Name 'CurrentBuildNumber'
    revision = Get-RegistryValue -Path 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion' -Name 'UBR'
    ikev2_ports = $ports
    tunnels = $tunnels
    associations = @($associations.Values)
    associations_read = $null -ne $found
    unread = @($unread)
    administrator = $user.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
}
