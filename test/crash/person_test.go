package crash

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/test/rig"
)

// ordersOf is what a crash leaves of a person's order, by failpoint: whether
// HAProxy was told, and what the next process finds out. The list is whole.
var ordersOf = map[string]struct {
	sent   bool
	result string
}{
	"order.recorded": {false, "failed"},
	"order.sent":     {true, "applied"},
	"order.outcome":  {true, "applied"},
}

// A person's order is sent once or not at all, its outcome is found out, and what
// they did, or left to us, stays whose it was (SAFETY.md I7, I10, I11).
func TestACrashInAPersonsOrderLosesNothing(t *testing.T) {
	for _, name := range remediator.Failpoints {
		if !ofAPerson(name) {
			continue
		}
		for _, held := range []bool{false, true} {
			what := name
			if held {
				what += ", of a member that we hold"
			}
			t.Run(what, func(t *testing.T) {
				c, known := ordersOf[name]
				if !known {
					t.Fatal("a new failpoint: say in the table what is left behind there")
				}
				s := begin(t)
				s.run(name)
				admin, to, sent := rig.AdminReady, "maint", []string(nil)
				if held {
					s.sicken()
					s.becomes(rig.AdminDrain)
					s.phase("holding")
					admin, to, sent = rig.AdminDrain, "ready", []string{drained}
				}
				before := admin
				s.person(to)
				s.dies()
				if c.sent {
					admin = map[string]int{"maint": rig.AdminMaint, "ready": rig.AdminReady}[to]
					sent = append(sent, "shop/"+victim+" state "+to)
				}
				s.is(admin)

				s.run("")
				s.says(c.result, "")
				if held && !c.sent {
					s.phase("holding")
				} else {
					s.phase("")
				}
				s.keeps(admin) // although it is claimed, or although nobody claims it
				if diff := cmp.Diff(sent, s.Wire.Orders()); diff != "" {
					t.Errorf("orders to HAProxy (-want +got):\n%s", diff)
				}
				s.must(s.Remediator.Stop())
				_, entries := s.read()
				var results []string
				for _, e := range entries {
					if e.Event == "step" && e.Order != "" {
						results = append(results, e.Result)
					}
				}
				if !slices.Equal(results, []string{c.result}) {
					t.Errorf("the order of %q that found it in %#02x ended as %q", to, before, results)
				}
			})
		}
	}
}

// ofAPerson says whether a failpoint is on the way of a person's order.
func ofAPerson(name string) bool { return strings.HasPrefix(name, "order.") }

// person gives an order. Its answer isn't asked for: the remediator may be ended
// before it gives one.
func (s stage) person(to string) {
	s.t.Helper()
	status, answer, err := rig.Do(s.t.Context(), http.MethodPost, s.URL+"/api/v1/members/edge1/shop/"+victim+"/"+to, []byte(`{"reason":"test"}`))
	s.t.Logf("%s: %d %s %v", to, status, answer, err)
}
