package remediator

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// announce begins a drill on s1, whose alert isn't there yet.
func (w *world) announce() DrillView {
	w.t.Helper()
	d, err := w.r.Announce(control.Drill{Member: s1, Actor: "ann"})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// hook has the webhook tell of an alert.
func (w *world) hook(firing bool, labels map[string]string) {
	w.t.Helper()
	status := map[bool]string{true: "firing", false: "resolved"}[firing]
	body, err := json.Marshal(map[string]any{"version": "4", "receiver": "sluice", "alerts": []any{
		map[string]any{"status": status, "labels": labels, "startsAt": time.Now(), "endsAt": time.Now()},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	w.r.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/webhook", strings.NewReader(string(body))))
	if rec.Code != http.StatusOK {
		w.t.Fatalf("webhook: %d %s", rec.Code, rec.Body)
	}
}

func valueOf(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func (w *world) drill(id string) DrillView {
	w.t.Helper()
	d, err := w.r.Drill(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// wantNothingDone makes sure that nothing that is marked counted for anything.
func (w *world) wantNothingDone() {
	w.t.Helper()
	w.wantWrites(0)
	if st := w.r.Status(); st.Claims != 0 || len(st.Holds) != 0 || len(st.Candidates) != 0 {
		w.t.Errorf("it counts: %d claims, holds %v, candidates %v", st.Claims, st.Holds, st.Candidates)
	}
	w.r.ledger.mu.Lock()
	defer w.r.ledger.mu.Unlock()
	if n := len(w.r.ledger.onsets); n != 0 {
		w.t.Errorf("it counts as %d members that fell sick", n)
	}
	hints, err := w.r.journal.Hints()
	if err != nil || len(hints) != 0 {
		w.t.Errorf("it is kept as a hint: %v, %v", hints, err)
	}
}

// I2, I4, I22, I23: the member is bad and everything would let it go, but the alert is a drill's.
func TestADrillIsNoClaim(t *testing.T) {
	inWorld(t, func(c *Config) { c.Policies[0].Confirm = "none" }, func(w *world) {
		w.probe.set(s1, edge.No)
		d := w.announce()
		w.alerts.claim(d.Labels)
		w.hook(true, d.Labels)
		w.r.Wake()
		w.wait(time.Minute)
		w.wantNothingDone()
		if n := valueOf(t, w.r.metrics.webhookAlerts.WithLabelValues("wanted")); n != 0 {
			t.Errorf("%v alerts of a drill count as wanted", n)
		}
		got := w.drill(d.ID)
		if got.Fired == nil || got.Fired.Receiver != "sluice" || got.Claimed == nil || got.Claimed.Source != "am" || got.Judged == nil {
			t.Fatalf("it didn't see all of it: %+v", got)
		}
		var decision guard.Decision
		if err := json.Unmarshal(got.Judged.Decision, &decision); err != nil || len(decision.Findings) < 10 {
			t.Errorf("it doesn't say what each guard says: %s, %v", got.Judged.Decision, err)
		}
		if got.Judged.Would != "put it in drain" {
			t.Errorf("it would %s", got.Judged.Would)
		}
		w.wantNothingDone() // nor has the question done anything

		w.alerts.drop(d.Labels)
		w.hook(false, d.Labels)
		w.wait(time.Minute)
		end, err := w.r.EndDrill(d.ID, "ann")
		if err != nil || end.Resolved == nil || end.Gone.IsZero() || end.Result != "complete" {
			t.Errorf("its end: %+v, %v", end, err)
		}
		es, err := w.r.journal.Entries(journal.Query{Event: journal.EventDrill})
		if err != nil || len(es) != 2 || es[0].Result != "announced" || es[1].Result != "complete" || es[1].Actor != "ann" || len(es[1].Decision) == 0 ||
			!strings.Contains(es[1].Detail, "it would put it in drain") {
			t.Errorf("recorded: %+v, %v", es, err)
		}
		w.wantNothingDone()
	})
}

// I2, I23, I26: a mark that isn't known, or stands on another alert, is heard of.
func TestAMarkThatNobodyAnnouncedIsRefusedAndARealAlertCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		mark func(w *world) map[string]string
		text string
	}{
		{"a mark that was never announced", func(*world) map[string]string {
			return map[string]string{"alertname": "MemberFailing", "device": "edge1", "pool": "shop", "member": "s1", "remediation": "drain", "sluice_drill": "d0123"}
		}, "nobody announced it"},
		{"a known mark on another member", func(w *world) map[string]string {
			ls := maps.Clone(w.announce().Labels)
			ls["member"] = "s2"
			return ls
		}, "not those that were announced"},
		{"a known mark on a rule's alert", func(w *world) map[string]string {
			ls := maps.Clone(w.announce().Labels)
			ls["alertname"] = "MemberFailing"
			return ls
		}, "not those that were announced"},
		{"a drill that was over long ago", func(w *world) map[string]string {
			ls := w.announce().Labels
			w.wait(drillLasts + drillKnown + time.Second)
			return ls
		}, "it was over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.probe.set(s1, edge.No)
				w.probe.set(s2, edge.No)
				ls := c.mark(w)
				w.alerts.claim(ls)
				w.hook(true, ls)
				w.r.Wake()
				w.wait(time.Minute)
				w.wantNothingDone()
				es, err := w.r.journal.Entries(journal.Query{Event: "refusal"})
				if err != nil || len(es) != 1 || es[0].Reason != unknownDrill || !strings.Contains(es[0].Detail, c.text) {
					t.Errorf("refusals: %+v, %v", es, err)
				}
				if n := valueOf(t, w.r.metrics.refusals.WithLabelValues("inventory", unknownDrill)); n < 2 {
					t.Errorf("it is counted %v times", n)
				}
				w.probe.set(s2, edge.Yes) // so that s1 may go
				w.alerts.fire(s1)         // the real thing, beside it
				w.r.Wake()
				w.wait(time.Second)
				w.want(s1, "FDRAIN")
			})
		})
	}
}

// I22: a webhook that tells of a drill alone makes nobody look.
func TestADrillsWebhookWakesNobody(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		d := w.announce()
		w.wait(time.Second)
		w.probe.set(s1, edge.No)
		w.alerts.fire(s1) // the clock is to find it
		w.hook(true, d.Labels)
		w.wait(time.Second)
		w.wantWrites(0)
		w.wait(20 * time.Second)
		w.want(s1, "FDRAIN")
	})
}

