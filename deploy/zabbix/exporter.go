package main

// exporter is the template for the read side: devices, pools, members, probes.
func exporter() *builder {
	b := build("exporter", `Devices, pools, members and probes, as "sluice exporter" sees them. Set {$SLUICE.EXPORTER.URL}. Link "Sluice remediator by HTTP" to the same host, or to another, where a remediator runs.`)
	b.common("http://127.0.0.1:9101/metrics", "ExporterDown")
	b.Macros = append(b.Macros,
		Macro{Macro: "{$SLUICE.DEVICE.DOWN}", Value: "30s", Description: "How long a device may give no answer."},
		Macro{Macro: "{$SLUICE.POOL.SERVING}", Value: "0.5", Description: "Share of a pool's members below which it runs short. A context names one pool: {$SLUICE.POOL.SERVING:shop}."},
		Macro{Macro: "{$SLUICE.POOL.SHORT}", Value: "1m", Description: "How long a pool may run short."},
		Macro{Macro: "{$SLUICE.VERDICT}", Value: "2m", Description: "How long what was told last of a pool, or by a probe, counts when nothing follows."},
		Macro{Macro: "{$SLUICE.PROBES.LATE}", Value: "0.1", Description: "Share of probes that may begin late, can't be made or don't count."},
		Macro{Macro: "{$SLUICE.PROBES.FAILING}", Value: "0.5", Description: "Share of all verdicts that are bad from which on the exporter itself is suspect."},
		Macro{Macro: "{$SLUICE.API.ERRORS}", Value: "0.2", Description: "Share of calls of a PTAF's API that may fail."},
	)
	b.maps(yes.valuemap, good.valuemap, up.valuemap)
	b.probing()
	b.devices()
	b.pools()
	b.members()
	b.probes()
	return b
}

// probing are the items on the exporter's own probing.
func (b *builder) probing() {
	b.add(
		b.item("probes.suspended", "probes", "doesn't believe its probes", yes, "1 while bad results count for nothing, because the exporter itself is late or cut off.",
			over("max", "sluice_probe_suspended")),
		b.item("probes.runs", "probes", "probes a second", rate, "Probes that ran.", orNothing(over("sum", "sluice_probe_runs_total")), each()),
		b.item("probes.late", "probes", "late probes a second", rate, "Turns that began too late or were left out, because the exporter was too slow.",
			orNothing(over("sum", "sluice_probe_late_total")), each()),
		b.item("probes.ignored", "probes", "results a second that count for nothing", rate, "Bad results that came while the exporter itself was late or cut off.",
			orZero(over("sum", "sluice_probe_ignored_total")), each()),
		b.item("probes.unmade", "probes", "probes a second that could not be made", rate, "For a reason on the exporter's side; its log says which.",
			orZero(over("sum", "sluice_probe_unmade_total")), each()),
		b.item("probes.known", "probes", "verdicts", number, "Targets and members of which the probes know whether they are well.", orZero(over("count", "sluice_probe_up"))),
		b.item("probes.bad", "probes", "bad verdicts", number, "Those of them that are down.", orZero(over("count", "sluice_probe_up == 0"))),
	)
	b.problem(problem{
		"ProbesSuspended", "HIGH", "Sluice exporter doesn't believe its own probes",
		"It gets no processor, or no target of its self_check answers. Until that ends no verdict becomes bad.", "min(/probes.suspended,30s)=1",
	})
	b.problem(problem{
		"ProbesLate", "WARNING", "Sluice exporter can't keep up with its probes",
		"Verdicts go stale, and then nobody knows of such members.", "avg(/probes.late,5m)>{$SLUICE.PROBES.LATE}*avg(/probes.runs,5m)",
	})
	b.problem(problem{
		"ProbesNotCounted", "WARNING", "Results of Sluice exporter's probes don't count",
		"They can't be made, or come while the exporter itself is late.", "avg(/probes.unmade,5m)+avg(/probes.ignored,5m)>{$SLUICE.PROBES.LATE}*avg(/probes.runs,5m)",
	})
	b.problem(problem{
		"ProbesMassFailure", "HIGH", "Most of what Sluice exporter probes is down",
		"When so many fail at once, suspect the exporter's network, DNS or certificates before the members.",
		"last(/probes.known)>=4 and last(/probes.bad)>{$SLUICE.PROBES.FAILING}*last(/probes.known)",
	})
}

