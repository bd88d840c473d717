package remediator

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/announce"
	"github.com/sluice-project/sluice/remediator/claims"
)

// people are those whom an Alertmanager would tell.
type people struct {
	mu    sync.Mutex
	fires map[string]announce.Message // as they were said last, by name, member and what else tells apart
	heard []string                    // each beginning and end
}

// Name is [announce.Poster]'s.
func (p *people) Name() string { return "http://192.0.2.1:9093" }

// Post is [announce.Poster]'s.
func (p *people) Post(_ context.Context, all []announce.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, m := range all {
		key := m.Labels["alertname"] + " " + m.Labels["member"]
		if g := m.Labels["guard"]; g != "" {
			key += " " + g + "/" + m.Labels["reason"]
		}
		was, known := p.fires[key]
		fired := known && was.Ends.After(now)
		switch fires := m.Ends.After(now); {
		case fires && !fired:
			p.heard = append(p.heard, key)
		case !fires && fired:
			p.heard = append(p.heard, "over: "+key)
		case !known:
			p.heard = append(p.heard, "never begun: "+key)
		}
		p.fires[key] = m
	}
	return nil
}

func (p *people) want(t *testing.T, heard ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if diff := cmp.Diff(heard, p.heard); diff != "" {
		t.Errorf("people heard (-want +got):\n%s", diff)
	}
	p.heard = nil
}

// inTown is a world in which people are told.
func inTown(t *testing.T, change func(*Config), f func(*world)) {
	t.Helper()
	inWorldWith(t, func(w *world) { w.people = &people{fires: map[string]announce.Message{}} }, change, f)
}

func TestPeopleHearOfAStepUntilItIsGivenBack(t *testing.T) {
	inTown(t, nil, func(w *world) {
		w.wait(20 * time.Second)
		w.people.want(t)
		w.fail(s1)
		w.wait(2 * time.Second)
		w.want(s1, "FDRAIN")
		w.people.want(t, "SluiceStep s1")
		m := w.people.fires["SluiceStep s1"]
		want := map[string]string{
			"alertname": "SluiceStep", "severity": "info", "announced_by": "sluice", "policy": "drain", "to": "drain",
			"device": "edge1", "pool": "shop", "member": "s1",
		}
		if diff := cmp.Diff(want, m.Labels); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
		if d := m.Annotations["description"]; !strings.Contains(d, "as the test says") || !strings.Contains(d, "2 others serve, min_serving 2 of 3") {
			t.Errorf("description: %s", d)
		}
		w.restart()
		w.wait(10 * time.Minute)
		w.restart()
		w.wait(time.Minute)
		w.people.want(t) // what goes on is no news
		if ends := w.people.fires["SluiceStep s1"].Ends; time.Until(ends) < 3*time.Minute {
			t.Errorf("it ends by itself in %s", time.Until(ends))
		}
		w.recover(s1)
		w.wait(30 * time.Second)
		w.want(s1, "")
		w.people.want(t, "over: SluiceStep s1")
		w.restart()
		w.wait(10 * time.Minute)
		w.people.want(t)
	})
}

func TestPeopleHearOfARefusalOnceItLasts(t *testing.T) {
	inTown(t, func(c *Config) { c.Policies[0].MinServing = "3" }, func(w *world) {
		w.fail(s1)
		w.wait(50 * time.Second)
		w.people.want(t)
		w.restart()
		w.wait(15 * time.Second) // it is refused for a minute by now, whoever refuses
		w.people.want(t, "SluiceRefused s1 min_serving/too_few_left")
		w.wait(10 * time.Minute)
		w.people.want(t)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.people.want(t, "over: SluiceRefused s1 min_serving/too_few_left")
		w.fail(s2)
		w.wait(40 * time.Second)
		w.recover(s2)
		w.wait(5 * time.Minute)
		w.people.want(t)
	})
}

func TestWhatPeopleDidThemselvesIsNotAnnounced(t *testing.T) {
	inTown(t, nil, func(w *world) {
		w.freeze()
		w.fail(s1)
		w.wait(10 * time.Minute)
		w.people.want(t)
	})
}

func TestInModesThatOnlyLookNothingIsAnnounced(t *testing.T) {
	for _, mode := range []string{Observe, DryRun} {
		inTown(t, func(c *Config) { c.Mode, c.Policies[0].MinServing = mode, "3" }, func(w *world) {
			w.fail(s1)
			w.wait(10 * time.Minute)
			w.people.want(t)
		})
	}
}

