# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes a PowerShell that of a host of the lab. It is the profile of those that are started as powershell.exe, and the warm one reads it, too.
# The types are compiled once: $env:LAB_TYPES is the library's file.
if (-not ('Lab.Link' -as [type])) {
    if (-not (Test-Path -LiteralPath $env:LAB_TYPES)) {
        $new = "$env:LAB_TYPES.$PID.dll"
        Add-Type -Path "$PSScriptRoot/Link.cs", "$PSScriptRoot/Types.cs" -OutputAssembly $new
        Move-Item -LiteralPath $new -Destination $env:LAB_TYPES -Force
    }
    [void][System.Runtime.Loader.AssemblyLoadContext]::Default.LoadFromAssemblyPath($env:LAB_TYPES)
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
    Import-Module -Name $env:LAB_TYPES -Global
    foreach ($function in $functions.GetEnumerator()) { Set-Item -Path "function:global:$($function.Key)" -Value $function.Value }
}
