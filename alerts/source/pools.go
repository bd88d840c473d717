package source

func pools() Group {
	return Group{Name: "sluice-pools", Board: Overview, Rules: []Rule{
		{
			Why: `"unless": a backup that is up answers in the members' place (PoolOnBackup).
PTAF tells of a backup only that nobody has taken it out.`,
			Alert: "PoolNoMemberServing",
			About: Pool,
			Expr: `
sum by (device, pool) (sluice_member_serving) == 0
unless on (device, pool) (
  label_replace(haproxy_backend_backup_servers > 0, "pool", "$1", "proxy", "(.*)")
  or
  label_replace(ptaf_backend_backup == 1 unless ptaf_backend_down == 1, "pool", "$1", "upstream", "(.*)")
)`,
			Severity:    Critical,
			Summary:     "Pool {{ $labels.pool }} on {{ $labels.device }} has no member that takes traffic",
			Description: "By the device's own word no member of this pool takes new traffic, and no backup is up. Clients get errors now.",
		},
		{
			Alert: "PoolOnBackup",
			About: Pool,
			Expr: `
sum by (device, pool) (sluice_member_serving) == 0
and on (device, pool) (
  label_replace(haproxy_backend_backup_servers > 0, "pool", "$1", "proxy", "(.*)")
  or
  label_replace(ptaf_backend_backup == 1 unless ptaf_backend_down == 1, "pool", "$1", "upstream", "(.*)")
)`,
			Severity:    Warning,
			Summary:     "Pool {{ $labels.pool }} on {{ $labels.device }} lives on its backup",
			Description: "No ordinary member of this pool takes new traffic; its backup servers answer alone.",
		},
		{
			Why: `No "for": the exporter has already counted. "min" first, as in
MemberFailing: a member fails when one of its probes does.`,
			Alert:       "PoolAllFailing",
			About:       Pool,
			Expr:        `max by (device, pool) (min by (device, pool, member) (sluice_probe_up{member!=""})) == 0`,
			Severity:    Critical,
			Summary:     "Every probed member of pool {{ $labels.pool }} on {{ $labels.device }} fails",
			Description: "The last of them are left in rotation: taking out everything helps nobody, and the first member that recovers serves at once. A policy of kind bypass can do something else, if an alert asks for it.",
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
			Description: "One member is left, or fewer than half of those that are not in maint. The next failure may empty the pool, and min_serving may make the remediator refuse to take out another.",
		},
		{
			Alert:       "DeviceUnreachable",
			About:       Device,
			Expr:        "sluice_device_up == 0",
			For:         "15s",
			Severity:    Critical,
			Summary:     "The exporter can't read {{ $labels.device }}",
			Description: "Every series of this device is missing, so no rule on its members or pools can fire. Traffic may still flow; nobody sees it, and the remediator can't step there.",
		},
	}}
}
