# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Returns every small mistake that can be made in the scripts, as a JSON list of { file, kind, start, end, text }: replace what is between start and end.
# The kinds: a parameter is dropped, a store is another one, a check is forgotten, a condition is inverted. All of them can still be parsed.
param(
    [Parameter(Mandatory = $true)]
    [string[]]$Path
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
$stores = @{ ActiveStore = 'PersistentStore'; PersistentStore = 'ActiveStore'; both = 'ActiveStore' }
$edits = [System.Collections.Generic.List[object]]::new()

function Add-Edit([string]$Kind, [int]$Start, [int]$End, [string]$Text) {
    $errors = $null
    $null = [System.Management.Automation.Language.Parser]::ParseInput($code.Substring(0, $Start) + $Text + $code.Substring($End), [ref]$null, [ref]$errors)
    if (-not $errors) { $edits.Add([ordered]@{ file = $file; kind = $Kind; start = $Start; end = $End; text = $Text }) }
}

function Add-CommandEdit([System.Management.Automation.Language.CommandAst]$Command) {
    $elements = $Command.CommandElements
    for ($i = 1; $i -lt $elements.Count; $i++) {
        if ($elements[$i] -isnot [System.Management.Automation.Language.CommandParameterAst]) { continue }
        $takes = $i + 1 -lt $elements.Count -and $elements[$i + 1] -isnot [System.Management.Automation.Language.CommandParameterAst] -and -not $elements[$i].Argument
        $last = if ($takes) { $elements[$i + 1] } else { $elements[$i] }
        Add-Edit 'parameter' $elements[$i].Extent.StartOffset $last.Extent.EndOffset ''
    }
}

function Test-Statement([System.Management.Automation.Language.Ast]$Ast) {
    $Ast.Parent -is [System.Management.Automation.Language.StatementBlockAst] -or $Ast.Parent -is [System.Management.Automation.Language.NamedBlockAst]
}

foreach ($file in $Path) {
    $code = [System.IO.File]::ReadAllText($file)
    $tree = [System.Management.Automation.Language.Parser]::ParseInput($code, [ref]$null, [ref]$null)
    foreach ($ast in $tree.FindAll({ $true }, $true)) {
        $extent = $ast.Extent
        switch ($ast.GetType().Name) {
            CommandAst {
                Add-CommandEdit $ast
                if ($ast.GetCommandName() -like 'Assert-*') { Add-Edit 'check' $extent.StartOffset $extent.EndOffset '' }
            }
            StringConstantExpressionAst { if ($stores.ContainsKey($ast.Value)) { Add-Edit 'store' $extent.StartOffset $extent.EndOffset "'$($stores[$ast.Value])'" } }
            ThrowStatementAst { Add-Edit 'check' $extent.StartOffset $extent.EndOffset '' }
            IfStatementAst {
                foreach ($clause in $ast.Clauses) { Add-Edit 'condition' $clause.Item1.Extent.StartOffset $clause.Item1.Extent.EndOffset "-not ($($clause.Item1.Extent.Text))" }
                if ((Test-Statement $ast) -and -not $ast.ElseClause -and $ast.Clauses.Count -eq 1) { Add-Edit 'check' $extent.StartOffset $extent.EndOffset '' }
            }
        }
    }
}
ConvertTo-Json -InputObject @($edits) -Depth 3
