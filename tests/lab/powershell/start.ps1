# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes a PowerShell that of a host of the lab. It is the profile of those that are started as powershell.exe, and the warm one reads it, too.
# The types are compiled once for each PowerShell: $env:LAB_TYPES is how their file's name begins.
$labTypes = "$env:LAB_TYPES-$($PSVersionTable.PSVersion).dll"
if (-not ('Lab.Link' -as [type])) {
    if (-not (Test-Path -LiteralPath $labTypes)) {
        $new = "$labTypes.$PID.dll"
        Add-Type -Path "$PSScriptRoot/Link.cs", "$PSScriptRoot/Types.cs" -OutputAssembly $new
        [System.IO.File]::Move($new, $labTypes, $true)
    }
    [void][System.Runtime.Loader.AssemblyLoadContext]::Default.LoadFromAssemblyPath($labTypes)
    # Linux has cmdlets of these names: the stand-ins have to be in the session before they are called.
    $functions = @{}
    foreach ($path in "$PSScriptRoot/replacements.ps1", "$PSScriptRoot/Modules/WindowsPowerShell/WindowsPowerShell.psm1") {
        if (-not (Test-Path -LiteralPath $path)) { continue }
        $tree = [System.Management.Automation.Language.Parser]::ParseFile($path, [ref]$null, [ref]$null)
        foreach ($function in $tree.FindAll({ $args[0] -is [System.Management.Automation.Language.FunctionDefinitionAst] }, $false)) {
            $functions[$function.Name] = $function.Body.Extent.Text.Trim().TrimStart('{').TrimEnd('}')
        }
    }
    [Lab.Session]::Install($functions)
}
# A session that is there already has what CreateDefault2 gives a new one.
if (-not (Get-PSDrive -Name HKLM -ErrorAction Ignore)) {
    Import-Module -Name $labTypes -Global
    foreach ($function in $functions.GetEnumerator()) { Set-Item -Path "function:global:$($function.Key)" -Value $function.Value }
}
