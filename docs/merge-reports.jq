# Merges the reports of slices, which share no host, into one of the same schema:
#   jq --slurp --from-file docs/merge-reports.jq reports/*.json > merged.json

def rank: {failed: 0, drift: 1, partial: 2, unknown: 3, unverified: 4, restored: 5, clean: 6}[.];
def severity: {blocker: 0, warning: 1, info: 2}[.];

(map((.load_balancers | keys[]), (.servers | keys[])) | group_by(.) | map(select(length > 1)[0])) as $twice
| if length == 0 then error("There is no report to merge.") else . end
| if $twice != [] then error("In more than one report: \($twice | join(", ")). Slices must not share hosts.") else . end
| if map([.schema, .playbook, .check_mode]) | unique | length > 1 then error("These reports are not of the same playbook.") else . end
| sort_by(.verdict.status | rank)
| .[0] + {
    generated: map(.generated) | max,
    verdict: {
      status: .[0].verdict.status,
      title: "\(length) reports: \(group_by(.verdict.status | rank) | map("\(length) \(.[0].verdict.status)") | join(", "))",
      lines: map(.verdict.title) | unique,
      steps: .[0].verdict.steps
    },
    load_balancers: map(.load_balancers) | add,
    servers: map(.servers) | add,
    paths: map(.paths) | add,
    drift: map(.drift) | add,
    findings: map(.findings) | add | sort_by(.severity | severity),
    changes: map(.changes) | add
  }
