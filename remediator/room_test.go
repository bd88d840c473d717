package remediator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/journal"
)

// told are the series of a metric: the values of their labels, in the order of the
// labels' names, and what gathered says of theirs.
func told(t *testing.T, reg *prometheus.Registry, metric string) (out []string) {
	t.Helper()
	for _, s := range gathered(t, reg, namespace+metric) {
		labels, value, _ := strings.Cut(strings.TrimPrefix(s, namespace+metric+"{"), "} ")
		out = append(out, strings.ReplaceAll(labels, ",", " ")+" "+value)
	}
	slices.Sort(out)
	return out
}

// What may still be done is told beside what is done, before a guard has to refuse.
func TestWhatIsLeftIsTold(t *testing.T) {
	change := func(c *Config) { c.Policies[0].MinServing, c.Policies[0].MaxHeld, c.Budget.Steps = "50%", 2, 7 }
	inWorld(t, change, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		want := func(when string, all map[string][]string) {
			t.Helper()
			for metric, series := range all {
				if d := cmp.Diff(series, told(t, reg, metric)); d != "" {
					t.Errorf("%s: %s (-want +got):\n%s", when, metric, d)
				}
			}
		}
		w.wait(time.Minute)
		want("while all is well", map[string][]string{
			"min_serving":                  {"edge1 drain shop 2"}, // half of three, rounded up
			"max_held":                     {"edge1 drain shop 2"},
			"budget_used":                  {"held 0", "sick_pools 0", "steps 0"},
			"budget_limit":                 {"held 10", "sick_pools 5", "steps 7"},
			"brake_sick":                   nil,
			"brake_limit":                  {"edge1 shop 2"}, // a storm begins with three
			"hold_since_timestamp_seconds": nil,
			"last_step_timestamp_seconds":  nil,
			"reaction_seconds":             {"drain 0 in 0s"},
			"step_duration_seconds":        {"drain drain 0 in 0s", "drain ready 0 in 0s"},
		})
		w.probe.set(s1, edge.No)
		w.alerts.fire(s1)
		began := time.Now()
		w.r.Wake()
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		at := fmt.Sprint(float64(began.Unix()))
		want("while one is held", map[string][]string{
			"budget_used":                  {"held 1", "sick_pools 1", "steps 1"},
			"brake_sick":                   {"edge1 shop 1"},
			"hold_since_timestamp_seconds": {"edge1 s1 drain shop " + at},
			"last_step_timestamp_seconds":  {"sluice edge1 shop applied drain " + at},
			"reaction_seconds":             {"drain 1 in 0s"},
			"step_duration_seconds":        {"drain drain 1 in 0s", "drain ready 0 in 0s"},
		})
		w.recover(s1)
		w.wait(10 * time.Minute)
		w.want(s1, "")
		want("after it was given back", map[string][]string{
			"budget_used":                  {"held 0", "sick_pools 0", "steps 1"}, // spent for an hour
			"brake_sick":                   nil,
			"hold_since_timestamp_seconds": nil,
			"step_duration_seconds":        {"drain drain 1 in 0s", "drain ready 1 in 0s"},
		})
	})
}

// The way from an alert to its step begins with the alert, however long a guard said no.
func TestTheReactionBeginsWithTheAlert(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.probe.set(s1, edge.Yes)
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(40 * time.Second)
		w.probe.set(s1, edge.No) // until now our own probe said that it is well
		w.wait(2 * time.Second)
		w.want(s1, "FDRAIN")
		got := told(t, reg, "reaction_seconds")
		if len(got) != 1 || got[0] < "drain 1 in 40s" || got[0] > "drain 1 in 42s" {
			t.Errorf("the reaction is %v, want one of 40 to 42 seconds", got)
		}
	})
}

