package source

// A Setting is a limit, or a name, that installations differ in. It stands here
// once: in the rules by name, in the mixin under _config.
type Setting struct {
	Name  string
	Value string
	Why   string // a comment in the mixin
}

// Settings are all of them. How long an expression must hold ("for") stands at
// each rule, and in the mixin under _config['for'] by the alert's name.
var Settings = []Setting{
	{"runbooks", "https://github.com/sluice-project/sluice/blob/main/alerts/runbooks/", "What runbook_url begins with; the alert's name follows."},
	{"runbookEnding", ".md", "What it ends with: .ru.md leads to the Russian pages."},
	{"dashboards", "https://grafana.example.com", "Where your Grafana is: what dashboard_url begins with."},

	{"exporterJob", "sluice-exporter", "The scrape job of the exporters."},
	{"remediatorJob", "sluice-remediator", "The scrape job of the remediators."},
	{"drainPolicy", "drain", "The policy that MemberFailing asks."},
	{"bypassPolicy", "bypass", "The policy that PoolBypass asks."},
	{"standbys", "", "Regular expression of members that a bypass brings in, for PoolBypass not to count them."},

	{"redundancy", "0.5", "A pool is short with less than this share of its members."},
	{"errorShare", "0.05", "Share of responses 5xx that is too much."},
	{"errorFloor", "1", "Requests a second below which shares mean nothing."},
	{"outlier", "3", "A member is an outlier with this many times the errors of the rest of its pool."},
	{"retryShare", "0.02", "Share of connections to servers that were tried again that is too much."},
	{"sessionShare", "0.8", "Share of a frontend's session limit that is near it."},
	{"serverFlaps", "6", "Times that a check may take a server down in flapWindow."},
	{"flapWindow", "15m", "See serverFlaps."},
	{"flapQuiet", "20m", "How long after a step, or a person's change, HAProxy's own count of downs isn't believed. Longer than flapWindow."},

	{"authFailures", "2", "Calls that a PTAF may refuse for their login in ten minutes: an expired token is one."},
	{"apiErrorShare", "0.2", "Share of calls to a PTAF that may fail."},
	{"applySeconds", "5", "A write to a PTAF may take this long, for 95 of 100."},

	{"probeSeconds", "1", "A probe may take this long on average."},
	{"probeFlaps", "6", "Times that a verdict may change in an hour."},
	{"massShare", "0.5", "With less than this share of its targets up an exporter is suspected itself."},
	{"massTargets", "4", "Targets that an exporter needs for that."},
	{"lateShare", "0.1", "Share of probes that may be late, or count for nothing."},

	{"watchdogSeconds", "180", "Age of the Watchdog at which the way to the remediator counts as cut."},
	{"frozenSeconds", "4 * 3600", "A freeze may last this long."},
	{"unauthorized", "5", "Requests that the remediator may refuse for their login in ten minutes."},
}