func (b *builder) devices() {
	labels := []string{"device"}
	r := b.discover("devices", "Devices", "Each HAProxy, PTAF and PTAF PRO.", "sluice_device_up", labels...)
	b.prototype(r, labels, "device.up", "devices", "{#DEVICE}: answers", up, "Whether the device answered the exporter.",
		value(of("sluice_device_up", labels)))
	b.prototype(r, labels, "device.read", "devices", "{#DEVICE}: time to answer", seconds, "How long it took.",
		orNothing(value(of("sluice_device_read_duration_seconds", labels))))
	b.problemOf(r, labels, problem{
		"DeviceUnreachable", "HIGH", "Sluice: {#DEVICE} can't be read",
		"Nothing is known of its pools and members. Traffic may still flow.", "max(/device.up,{$SLUICE.DEVICE.DOWN})=0",
	})

	r = b.discover("ptaf", "PTAF devices", "Each PTAF 3.x and PTAF PRO.", "ptaf_up", labels...)
	b.prototype(r, labels, "ptaf.refused", "devices", "{#DEVICE}: upstreams left out", number, "Upstreams that aren't served: their name occurs twice, or their object can't be read.",
		orZero(over("sum", of("ptaf_upstream_refused", labels))))
	b.prototype(r, labels, "ptaf.diverge", "devices", "{#DEVICE}: upstreams that nodes show differently", number, "0 for a PTAF alone.",
		orZero(over("sum", of("ptaf_nodes_diverge", labels))))
	b.prototype(r, labels, "ptaf.actionable", "devices", "{#DEVICE}: steps can be taken", yes, "As far as reading tells. A PTAF PRO doesn't tell.",
		orNothing(value(of("ptaf_actionable", labels))))
	b.prototype(r, labels, "ptaf.calls", "devices", "{#DEVICE}: calls of the API a second", rate, "",
		orNothing(over("sum", of("ptaf_api_requests_total", labels))), each())
	b.prototype(r, labels, "ptaf.errors", "devices", "{#DEVICE}: failed calls of the API a second", rate, "Without an answer, or with another than 2xx.",
		orZero(over("sum", of("ptaf_api_requests_total", labels, `code!~"^2..$"`))), each())
	b.problemOf(r, labels, problem{"PTAFUpstreamRefused", "WARNING", "Sluice: upstreams of {#DEVICE} are left out", "None of their backends is seen, and no step is taken on them.", "min(/ptaf.refused,1m)>0"})
	b.problemOf(r, labels, problem{"PTAFNodesDiverge", "WARNING", "Sluice: nodes of {#DEVICE} show upstreams differently", "A failover would serve something else.", "min(/ptaf.diverge,5m)>0"})
	b.problemOf(r, labels, problem{"PTAFNotActionable", "WARNING", "Sluice can't act on {#DEVICE}", "No node, or more than one, says that it is the active one.", "max(/ptaf.actionable,15m)=0"})
	b.problemOf(r, labels, problem{
		"PTAFAPIErrors", "WARNING", "Sluice: calls of {#DEVICE}'s API fail", "What is known of the device is late, and a step may fail.",
		"avg(/ptaf.errors,10m)>{$SLUICE.API.ERRORS}*avg(/ptaf.calls,10m)",
	})
}

