// Package source has what stands on the boards that ship with Sluice. "go run
// ./dashboards/generate" makes the files that people install from it.
//
// An id of a panel is part of links to it: a panel keeps its own, a new one takes
// the next that its board never had.
package source

import (
	"fmt"

	g "github.com/sluice-project/sluice/dashboards/grafana"
)

// Config is what differs from one installation to the next.
type Config struct {
	Console  string // URL of the remediator, where its console is
	Runbooks string // URL of the folder of the runbooks
}

// Default is what the files in the repository have.
var Default = Config{
	Console:  "http://127.0.0.1:11011",
	Runbooks: "https://github.com/sluice-project/sluice/tree/main/alerts/runbooks",
}

// Boards are all boards, by the name of their file.
func Boards(c Config) map[string]g.Board {
	return map[string]g.Board{
		"overview.json": overview(c),
		"pool.json":     pool(c),
		"ptaf.json":     ptaf(c),
		"probes.json":   probes(c),
		"audit.json":    audit(c),
	}
}

// board has what all of ours have: the data source, and the ways to the others,
// to the console and to the runbooks.
func board(uid, title, description string, c Config, tags ...string) g.Board {
	b := g.Board{UID: uid, Title: title, Description: description, Tags: append([]string{"sluice"}, tags...)}
	b.Choose(g.DataSource(), g.Constant("console", "URL of the remediator", c.Console), g.Constant("runbooks", "URL of the runbooks", c.Runbooks))
	b.Links = []g.BoardLink{
		{Type: "dashboards", Title: "Boards of Sluice", Tags: []string{"sluice"}, Icon: "external link", Dropdown: true, Time: true, Variables: true},
		{Type: "link", Title: "Console", Tags: []string{}, URL: "${console}/console/", Icon: "doc", Tooltip: "What people can do: drain, give back, freeze", Blank: true},
		{Type: "link", Title: "Runbooks", Tags: []string{}, URL: "${runbooks}", Icon: "doc", Tooltip: "What each alert means, and the first three commands", Blank: true},
	}
	return b
}

// Ways down from a value that has the labels device and pool.
// Source: Grafana, docs/sources/panels-visualizations/configure-data-links:
// __url_time_range, __field.labels and __data.fields.
const (
	ofPool   = "/d/sluice-pool?${datasource:queryparam}&${__url_time_range}"
	ofProbes = "/d/sluice-probes?${datasource:queryparam}&${__url_time_range}"
)

var (
	seriesToPool   = g.DataLink{Title: "HAProxy pool", URL: ofPool + "&var-device=${__field.labels.device}&var-pool=${__field.labels.pool}"}
	seriesToProbes = g.DataLink{Title: "Probes of the pool", URL: ofProbes + "&var-device=${__field.labels.device}&var-pool=${__field.labels.pool}"}
	lineToPool     = g.DataLink{Title: "HAProxy pool", URL: ofPool + "&var-device=${__data.fields.device}&var-pool=${__data.fields.pool}"}
	lineToProbes   = g.DataLink{Title: "Probes of the pool", URL: ofProbes + "&var-device=${__data.fields.device}&var-pool=${__data.fields.pool}"}
	lineToRunbook  = g.DataLink{Title: "Runbook", URL: "${runbooks}/${__data.fields.alert}.md", Blank: true}
	lineToConsole  = g.DataLink{Title: "Console", URL: "${console}/console/member?device=${__data.fields.device}&pool=${__data.fields.pool}&member=${__data.fields.member}", Blank: true}
)

// one is the time between two moments at which Prometheus is asked for marks.
const one = "30s"

var (
	// What was done to members, by what became of it.
	stepMarks = []g.Annotation{
		steps("Taken out", "orange", `to=~"drain|maint",result="applied"`),
		steps("Given back", "green", `to=~"ready|restore",result="applied"`),
		steps("Weight changed", "yellow", `to="weight",result="applied"`),
		steps("Steps that went wrong", "red", `result=~"failed|indeterminate|superseded"`),
		steps("Steps only told of", "blue", `result=~"dry_run|observed"`),
	}

	// A window of a whole device has no pool.
	maintenanceMark = g.Annotation{
		Name: "Maintenance", Color: "purple", Step: one,
		Expr:  `max by (device, pool, name) (sluice_maintenance_active{device=~"$device",pool=~"$pool|"}) == 1`,
		Title: "maintenance {{name}}", Text: "{{device}} {{pool}}", Tags: "device,pool",
	}

	restartsMark = g.Annotation{
		Name: "HAProxy restarts", Color: "dark-red", Step: one,
		Expr:  `increase(sluice_haproxy_reloads_seen_total{device=~"$device"}[$__rate_interval]) > 0`,
		Title: "HAProxy {{device}} was restarted or reloaded", Tags: "device",
	}
	reloadsMark = g.Annotation{
		Name: "Configuration read", Color: "yellow", Step: one,
		Expr:  `changes(sluice_config_last_reload_success_timestamp_seconds[$__rate_interval]) > 0`,
		Title: "{{job}} {{instance}} read its configuration", Tags: "job,instance",
	}
)

// steps marks what remediation and people did. A series of the counter begins
// with its first step, which neither increase nor changes would see.
func steps(name, color, selector string) g.Annotation {
	all := `sluice_remediation_steps_total{device=~"$device",pool=~"$pool",` + selector + `}`
	now := "sum by (device, pool, to, result, by) (" + all + ")"
	before := "sum by (device, pool, to, result, by) (" + all + " offset $__interval)"
	return g.Annotation{
		Name: name, Color: color, Step: one,
		Expr:  fmt.Sprintf("%s > (%s or 0 * %s)", now, before, now),
		Title: "{{device}}/{{pool}}: {{to}} {{result}}", Text: "by {{by}}", Tags: "to,result,by",
	}
}

// Most series of the remediator come with the first event of their kind. Where
// it runs and there was none, the panel says 0 and not that there are no data.
const orZero = " or on () 0 * max(sluice_remediation_frozen)"

// none is orZero for series that a legend tells apart by labels.
func none(labels ...string) string {
	zero := "0 * max(sluice_remediation_frozen)"
	for _, l := range labels {
		zero = fmt.Sprintf(`label_replace(%s, %q, %q, "", "")`, zero, l, g.Nothing)
	}
	return " or on () " + zero
}

// pools select what a board's menus of devices and pools have chosen.
const pools = `device=~"$device",pool=~"$pool"`

// refusalsByGuard are those within the interval, of guards that refused any.
var refusalsByGuard = g.Ask("(sum by (guard) (increase(sluice_remediation_refusals_total[$__rate_interval])) > 0)"+none("guard"), "{{guard}}")

// held are the members that Sluice holds, in all.
const held = "sum(max by (device, pool) (sluice_remediation_holds{" + pools + "}))" + orZero

// Of several replicas only the one that leads knows.
const ofLeader = " unless on (job, instance) sluice_remediation_leader == 0"
