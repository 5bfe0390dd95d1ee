# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Reports, with PowerShell's own parser, what of a script is not of Windows PowerShell 5.1, or not of the allow-lists: reference.json (cmdlets and their
# parameters, from Microsoft's reference) and allowed.json (types and members of .NET). Needs PowerShell 7, which knows the newer syntax.
# The output is JSON: a list of { file, line, code, text }. -SyntaxOnly: no allow-lists, for the tests of the scripts.
param(
    [Parameter(Mandatory = $true)]
    [string[]]$Path,
    [switch]$SyntaxOnly
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

$reference = Get-Content -LiteralPath "$PSScriptRoot/../lab/powershell/reference.json" -Raw | ConvertFrom-Json -AsHashtable
$allowed = Get-Content -LiteralPath "$PSScriptRoot/allowed.json" -Raw | ConvertFrom-Json -AsHashtable
$cmdlets = [hashtable]::new([StringComparer]::OrdinalIgnoreCase)
foreach ($part in $reference.Values) { foreach ($name in $part.Keys) { $cmdlets[$name] = $part[$name] } }
$lists = @{}
foreach ($part in $allowed.Keys) { $lists[$part] = [System.Collections.Generic.HashSet[string]]::new([string[]]$allowed[$part].Keys, [StringComparer]::OrdinalIgnoreCase) }
# https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_commonparameters?view=powershell-5.1
$common = 'Verbose', 'Debug', 'ErrorAction', 'WarningAction', 'InformationAction', 'ErrorVariable', 'WarningVariable', 'InformationVariable', 'OutVariable', 'OutBuffer', 'PipelineVariable'
$newVariables = 'IsWindows', 'IsLinux', 'IsMacOS', 'IsCoreCLR', 'PSStyle', 'EnabledExperimentalFeatures'
$findings = [System.Collections.Generic.List[object]]::new()

function Add-Finding([System.Management.Automation.Language.IScriptExtent]$Extent, [string]$Code) {
    $findings.Add([ordered]@{ file = $file; line = $Extent.StartLineNumber; code = $Code; text = $Extent.Text })
}

function Test-Syntax([System.Management.Automation.Language.Ast]$Ast) {
    $extent = $Ast.Extent
    switch ($Ast.GetType().Name) {
        TernaryExpressionAst { Add-Finding $extent 'new syntax' }
        PipelineChainAst { Add-Finding $extent 'new syntax' }
        PipelineAst { if ($Ast.Background) { Add-Finding $extent 'new syntax' } }
        BinaryExpressionAst { if ("$($Ast.Operator)" -eq 'QuestionQuestion') { Add-Finding $extent 'new syntax' } }
        AssignmentStatementAst { if ("$($Ast.Operator)" -eq 'QuestionQuestionEquals') { Add-Finding $extent 'new syntax' } }
        { $_ -in 'MemberExpressionAst', 'InvokeMemberExpressionAst', 'IndexExpressionAst' } { if ($Ast.NullConditional) { Add-Finding $extent 'new syntax' } }
        ScriptBlockAst { if ($Ast.CleanBlock) { Add-Finding $Ast.CleanBlock.Extent 'new syntax' } }
        ConstantExpressionAst { if ($extent.Text -match '^0b|^[\d.]+(?:u|y|s|n|uy|us|ul)(?:kb|mb|gb|tb|pb)?$') { Add-Finding $extent 'new syntax' } }
        ExpandableStringExpressionAst { if ($extent.Text -cmatch '(?<!`)(?:``)*`(?:e|u\{)') { Add-Finding $extent 'new syntax' } }
        StringConstantExpressionAst { if ("$($Ast.StringConstantType)" -like 'DoubleQuoted*' -and $extent.Text -cmatch '(?<!`)(?:``)*`(?:e|u\{)') { Add-Finding $extent 'new syntax' } }
        VariableExpressionAst { if ($Ast.VariablePath.UserPath -in $newVariables) { Add-Finding $extent 'new variable' } }
    }
}

# The names of the keys that every table has which is assigned to this variable, nothing where something else is.
function Get-SplatKey([string]$Name) {
    $assigned = @($tree.FindAll({ $args[0] -is [System.Management.Automation.Language.AssignmentStatementAst] -and "$($args[0].Left)" -eq "`$$Name" }, $true))
    if (-not $assigned) { return }
    foreach ($statement in $assigned) {
        $table = $statement.Right.Find({ $true }, $false)
        while ($table -isnot [System.Management.Automation.Language.HashtableAst]) {
            $table = if ($table -is [System.Management.Automation.Language.CommandExpressionAst]) { $table.Expression } else { return }
        }
        foreach ($pair in $table.KeyValuePairs) { $pair.Item1.SafeGetValue() }
    }
}

function Test-Command([System.Management.Automation.Language.CommandAst]$Ast) {
    $name = $Ast.GetCommandName()
    $elements = @($Ast.CommandElements | Select-Object -Skip 1)
    $used, $values = @(), @{}
    $whole = $true
    for ($i = 0; $i -lt $elements.Count; $i++) {
        $element = $elements[$i]
        if ($element -is [System.Management.Automation.Language.CommandParameterAst]) {
            $used += $element.ParameterName
            $next = if ($element.Argument) { $element.Argument } elseif ($i + 1 -lt $elements.Count) { $elements[$i + 1] }
            $takes = $element.Argument -or -not (Test-Switch $name $element.ParameterName)
            if ($takes -and -not $element.Argument) { $i++ }
            if ($takes -and $next -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $values[$element.ParameterName] = $next.Value }
        } elseif ($element -is [System.Management.Automation.Language.VariableExpressionAst] -and $element.Splatted) {
            $keys = @(Get-SplatKey $element.VariablePath.UserPath)
            if (-not $keys) { Add-Finding $element.Extent 'unknown splat'; $whole = $false }
            $used += $keys
        } else {
            Add-Finding $element.Extent 'positional parameter'
            $whole = $false
        }
    }
    # A script of the collection, by its path in a variable: what it takes is not known here.
    if (-not $name) { return }
    if ($name -in $functions) { return }
    if (-not $cmdlets.ContainsKey($name)) {
        Add-Finding $Ast.Extent $(if (Test-Path -LiteralPath "alias:$name") { 'alias' } else { 'command' })
        return
    }
    Test-Parameter $Ast $cmdlets[$name] @($used | Select-Object -Unique) $values $whole
}

function Test-Switch([string]$Command, [string]$Parameter) {
    if ($Parameter -in 'Confirm', 'WhatIf', 'Verbose', 'Debug') { return $true }
    if ($Command -in $functions) {
        $found = $tree.Find({ $args[0] -is [System.Management.Automation.Language.ParameterAst] -and $args[0].Name.VariablePath.UserPath -eq $Parameter }, $true)
        return $found -and $found.StaticType -eq [switch]
    }
    $facts = if ($Command -and $cmdlets.ContainsKey($Command)) { $cmdlets[$Command].parameters[(Get-FullName $cmdlets[$Command] $Parameter)] }
    return $facts -and $facts.type -eq 'SwitchParameter'
}

function Get-FullName([System.Collections.IDictionary]$Cmdlet, [string]$Name) {
    "$($Cmdlet.parameters.Keys | Where-Object { $_ -eq $Name })"
}

function Test-Parameter([System.Management.Automation.Language.CommandAst]$Ast, [System.Collections.IDictionary]$Cmdlet, [string[]]$Used, [hashtable]$Values, [bool]$Whole) {
    $own = @()
    foreach ($parameter in $Used) {
        if ($parameter -in $common -or ($parameter -in 'Confirm', 'WhatIf' -and $Cmdlet['should_process'])) { continue }
        $full = Get-FullName $Cmdlet $parameter
        if (-not $full) { Add-Finding $Ast.Extent 'parameter'; return }
        $own += $full
        $known = $Cmdlet.parameters[$full]['values']
        if ($known -and $Values.ContainsKey($parameter) -and $Values[$parameter] -notin $known) { Add-Finding $Ast.Extent 'value' }
    }
    if (-not $Whole) { return }
    $sets = @($Cmdlet.parameters.Values | ForEach-Object { $_.sets.Keys } | Select-Object -Unique)
    $piped = $Ast.Parent.PipelineElements.IndexOf($Ast) -gt 0
    $fitting = foreach ($set in $sets) {
        $missing = foreach ($each in $Cmdlet.parameters.GetEnumerator()) {
            $place = $each.Value.sets[$set]
            if ($place -and $place['mandatory'] -and $each.Key -notin $own -and -not ($piped -and $place['pipeline'])) { $each.Key }
        }
        $strange = @($own | Where-Object { -not $Cmdlet.parameters[$_].sets.ContainsKey($set) })
        if (-not $missing -and -not $strange) { $set }
    }
    if ($null -eq $fitting) { Add-Finding $Ast.Extent 'parameter set' }
}

function Test-Dotnet([System.Management.Automation.Language.Ast]$Ast) {
    switch ($Ast.GetType().Name) {
        { $_ -in 'TypeExpressionAst', 'TypeConstraintAst', 'AttributeAst' } {
            $type = $Ast.TypeName
            while ($type.IsArray) { $type = $type.ElementType }
            if (-not $lists.types.Contains($type.FullName)) { Add-Finding $Ast.Extent 'type' }
        }
        { $_ -in 'MemberExpressionAst', 'InvokeMemberExpressionAst' } {
            $member = if ($Ast.Member -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $Ast.Member.Value } else { '' }
            $list = if ($Ast.Static) { 'static' } elseif ($Ast -is [System.Management.Automation.Language.InvokeMemberExpressionAst]) { 'methods' } else { 'properties' }
            $key = if ($Ast.Static) { "$($Ast.Expression.TypeName.FullName)::$member" } else { $member }
            # What is a key of a table that the scripts have from each other is no member of .NET.
            if (-not $lists[$list].Contains($key) -and -not ($list -eq 'properties' -and $lists.own.Contains($key))) { Add-Finding $Ast.Extent 'member' }
        }
    }
}

foreach ($file in $Path) {
    $errors = $null
    $tree = [System.Management.Automation.Language.Parser]::ParseFile((Resolve-Path -LiteralPath $file).Path, [ref]$null, [ref]$errors)
    foreach ($each in $errors) { Add-Finding $each.Extent 'syntax' }
    $functions = @($tree.FindAll({ $args[0] -is [System.Management.Automation.Language.FunctionDefinitionAst] }, $true) | ForEach-Object Name)
    foreach ($ast in $tree.FindAll({ $true }, $true)) {
        Test-Syntax $ast
        if ($SyntaxOnly) { continue }
        if ($ast -is [System.Management.Automation.Language.CommandAst]) { Test-Command $ast }
        Test-Dotnet $ast
    }
}
ConvertTo-Json -InputObject @($findings) -Depth 3
