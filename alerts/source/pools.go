package source

func pools() Group {
	return Group{Name: "sluice-pools", Board: Overview, Rules: []Rule{
		{
			Why: `"unless": a backup that is up answers in the members' place (PoolOnBackup).
PTAF tells of a backup only that nobody has taken it out.`,
			Alert: "PoolNoMemberServing",
			About: Pool,
			Expr: noneServes + `
unless on (device, pool) (
  label_replace(haproxy_backend_backup_servers > 0, "pool", "$1", "proxy", "(.*)")
  or
  label_replace(ptaf_backend_backup == 1 unless ptaf_backend_down == 1, "pool", "$1", "upstream", "(.*)")
)`,
			Severity:    Critical,
			Summary:     "Pool {{ $labels.pool }} on {{ $labels.device }} has no member that takes traffic",
			Description: "None of its members ({{ $value }}) takes new traffic by the device's own word, and no backup is up. Clients get errors now.",
		},
		{
			Alert: "PoolOnBackup",
			About: Pool,
			Expr: noneServes + `
and on (device, pool) (
  label_replace(haproxy_backend_backup_servers > 0, "pool", "$1", "proxy", "(.*)")
  or
  label_replace(ptaf_backend_backup == 1 unless ptaf_backend_down == 1, "pool", "$1", "upstream", "(.*)")
)`,
			Severity:    Warning,
			Summary:     "Pool {{ $labels.pool }} on {{ $labels.device }} lives on its backup",
			Description: "Of its members ({{ $value }}) only backups take new traffic.",
		},
		{
			Why: `No "for": the exporter has already counted. "min" first, as in
MemberFailing: a member fails when one of its probes does.`,
			Alert: "PoolAllFailing",
			About: Pool,
			Expr: `
count by (device, pool) (` + verdicts + `)
unless
count by (device, pool) (` + verdicts + ` == 1)`,
			Severity:    Critical,
			Summary:     "Every probed member of pool {{ $labels.pool }} on {{ $labels.device }} fails",
			Description: "None of them ({{ $value }}) is well. The last of them are left in rotation: taking out everything helps nobody, and the first member that recovers serves at once. A policy of kind bypass can do something else, if an alert asks for it.",
		},
		{
			Why: `The base leaves out members in maint: a server template keeps its free
slots there, which are no loss. What we hold counts again, because a
policy may hold in maint. A backup that is up is redundancy. A member that
two exporters or two jobs tell of is one.`,
			Alert: "PoolLowRedundancy",
			About: Pool,
			Expr: `
(
    (
      sum by (device, pool) (max by (device, pool, member) (sluice_member_serving)) == 1
      and on (device, pool) (
        count by (device, pool) (max by (device, pool, member) (sluice_member_admin_state{state="maint"}) == 0) > 1
        or sum by (device, pool) (sluice_remediation_holds) > 0
      )
    )
  or
    (
      sum by (device, pool) (max by (device, pool, member) (sluice_member_serving)) > 1
      and
      sum by (device, pool) (max by (device, pool, member) (sluice_member_serving))
        < %(redundancy)s * count by (device, pool) (max by (device, pool, member) (sluice_member_admin_state{state="maint"}) == 0)
    )
)
unless on (device, pool) (
  label_replace(haproxy_backend_backup_servers > 0, "pool", "$1", "proxy", "(.*)")
  or
  label_replace(ptaf_backend_backup == 1 unless ptaf_backend_down == 1, "pool", "$1", "upstream", "(.*)")
)`,
			For:         "15s",
			Severity:    Warning,
			Summary:     "Pool {{ $labels.pool }} on {{ $labels.device }} is down to {{ $value }} serving",
			Description: "For 15 s {{ $value }} have been left: one, or fewer than %(redundancy)s of those that are not in maint. The next failure may empty the pool, and min_serving may make the remediator refuse to take out another.",
		},
		{
			Alert:       "DeviceUnreachable",
			About:       Device,
			Expr:        "sluice_device_up == 0",
			For:         "15s",
			Severity:    Critical,
			Summary:     "The exporter can't read {{ $labels.device }}",
			Description: "For 15 s every series of this device has been missing, so no rule on its members or pools can fire. Traffic may still flow; nobody sees it, and the remediator can't step there.",
		},
	}}
}

const (
	// verdicts are the members' own: a member that one of its probes fails, fails.
	verdicts = `min by (device, pool, member) (sluice_probe_up{member!=""})`

	serving = `max by (device, pool, member) (sluice_member_serving)`

	// noneServes are the members of pools in which none takes new traffic.
	noneServes = `
count by (device, pool) (` + serving + `)
unless
count by (device, pool) (` + serving + ` == 1)`
)
