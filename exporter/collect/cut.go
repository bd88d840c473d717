package collect

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/edge/fleet"
)

// A Cut says what of a device's metrics one scrape wants. Scrapes with equal
// cuts share an answer. The zero value wants all that the configuration has.
type Cut struct {
	Bare    bool // without the label device
	NoMaint bool // without servers in maintenance
	Extra   bool // with the counters of HAProxy's modules

	scopes scopes
	names  string // as in the URL: "a,-b"
}

// whole says that nothing is cut: what Prometheus asks of every device, or of one.
func (c Cut) whole() bool { return c == Cut{} || c == Cut{Bare: true} }

// A Mistake is a parameter that can't be understood.
type Mistake struct{ Text string }

func (m *Mistake) Error() string { return m.Text }

// ParseCut reads the URL parameters of HAProxy's own exporter: scope, metrics,
// no-maint and extra-counters. Source: facts 2.3.
func ParseCut(q url.Values) (Cut, error) {
	c := Cut{NoMaint: q.Has("no-maint"), Extra: q.Has("extra-counters")}
	var scope []string
	for _, s := range q["scope"] {
		switch {
		case s == "": // as there: nothing of what was said before it
			scope = nil
		case s == "*":
			scope = append(scope, fleet.Scopes...)
		case slices.Contains(fleet.Scopes, s):
			scope = append(scope, s)
		default:
			return Cut{}, &Mistake{fmt.Sprintf("parameter scope: %.40q: want one of %s or *", s, strings.Join(fleet.Scopes, ", "))}
		}
	}
	c.scopes = scopesOf(scope)
	if q.Has("scope") && c.scopes == 0 {
		c.scopes = noScope
	}
	var all []string
	for _, list := range q["metrics"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	c.names = strings.Join(slices.Compact(all), ",")
	if len(c.names) > maxNames {
		return Cut{}, &Mistake{fmt.Sprintf("parameter metrics is longer than %d bytes", maxNames)}
	}
	return c, nil
}

// maxNames bounds what a scrape may ask by name, in bytes: all of our metrics have 12,000.
const maxNames = 64 << 10

// scopes is a set of kinds of objects, by their place in [fleet.Scopes]; none is said: 0.
type scopes uint8

const (
	global scopes = 1 << iota
	frontend
	listener
	backend
	server
	sticktable

	noScope    // somebody said so
	everyScope = global | frontend | listener | backend | server | sticktable
)

func scopesOf(words []string) (s scopes) {
	for i, word := range fleet.Scopes {
		if slices.Contains(words, word) {
			s |= 1 << i
		}
	}
	return s
}

// names is a list of metrics that are wanted, and of some that are not. Where
// none is wanted by name, all others are.
type names struct {
	wanted, unwanted map[string]bool
}

func namesOf(list []string) names {
	n := names{wanted: map[string]bool{}, unwanted: map[string]bool{}}
	for _, name := range list {
		if not, ok := strings.CutPrefix(name, "-"); ok {
			n.unwanted[not] = true
		} else if name != "" {
			n.wanted[name] = true
		}
	}
	return n
}

func (n names) has(name string) bool {
	return !n.unwanted[name] && (len(n.wanted) == 0 || n.wanted[name])
}

// wanted are the metrics that the scrape names.
func (c Cut) wanted() names { return namesOf(strings.Split(c.names, ",")) }

// byName says that the metric is asked for by its name.
func (n names) byName(name string) bool { return n.wanted[name] && !n.unwanted[name] }