func TestPeopleHearOfAStepThatWaitsForThem(t *testing.T) {
	inTown(t, func(c *Config) { c.Mode = Approve }, func(w *world) {
		w.fail(s1)
		w.wait(2 * time.Second)
		w.people.want(t, "SluiceApprovalWaits s1")
		w.restart()
		w.wait(5 * time.Minute)
		w.people.want(t)
		if err := w.r.Answer(t.Context(), s1, true, "ann", "yes"); err != nil {
			t.Fatal(err)
		}
		w.wait(2 * time.Second)
		w.want(s1, "FDRAIN")
		w.people.mu.Lock()
		slices.Sort(w.people.heard)
		w.people.mu.Unlock()
		w.people.want(t, "SluiceStep s1", "over: SluiceApprovalWaits s1")

		w.recover(s1)
		w.wait(30 * time.Second)
		w.people.want(t, "over: SluiceStep s1")
		w.fail(s2)
		w.wait(2 * time.Second)
		w.people.want(t, "SluiceApprovalWaits s2")
		if err := w.r.Answer(t.Context(), s2, false, "ann", "no"); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Minute)
		w.people.want(t, "over: SluiceApprovalWaits s2")
		w.recover(s2)
		w.wait(30 * time.Second)
		w.fail(s3)
		w.wait(2 * time.Second)
		w.recover(s3) // moot
		w.wait(20 * time.Second)
		w.people.want(t, "SluiceApprovalWaits s3", "over: SluiceApprovalWaits s3")
	})
}

func TestPeopleHearOfStepsThatComeToNothing(t *testing.T) {
	inTown(t, nil, func(w *world) {
		w.device.change(func() { w.device.deaf = true })
		w.fail(s1)
		w.wait(8 * time.Second) // at once, and after 4 s
		w.people.want(t)
		w.wait(10 * time.Second) // and after 8 more
		w.people.want(t, "SluiceStepFailed s1")
		w.restart()
		w.wait(12 * time.Minute)
		w.people.want(t)
		w.device.change(func() { w.device.deaf = false })
		w.wait(6 * time.Minute)
		w.want(s1, "FDRAIN")
		slices.Sort(w.people.heard)
		w.people.want(t, "SluiceStep s1", "over: SluiceStepFailed s1")
	})
}

func TestTheEndOfAClaimEndsWhatIsSaidOfItsSteps(t *testing.T) {
	inTown(t, nil, func(w *world) {
		w.device.change(func() { w.device.deaf = true })
		w.fail(s1)
		w.wait(18 * time.Second)
		w.people.want(t, "SluiceStepFailed s1")
		w.restart()
		w.alerts.mu.Lock()
		w.alerts.blind = "as the test says"
		w.alerts.mu.Unlock()
		w.recover(s1)
		w.wait(10 * time.Minute)
		w.people.want(t) // nobody knows
		w.alerts.mu.Lock()
		w.alerts.blind = ""
		w.alerts.mu.Unlock()
		w.wait(30 * time.Second)
		w.people.want(t, "over: SluiceStepFailed s1")
	})
}

func TestADrillIsAnnouncedToNobody(t *testing.T) {
	inTown(t, func(c *Config) { c.Policies[0].MinServing = "3" }, func(w *world) {
		w.alerts.claim(map[string]string{
			"alertname": "SluiceDrill", "device": "edge1", "pool": "shop", "member": "s1", "remediation": "drain", edge.LabelDrill: "d1",
		})
		w.r.Wake()
		w.wait(10 * time.Minute)
		w.people.want(t)
	})
}

func TestWhatIsAnnouncedAsksForNothing(t *testing.T) {
	m, err := claims.NewMapping([]claims.Entry{{Match: []string{`severity="info"`}, Policy: "drain"}})
	if err != nil {
		t.Fatal(err)
	}
	ls := map[string]string{"alertname": "SluiceStep", "severity": "info", "device": "edge1", "pool": "shop", "member": "s1"}
	if !m.Wants(ls) {
		t.Fatal("the entry selects nothing")
	}
	ls[edge.LabelAnnouncedBy] = edge.Announcer
	for _, policy := range []string{"", "drain"} {
		with := maps.Clone(ls)
		with[edge.LabelRemediation] = policy
		if _, claim := m.Claim(with); claim || m.Wants(with) {
			t.Errorf("%v asks for a step", with)
		}
		with[edge.LabelAnnouncedBy] = "ann"
		if _, claim := m.Claim(with); !claim || !m.Wants(with) {
			t.Errorf("%v asks for nothing", with)
		}
	}
}

func TestRefusalsThatTakeTurnsAreOneMessage(t *testing.T) {
	inTown(t, func(c *Config) {
		c.Policies[0].MinServing = "3"
		c.Announce.RefusedFor = model.Duration(30 * time.Second)
	}, func(w *world) {
		w.fail(s1)
		for range 20 { // evidence that comes and goes
			w.probe.set(s1, edge.Yes)
			w.wait(5 * time.Second)
			w.probe.set(s1, edge.No)
			w.wait(5 * time.Second)
		}
		if n := len(w.people.heard); n != 1 || !strings.HasPrefix(w.people.heard[0], "SluiceRefused s1 ") {
			t.Errorf("people heard %q", w.people.heard)
		}
	})
}