func (b *builder) pools() {
	labels := []string{"device", "pool"}
	r := b.discover("pools", "Pools", "Each pool of each device.", "sluice_member_serving", labels...)
	// A sum, for a count of what isn't there is 0 to Zabbix, and a device that can't be
	// read has not lost its members. Seen on 6.0.14.
	b.prototype(r, labels, "pool.members", "pools", "{#DEVICE}/{#POOL}: members", number, "In rotation or not.", orNothing(over("sum", of("sluice_member_admin_state", labels))))
	b.prototype(r, labels, "pool.serving", "pools", "{#DEVICE}/{#POOL}: members that serve", number, "Members that take new traffic by the device's word. A backup isn't one of them.",
		orNothing(over("sum", of("sluice_member_serving", labels))))
	b.prototype(r, labels, "pool.maint", "pools", "{#DEVICE}/{#POOL}: members in maint", number, "Whoever put them there; free slots of a server template too.",
		orNothing(over("sum", of("sluice_member_admin_state", labels, `state="maint"`))))
	b.prototype(r, labels, "pool.drain", "pools", "{#DEVICE}/{#POOL}: members in drain", number, "Whoever put them there.",
		orNothing(over("sum", of("sluice_member_admin_state", labels, `state="drain"`))))
	b.prototype(r, labels, "pool.backups", "pools", "{#DEVICE}/{#POOL}: backups that are up", number, "Of a HAProxy, with the metrics' profile builtin or both. 0 of a PTAF.",
		orZero(over("sum", `haproxy_backend_backup_servers{device="{#DEVICE}",proxy="{#POOL}"}`)))
	b.prototype(r, labels, "pool.known", "pools", "{#DEVICE}/{#POOL}: verdicts on members", number, "Of probes; 0 where none are.",
		orZero(over("count", of("sluice_probe_up", labels))))
	b.prototype(r, labels, "pool.bad", "pools", "{#DEVICE}/{#POOL}: bad verdicts on members", number, "", orZero(over("count", of("sluice_probe_up", labels)+" == 0")))

	b.problemOf(r, labels, problem{
		"PoolNoMemberServing", "DISASTER", "Sluice: pool {#POOL} on {#DEVICE} has no member that serves", "Clients get errors now. A backup of a PTAF isn't counted: look whether it has one.",
		"last(/pool.serving)=0 and last(/pool.backups)=0 and nodata(/pool.serving,{$SLUICE.VERDICT})=0",
	})
	b.problemOf(r, labels, problem{
		"PoolOnBackup", "AVERAGE", "Sluice: pool {#POOL} on {#DEVICE} lives on its backup", "No ordinary member takes new traffic.",
		"last(/pool.serving)=0 and last(/pool.backups)>0 and nodata(/pool.serving,{$SLUICE.VERDICT})=0",
	})
	b.problemOf(r, labels, problem{
		"PoolAllFailing", "HIGH", "Sluice: all probes of members of pool {#POOL} on {#DEVICE} are bad", "The last of them are left in rotation: to take out everything helps nobody.",
		"last(/pool.known)>0 and last(/pool.bad)=last(/pool.known)",
	})
	b.problemOf(r, labels, problem{
		"PoolLowRedundancy", "WARNING", "Sluice: pool {#POOL} on {#DEVICE} runs short", "One member is left, or fewer than the share of those that aren't in maint. The next failure may empty it, and min_serving may refuse to take out another.",
		`max(/pool.serving,{$SLUICE.POOL.SHORT})>0 and last(/pool.backups)=0 and last(/pool.members)>1 and (max(/pool.serving,{$SLUICE.POOL.SHORT})=1 or max(/pool.serving,{$SLUICE.POOL.SHORT})<{$SLUICE.POOL.SERVING:"{#POOL}"}*(last(/pool.members)-last(/pool.maint))) and nodata(/pool.serving,{$SLUICE.VERDICT})=0`,
	})
}

func (b *builder) members() {
	labels := []string{"device", "pool", "member"}
	r := b.discover("members", "Members", "Each member of each pool.", "sluice_member_serving", labels...)
	b.prototype(r, labels, "member.serving", "members", "{#DEVICE}/{#POOL}/{#MEMBER}: serves", yes, "Whether it takes new traffic by the device's word.",
		orNothing(value(of("sluice_member_serving", labels))), changed())
	b.prototype(r, labels, "member.state", "members", "{#DEVICE}/{#POOL}/{#MEMBER}: state", text, "ready, drain or maint, whoever set it.",
		orNothing(label(of("sluice_member_admin_state", labels)+" == 1", "state")), changed())
}

func (b *builder) probes() {
	labels := []string{"probe", "device", "pool", "member"}
	r := b.discover("probed", "Probed members", "Each probe of each member.", `sluice_probe_runs_total{member!=""}`, labels...)
	b.prototype(r, labels, "member.up", "probes", "{#DEVICE}/{#POOL}/{#MEMBER}: verdict of {#PROBE}", good, "No value while nobody knows.",
		orNothing(over("min", of("sluice_probe_up", labels))))
	b.prototype(r, labels, "member.duration", "probes", "{#DEVICE}/{#POOL}/{#MEMBER}: duration of {#PROBE}", seconds, "Of the last probe, good or bad.",
		orNothing(over("max", of("sluice_probe_duration_seconds", labels))))
	b.problemOf(r, labels, problem{
		"MemberFailing", "AVERAGE", "Sluice: {#MEMBER} of pool {#POOL} on {#DEVICE} fails {#PROBE}", "Where a policy covers it, the remediator takes it out and gives it back when it is well. That the alert reaches the remediator is Alertmanager's business: this trigger only tells people.",
		"last(/member.up)=0 and nodata(/member.up,{$SLUICE.VERDICT})=0",
	})

	labels = []string{"probe", "target"}
	r = b.discover("targets", "Probed targets", "Each fixed target of each probe.", `sluice_probe_runs_total{member=""}`, labels...)
	b.prototype(r, labels, "target.up", "probes", "{#TARGET}: verdict of {#PROBE}", good, "No value while nobody knows.",
		orNothing(over("min", of("sluice_probe_up", labels, `member=""`))))
	b.prototype(r, labels, "target.duration", "probes", "{#TARGET}: duration of {#PROBE}", seconds, "Of the last probe, good or bad.",
		orNothing(over("max", of("sluice_probe_duration_seconds", labels, `member=""`))))
	b.problemOf(r, labels, problem{"ProbeFailing", "AVERAGE", "Sluice: {#TARGET} fails {#PROBE}", "", "last(/target.up)=0 and nodata(/target.up,{$SLUICE.VERDICT})=0"})
}