// I22: a marked Watchdog proves nothing about the way of the real one.
func TestAMarkedWatchdogIsNoSignOfLife(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.hook(true, map[string]string{"alertname": "Watchdog", "remediation": claims.Watchdog, "sluice_drill": "d0123"})
		w.r.mu.Lock()
		defer w.r.mu.Unlock()
		if !w.r.watchdog.IsZero() {
			t.Error("it counts")
		}
	})
}

// I7, I22: a silence covers the drill as it would the real alert, and that is told.
func TestASilencedDrillIsJudgedAsSilenced(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.probe.set(s1, edge.No)
		d := w.announce()
		w.alerts.claim(d.Labels)
		w.alerts.silence(s1)
		w.r.Wake()
		w.wait(time.Second)
		if got := w.drill(d.ID); got.Claimed == nil || !got.Claimed.Suppressed || got.Judged == nil || !strings.HasPrefix(got.Judged.Would, "refuse: silence") {
			t.Errorf("%+v, %+v", got.Claimed, got.Judged)
		}
		x, err := w.r.Explain(w.t.Context(), d.Labels)
		if err != nil || len(x.Members) != 0 || len(x.Notes) != 1 || !strings.Contains(x.Notes[0], "marked as a drill's") {
			t.Errorf("explained: %+v, %v", x, err)
		}
		w.wantNothingDone()
	})
}

// I22: where the webhook itself is the claim, a drill is none either.
func TestADrillWithoutAnAlertmanagersAPI(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.stop()
		w.cfg.Alertmanagers = nil
		w.run(Options{Config: w.cfg, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}, Authenticated: true}, nil)
		w.wait(time.Second)
		w.probe.set(s1, edge.No)
		d := w.announce()
		if len(d.Alertmanagers) != 0 {
			t.Errorf("Alertmanagers: %q", d.Alertmanagers)
		}
		w.hook(true, d.Labels)
		w.wait(time.Minute)
		w.wantNothingDone()
		if got := w.drill(d.ID); got.Claimed == nil || got.Claimed.Source != "webhook" || got.Judged == nil {
			t.Errorf("not seen: %+v", got)
		}
		w.hook(false, d.Labels)
		if end, err := w.r.EndDrill(d.ID, "ann"); err != nil || end.Result != "complete" || end.Gone.IsZero() {
			t.Errorf("its end: %+v, %v", end, err)
		}
		genuine := maps.Clone(d.Labels)
		delete(genuine, "sluice_drill")
		w.hook(true, genuine)
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
	})
}

// I11, I18: an announcement outlives the process, and a restart makes no claim of its alert.
func TestADrillSurvivesARestart(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.probe.set(s1, edge.No)
		d := w.announce()
		w.alerts.claim(d.Labels)
		w.restart()
		w.wait(time.Minute)
		w.wantNothingDone()
		if got := w.drill(d.ID); got.Claimed == nil {
			t.Error("it isn't seen any more")
		}
		if rs := w.results(s1); len(rs) != 1 || rs[0] != " announced" {
			t.Errorf("results: %q", rs)
		}
	})
}

