# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Keeps a PowerShell and its compiled types, and gives each call a session of its own. The lab sends a line, the call; what comes back is what was written.
# { "module": arguments }: Ansible's own win_powershell with these arguments. { "file": path, "arguments": [...] }: what powershell.exe -File does with them.
param([string]$ModuleUtils, [string]$Collection)
$ErrorActionPreference = 'Stop'
. "$PSScriptRoot/start.ps1"
# A host has none of Linux's programs. A command that is not loaded yet would be looked for in all of these folders, which takes longer than loading it.
$env:PATH = ''
$env:PSModulePath = "$PSScriptRoot/Modules", "$PSHOME/Modules" -join [System.IO.Path]::PathSeparator
$addType = Join-Path $ModuleUtils 'powershell/Ansible.ModuleUtils.AddType.psm1'
Import-Module $addType -DisableNameChecking
$module = Get-Content (Join-Path $Collection 'plugins/modules/win_powershell.ps1') -Raw
# Ansible's own function compiles, and what it has compiled is kept: loading the compiler takes a process longer than all the rest of its start.
$keep = '$1; [System.IO.File]::WriteAllBytes("$Kept.$PID", $code_ms.ToArray()); [System.IO.File]::Move("$Kept.$PID", $Kept, $true)'
$addTypeText = (Get-Command Add-CSharpType).ScriptBlock.ToString() -replace '(LoadFromStream\(\$code_ms.*?\))', $keep

# What was compiled once is not compiled again. The name of the lab's own types goes with the versions; there are two texts, of different lengths.
$once = @'
param($References, $AnsibleModule, $TempPath, [switch]$IncludeDebugInfo, [string[]]$CompileSymbols)
if (-not $Compiled.Add($References -join "`n")) { return }
$Kept = "$LabTypes.$(@($References).ForEach({ $_.Length }) -join '-')"
if ([System.IO.File]::Exists($Kept)) { [void][System.Runtime.Loader.AssemblyLoadContext]::Default.LoadFromAssemblyPath($Kept); return }
$more = @{ References = $References }
if ($AnsibleModule) { $more.AnsibleModule = $AnsibleModule }
& ([scriptblock]::Create($AddTypeText)) @more
'@
$functions = @{ 'Add-CSharpType' = $once }
foreach ($name in [regex]::Matches($module, '(?m)^#AnsibleRequires -PowerShell \.\.module_utils\.(\S+)').ForEach({ $_.Groups[1].Value })) {
    $path = Join-Path $Collection "plugins/module_utils/$name.psm1"
    $usings = ((Get-Content $path) -match '^using namespace') -join "`n"
    $tree = [System.Management.Automation.Language.Parser]::ParseFile($path, [ref]$null, [ref]$null)
    foreach ($function in $tree.EndBlock.Statements.Where({ $_ -is [System.Management.Automation.Language.FunctionDefinitionAst] })) {
        $text = $function.Body.Extent.Text
        $functions[$function.Name] = "$usings`n" + $text.Substring(1, $text.Length - 2)
    }
}
# As a function, it is compiled once, too.
$functions['win_powershell'] = $module
$compiled = [System.Collections.Generic.HashSet[string]]::new()
& ([scriptblock]::Create($once)) -References (Get-Content (Join-Path $ModuleUtils 'csharp/Ansible.Basic.cs') -Raw)
$state = [Lab.Session]::Plain()
foreach ($function in $functions.GetEnumerator()) {
    $state.Commands.Add([System.Management.Automation.Runspaces.SessionStateFunctionEntry]::new($function.Key, $function.Value))
}
$stdout, $stderr = [Console]::Out, [Console]::Error
[Lab.Link]::Write('{"ready": true}')
while ($null -ne ($line = [Lab.Link]::Read())) {
    $call = $line | ConvertFrom-Json -AsHashtable -DateKind String
    [Lab.Link]::Host = $call.host
    foreach ($variable in $call.environment.GetEnumerator()) { [Environment]::SetEnvironmentVariable($variable.Key, $variable.Value) }
    $output, $errors = [System.IO.StringWriter]::new(), [System.IO.StringWriter]::new()
    [Console]::SetOut($output)
    [Console]::SetError($errors)
    $code = 0
    $ps = [PowerShell]::Create()
    try {
        if ($call.Contains('module')) {
            $ps.Runspace = [RunspaceFactory]::CreateRunspace($Host, $state)
            $ps.Runspace.Open()
            $ps.Runspace.SessionStateProxy.SetVariable('complex_args', $call.module)
            $ps.Runspace.SessionStateProxy.SetVariable('Compiled', $compiled)
            $ps.Runspace.SessionStateProxy.SetVariable('AddTypeText', $addTypeText)
            $ps.Runspace.SessionStateProxy.SetVariable('LabTypes', $labTypes)
            [void]$ps.AddCommand('win_powershell').Invoke()
        } else {
            $ps.Runspace = [RunspaceFactory]::CreateRunspace([Lab.Session]::CreateDefault2())
            $ps.Runspace.Open()
            # As -File does: the script is dot-sourced in the global scope, and an error that ends it is the exit code 1.
            [void]$ps.AddScript(". '$($call.file.Replace("'", "''"))' $($call.arguments)").Invoke()
        }
    } catch {
        $code = 1
        [void]$errors.Write(($_ | Out-String))
    } finally {
        if ($ps.Runspace) { $ps.Runspace.Dispose() }
        $ps.Dispose()
        [Console]::SetOut($stdout)
        [Console]::SetError($stderr)
    }
    [Lab.Link]::Write((ConvertTo-Json -Compress @{ done = $true; code = $code; output = $output.ToString(); errors = $errors.ToString() }))
}