// A change of the configuration is no end of what was announced before it, and what
// it brings to an end is told as that.
func TestAReloadEndsNothingButWhatItMends(t *testing.T) {
	inTown(t, func(c *Config) { c.Policies[0].MinServing = "3" }, func(w *world) {
		w.fail(s1)
		w.wait(2 * time.Minute)
		w.people.want(t, "SluiceRefused s1 min_serving/too_few_left")
		apply := func(minServing string) {
			t.Helper()
			cfg := *w.cfg
			cfg.Policies = slices.Clone(cfg.Policies)
			cfg.Policies[0].MinServing, cfg.Policies[0].ApprovalTTL = minServing, 0 // which is filled in
			if m := cfg.Validate([]string{"edge1"}, []string{"shop"}); len(m) > 0 {
				t.Fatal(m)
			}
			if err := w.r.Apply(Options{Config: &cfg, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}}); err != nil {
				t.Fatal(err)
			}
		}
		apply("100%")
		w.wait(2 * time.Minute)
		w.people.want(t)
		apply("2")
		w.wait(40 * time.Second) // our probes count as configured anew: the brake settles
		w.want(s1, "FDRAIN")
		slices.Sort(w.people.heard)
		w.people.want(t, "SluiceStep s1", "over: SluiceRefused s1 min_serving/too_few_left")
	})
}

// become replaces the configuration while running.
func (w *world) become(devices map[string]Device, change func(*Config)) {
	w.t.Helper()
	cfg := *w.cfg
	cfg.Policies = slices.Clone(cfg.Policies)
	cfg.Policies[0].ApprovalTTL, cfg.Policies[0].Mode = 0, "" // which are filled in
	change(&cfg)
	if m := cfg.Validate(slices.Sorted(maps.Keys(devices)), []string{"shop"}); len(m) > 0 {
		w.t.Fatal(m)
	}
	if err := w.r.Apply(Options{Config: &cfg, Devices: devices, Checks: []Check{w.probe}}); err != nil {
		w.t.Fatal(err)
	}
}

// Who switches it off is told no more, and what was begun ends by itself; switched on
// again before that, it goes on.
func TestAnnouncementsAreSwitchedOffAndOn(t *testing.T) {
	inTown(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(2 * time.Second)
		w.people.want(t, "SluiceStep s1")
		same := map[string]Device{"edge1": w.device}
		off := func(c *Config) {
			if err := yaml.Unmarshal([]byte("off"), &c.Announce); err != nil {
				t.Fatal(err)
			}
		}
		w.become(same, off)
		w.wait(3 * time.Minute)
		w.become(same, func(*Config) {})
		w.wait(time.Minute)
		w.people.want(t)
		w.become(same, off)
		w.wait(10 * time.Minute)
		w.people.want(t)
		if m := w.people.fires["SluiceStep s1"]; m.Ends.After(time.Now()) {
			t.Errorf("it goes on until %s", m.Ends)
		}
		w.become(same, func(*Config) {})
		w.wait(time.Minute)
		w.people.want(t, "SluiceStep s1")
	})
}

// Nobody judges a device that isn't configured any more, and nobody can say when its
// alerts would be over; in a mode that only looks no step would be tried.
func TestAReloadEndsWhatNobodyWouldTry(t *testing.T) {
	for name, change := range map[string]func(*Config, *device){
		"SluiceRefused s1 min_serving/too_few_left": func(c *Config, _ *device) { c.Policies[0].MinServing = "3" },
		"SluiceStepFailed s1":                       func(_ *Config, d *device) { d.deaf = true },
		"SluiceApprovalWaits s1":                    func(c *Config, _ *device) { c.Mode = Approve },
	} {
		for reload, become := range map[string]func(*world){
			"another device": func(w *world) { w.become(map[string]Device{"edge2": newDevice()}, func(*Config) {}) },
			"only observed":  func(w *world) { w.become(map[string]Device{"edge1": w.device}, func(c *Config) { c.Mode = Observe }) },
		} {
			t.Run(name+", "+reload, func(t *testing.T) {
				var d *device
				inWorldWith(t, func(w *world) {
					w.people = &people{fires: map[string]announce.Message{}}
					d = w.device
				}, func(c *Config) { change(c, d) }, func(w *world) {
					w.fail(s1)
					w.wait(2 * time.Minute)
					w.people.want(t, name)
					become(w)
					w.wait(time.Minute)
					w.people.want(t, "over: "+name)
				})
			})
		}
	}
}