// I23: a drill that nobody ends is recorded too, with what was missing.
func TestADrillThatIsLeftAloneIsRecorded(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		d := w.announce()
		w.wait(drillLasts + drillKnown + time.Minute)
		es, err := w.r.journal.Entries(journal.Query{Event: journal.EventDrill})
		if err != nil || len(es) != 2 || es[1].Result != "incomplete" || !strings.Contains(es[1].Detail, "no webhook came; no claim was seen") {
			t.Errorf("recorded: %+v, %v", es, err)
		}
		if got := w.drill(d.ID); got.Running || got.Result != "incomplete" {
			t.Errorf("it goes on: %+v", got)
		}
	})
}

// I22: a webhook counts for the very alert that was announced, and while the drill lasts.
func TestADrillHearsOfItsOwnAlertAlone(t *testing.T) {
	inHands(t, nil, func(w *world) {
		d := w.announce()
		others := maps.Clone(d.Labels)
		others["severity"] = "page"
		w.hook(true, others)
		w.hook(false, d.Labels) // an end without a beginning
		if got := w.drill(d.ID); got.Fired != nil || got.Resolved != nil {
			t.Errorf("got %+v, %+v", got.Fired, got.Resolved)
		}
		if _, err := w.r.EndDrill(d.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		w.hook(true, d.Labels)
		if got := w.drill(d.ID); got.Fired != nil || got.Result != "incomplete" {
			t.Errorf("after its end: %+v", got)
		}
	})
}

// I6, I23: what a blind source doesn't show isn't gone, and what no source showed isn't complete.
func TestADrillIsNoMoreThanWasSeenOfIt(t *testing.T) {
	inHands(t, nil, func(w *world) {
		d := w.announce()
		w.alerts.claim(d.Labels)
		w.wait(time.Minute)
		w.alerts.mu.Lock()
		w.alerts.blind = "it was restarted"
		w.alerts.mu.Unlock()
		w.wait(time.Minute)
		if got := w.drill(d.ID); got.Claimed == nil || !got.Gone.IsZero() {
			t.Errorf("got %+v", got)
		}
		d = w.announce()
		w.hook(true, d.Labels)
		w.drill(d.ID) // is judged
		w.hook(false, d.Labels)
		got, err := w.r.EndDrill(d.ID, "ann")
		if err != nil || got.Judged == nil || got.Resolved == nil || got.Claimed != nil || got.Result != "incomplete" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// I23: one that is announced to another replica is no other.
func TestADrillOfAnotherReplicaIsRecorded(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) { o.Coordinator = newOffice(true) }, nil)
		w.wait(time.Minute)
		now := time.Now()
		d := journal.Drill{
			ID: "d1", Member: s1, Policy: "drain", Actor: "ann", At: now, Ends: now.Add(drillLasts), Until: now.Add(drillLasts + drillKnown),
			Labels: map[string]string{"device": "edge1", "pool": "shop", "member": "s1", "remediation": "drain", edge.LabelDrill: "d1"},
		}
		if err := w.r.journal.Announce(d); err != nil {
			t.Fatal(err)
		}
		w.alerts.claim(d.Labels)
		w.wait(time.Minute)
		w.alerts.drop(d.Labels)
		w.wait(drillLasts + drillKnown)
		got, err := w.r.journal.Drill("d1")
		if err != nil || got.Claimed == nil || got.Gone.IsZero() || got.Result != "incomplete" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// I3: drills are bounded, in number and in what they may say.
func TestDrillsAreBounded(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, c := range []struct {
			name string
			d    control.Drill
			err  error
		}{
			{"no such device", control.Drill{Member: edge.Member{Device: "x", Pool: "shop", Name: "s1"}}, ErrNoDevice},
			{"no policy selects it", control.Drill{Member: edge.Member{Device: "edge1", Pool: "other", Name: "s1"}}, ErrDrill},
			{"no such policy", control.Drill{Member: s1, Policy: "x"}, ErrDrill},
			{"a label of the drill's own", control.Drill{Member: s1, Labels: map[string]string{"sluice_drill": "x"}}, ErrDrill},
			{"a label that isn't one", control.Drill{Member: s1, Labels: map[string]string{"a b": "x"}}, ErrDrill},
			{"one label and one policy", control.Drill{Member: s1, Policy: "drain", Labels: map[string]string{"severity": "page"}}, nil},
		} {
			if _, err := w.r.Announce(c.d); !errors.Is(err, c.err) {
				t.Errorf("%s: %v, want %v", c.name, err, c.err)
			}
		}
		for range 3 {
			w.announce()
		}
		if _, err := w.r.Announce(control.Drill{Member: s1, Actor: "ann"}); !errors.Is(err, journal.ErrDrills) {
			t.Errorf("a fifth: %v", err)
		}
	})
}