// Many sick members of one pool, on as many hosts, are one sick pool.
func TestOnePoolIsOneSickPool(t *testing.T) {
	prepare := func(w *world) {
		w.device.change(func() {
			for i, m := range []edge.Member{s1, s2} {
				st := w.device.states[m]
				st.Address = fmt.Sprintf("192.0.2.%d:80", i+1)
				w.device.states[m] = st
			}
		})
	}
	inWorldWith(t, prepare, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.fail(s1)
		w.fail(s2)
		w.wait(time.Second)
		if d := cmp.Diff([]string{"held 0", "sick_pools 1", "steps 0"}, told(t, reg, "budget_used")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"edge1 shop 2"}, told(t, reg, "brake_sick")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// A brake that is off has no limit to tell of.
func TestNoBrakeNoLimit(t *testing.T) {
	inWorld(t, func(c *Config) { c.Brake.Off = true }, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.fail(s1)
		w.wait(time.Second)
		if got := slices.Concat(told(t, reg, "brake_sick"), told(t, reg, "brake_limit")); got != nil {
			t.Errorf("told of a brake that is off: %v", got)
		}
		if d := cmp.Diff([]string{"held 10", "steps 20"}, told(t, reg, "budget_limit")); d != "" {
			t.Errorf("budgets (-want +got):\n%s", d)
		}
	})
}

// Where entries of one policy rule one pool differently the most careful is told, a
// bypass takes nobody out, and a share is a share of regular members.
func TestRoomIsThatOfTheMostCareful(t *testing.T) {
	change := func(c *Config) {
		p := c.Policies[0]
		p.MinServing, p.MaxHeld = "50%", 3
		one, rest := p, p
		one.Members.Member, one.MinServing, one.MaxHeld = "s1", "1", 2
		c.Policies = []Policy{one, rest, {
			Name: "round", To: "bypass", Confirm: "probe", Bypass: &Bypass{Standby: []string{"s9"}}, Members: Members{Pool: "shop"},
		}}
	}
	prepare := func(w *world) {
		w.device.change(func() {
			for name, st := range map[string]edge.State{"s4": {Backup: true}, "s5": {Settled: true}} {
				st.Member, st.Admin = member(name), edge.Ready
				w.device.states[st.Member] = st
			}
		})
	}
	inWorldWith(t, prepare, change, func(w *world) {
		w.wait(time.Minute)
		got := w.r.set.rooms(w.r.flowOf("edge1").pools())
		want := map[edge.Pool]room{{Device: "edge1", Name: "shop"}: {base: 3, policies: map[string]bounds{"drain": {least: 2, most: 2}}}}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(room{}, bounds{})); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		many := map[edge.Pool]census{}
		for i := range mostPools + 1 {
			p := edge.Pool{Device: "edge1", Name: fmt.Sprint("shop", i)}
			many[p] = census{members: []edge.Member{{Device: p.Device, Pool: p.Name, Name: "s1"}}, base: 1}
		}
		rest := &w.r.set.cfg.Policies[1].Members
		rest.pool = rest.device // as that: all
		w.r.flowOf("edge1").counted = many
		reg := prometheus.NewRegistry()
		reg.MustRegister(w.r)
		if n := len(told(t, reg, "min_serving")); n != mostPools {
			t.Errorf("%d series, want %d", n, mostPools)
		}
	})
}

// What isn't read back as out is held since no moment.
func TestAHoldThatIsUnderWayHasNoAge(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ch := make(chan prometheus.Metric, 100)
		w.r.collectRoom(ch, []journal.Hold{{Member: s1, Policy: "drain", Phase: journal.Applying}})
		close(ch)
		for m := range ch {
			if m.Desc() == descHeldSince {
				t.Errorf("it is told of: %v", m)
			}
		}
	})
}

// The oldest alert that nobody silenced is the one that waited, and its way is
// measured once. A clock that runs ahead makes no negative time.
func TestTheClockOfAStep(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		k := &keeper{r: &Remediator{metrics: newMetrics(reg, w.r)}, clocks: map[edge.Member]clock{}}
		now := time.Now()
		h := &journal.Hold{Member: s1, Policy: "drain"}
		ask := func(starts ...time.Duration) {
			tg := &target{member: s1}
			for i, ago := range starts {
				tg.claims = append(tg.claims, claims.Claim{StartsAt: now.Add(-ago), Suppressed: i == 0})
			}
			tg.claims = append(tg.claims, claims.Claim{}) // of a source that doesn't tell
			k.asked(tg)
			k.sending(s1)
			k.confirmed(h, edge.Drain)
			k.confirmed(h, edge.Drain) // by whatever way it is read back again
		}
		ask(time.Hour, 10*time.Second, 30*time.Second)
		if d := cmp.Diff([]string{"drain 1 in 30s"}, told(t, reg, "reaction_seconds")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		ask(time.Hour, -time.Minute)
		if d := cmp.Diff([]string{"drain 2 in 30s"}, told(t, reg, "reaction_seconds")); d != "" {
			t.Errorf("an alert of the future (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"drain drain 2 in 0s"}, told(t, reg, "step_duration_seconds")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// A policy that comes with a reload has its series before it takes its first step.
func TestAReloadBringsItsSeries(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		more := Config{Mode: Auto, Journal: w.path, Alertmanagers: w.cfg.Alertmanagers}
		for name, to := range map[string]string{"drain": "drain", "park": "maint"} {
			more.Policies = append(more.Policies, Policy{Name: name, To: to, MinServing: "1", Members: Members{Pool: "shop"}})
		}
		if m := more.Validate([]string{"edge1"}, []string{"shop"}); len(m) > 0 {
			t.Fatal(m)
		}
		if err := w.r.Apply(Options{Config: &more, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"drain 0 in 0s", "park 0 in 0s"}, told(t, reg, "reaction_seconds")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}
