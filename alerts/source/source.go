// Package source is the one source of the rules that ship with Sluice. The rule
// files, the manifest for Kubernetes and the mixin are written from it by
// alerts/generate; nobody edits those.
//
// A text may name a setting as %(name)s, which is what Jsonnet's own formatting
// understands: in the mixin the name stays, so that its users change one value
// in _config; in plain files the default stands in its place.
package source

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Severity is the label by which Alertmanager chooses who is told, and how loudly.
type Severity string

const (
	Critical Severity = "critical" // wakes somebody: users suffer, or nothing works by itself any more
	Warning  Severity = "warning"  // to be looked at in working hours
	Info     Severity = "info"     // context for who looks at something else
	None     Severity = "none"     // for programs alone
)

// About is what an alert speaks of: the labels that it is sure to have.
type About int

const (
	Everything About = iota // nothing in particular
	Target                  // probe, target
	Process                 // one of our programs, or an Alertmanager
	Device                  // device
	Pool                    // device, pool
	Member                  // device, pool, member
)

// Board is the uid of the Grafana board where one goes on reading.
type Board string

const (
	Overview Board = "sluice-overview"
	Pools    Board = "sluice-pool"
	PTAFs    Board = "sluice-ptaf"
	Probes   Board = "sluice-probes"
	Audit    Board = "sluice-audit"
)

// A Rule is an alert, or a recording rule where Record is set.
type Rule struct {
	// Why is the comment above the expression: what a reader of the file can't see
	// from the expression itself.
	Why string

	Alert  string
	Record string
	Expr   string

	// For is how long the expression must hold. "" where the metric has counted
	// by itself already, or where once is enough.
	For string

	Severity    Severity
	Remediation string // the policy that is asked for a step; "" asks for none
	About       About
	Summary     string
	Description string
}

// A Group is rules that are evaluated together, one after the other.
type Group struct {
	Why      string
	Name     string
	Interval string // "" is Prometheus' own
	Board    Board
	Rules    []Rule
}

// Records says whether the group is of recording rules. No group mixes the two:
// the mixin keeps them apart.
func (g Group) Records() bool { return g.Rules[0].Record != "" }

// A File is one rule file.
type File struct {
	Name   string // without ".rules.yml"
	Why    string
	Groups []Group
}

// Files returns all rules, by the file that they are written to.
func Files() []File {
	return []File{
		{Name: "sluice", Why: sluiceWhy, Groups: []Group{claims(), pools(), probes(), processes()}},
		{Name: "haproxy", Why: haproxyWhy, Groups: []Group{haproxyRates(), haproxy()}},
		{Name: "ptaf", Why: ptafWhy, Groups: []Group{ptaf()}},
	}
}

// Annotations returns what goes with an alert of the group, in the order of the files.
func (g Group) Annotations(r Rule) [][2]string {
	return [][2]string{
		{"summary", r.Summary},
		{"description", r.Description},
		{"runbook_url", "%(runbooks)s" + r.Alert + "%(runbookEnding)s"},
		{"dashboard_url", "%(dashboards)s/d/" + string(g.Board) + r.query(g.Board)},
	}
}

// variables are those of each board that a link may set.
var variables = map[Board][]string{
	Overview: {"device", "pool"},
	Pools:    {"device", "pool", "member"},
	PTAFs:    {"device", "pool", "member"},
	Probes:   {"probe", "device", "pool", "member"},
	Audit:    {"device", "pool"},
}

// query sets the variables of the board to what the alert is about.
func (r Rule) query(b Board) string {
	labels := map[About][]string{
		Target: {"probe"},
		Device: {"device"},
		Pool:   {"device", "pool"},
		Member: {"device", "pool", "member"},
	}[r.About]
	var set []string
	for _, l := range labels {
		if slices.Contains(variables[b], l) {
			set = append(set, "var-"+l+"={{ $labels."+l+" }}")
		}
	}
	if len(set) == 0 {
		return ""
	}
	return "?" + strings.Join(set, "&")
}

var placeholder = regexp.MustCompile(`%\((\w+)\)s`)

// Names says which settings a text names.
func Names(text string) []string {
	var names []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// Expand puts the defaults of the settings into a text.
func Expand(text string) (string, error) {
	var unknown error
	out := placeholder.ReplaceAllStringFunc(text, func(p string) string {
		name := placeholder.FindStringSubmatch(p)[1]
		for _, s := range Settings {
			if s.Name == name {
				return s.Value
			}
		}
		unknown = fmt.Errorf("no setting is called %s", name)
		return p
	})
	return out, unknown
}
