package remediator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
)

// simAlerts are a Prometheus that notices, two Alertmanagers that know, and the
// way of their messages, on which things get lost, doubled, late and mixed up.
type simAlerts struct {
	s     *simRun
	rules map[edge.Member]*simAlert
	peers []*simPeer
	queue []simMessage
	next  time.Time // repetition
}

// A simAlert is the alert on one member.
type simAlert struct {
	labels   map[string]string
	firing   bool
	starts   time.Time
	turned   time.Time // since when its condition differs from what it says
	stuck    bool      // it stays as it is, whatever the member does
	silenced bool
}

// A simPeer is one Alertmanager.
type simPeer struct {
	name  string
	known map[edge.Member]time.Time // when it last heard that the alert fires
	since time.Time                 // it runs
	down  time.Time                 // it doesn't answer until then
}

type simMessage struct {
	at   time.Time
	body []byte
	keys map[string]bool // of good alerts, and whether they fire
}

func newSimAlerts(s *simRun) *simAlerts {
	a := &simAlerts{s: s, rules: map[edge.Member]*simAlert{}}
	for _, d := range s.devices {
		for i, pool := range d.pools {
			for _, x := range d.in(pool) {
				m := x.st.Member
				a.rules[m] = &simAlert{labels: map[string]string{
					"alertname": "MemberFailing", "device": m.Device, "pool": m.Pool, "member": m.Name, "remediation": d.policies[i],
				}}
			}
			if d.hasWayRound(pool) {
				m := edge.Member{Device: d.name, Pool: pool}
				a.rules[m] = &simAlert{labels: map[string]string{"alertname": "PoolBypass", "device": d.name, "pool": pool, "remediation": simBypass}}
			}
		}
	}
	for i := range 2 {
		a.peers = append(a.peers, &simPeer{
			name: fmt.Sprintf("http://192.0.2.%d:9093", i+1), known: map[edge.Member]time.Time{}, since: time.Now().Add(-time.Hour),
		})
	}
	return a
}

// tick lets rules notice, Alertmanagers hear and messages arrive.
func (a *simAlerts) tick() {
	now, s := time.Now(), a.s
	s.mu.Lock()
	var changed []edge.Member
	for _, m := range simSorted(a.rules) {
		r := a.rules[m]
		ill := s.ill(m)
		if r.stuck || r.firing == ill {
			r.turned = time.Time{}
			continue
		}
		if r.turned.IsZero() {
			r.turned = now.Add(time.Duration(s.rng.IntN(15_000)) * time.Millisecond)
		}
		if now.Before(r.turned) {
			continue
		}
		a.turn(m, ill)
		changed = append(changed, m)
	}
	if len(changed) > 0 {
		a.send(changed)
	}
	if now.After(a.next) {
		a.next = now.Add(61 * time.Second)
		a.repeat()
	}
	due := a.due(now)
	s.mu.Unlock()
	for _, m := range due {
		s.post(m)
	}
}

// turn makes an alert fire or end.
func (a *simAlerts) turn(m edge.Member, firing bool) {
	r := a.rules[m]
	r.firing, r.turned = firing, time.Time{}
	if firing {
		r.starts = time.Now()
		a.s.ledger.alerted[m] = true
	}
	a.s.log("alert", "%s %s", m, map[bool]string{true: "fires", false: "ends"}[firing])
	for _, p := range a.peers {
		switch {
		case !a.s.calm && a.s.oneIn(12): // lost; repeated within a minute
		case firing:
			p.known[m] = time.Now()
		default:
			delete(p.known, m)
		}
	}
}

// repeat is what Prometheus and Alertmanager say again each minute.
func (a *simAlerts) repeat() {
	var firing []edge.Member
	for _, m := range simSorted(a.rules) {
		if a.rules[m].firing {
			firing = append(firing, m)
		}
		for _, p := range a.peers {
			switch {
			case a.rules[m].firing && (a.s.calm || !a.s.oneIn(12)):
				p.known[m] = time.Now()
			case time.Since(p.known[m]) > 4*time.Minute: // Alertmanager ends it by itself
				delete(p.known, m)
			}
		}
	}
	if len(firing) > 0 || a.s.oneIn(3) {
		a.send(firing)
	}
}

// send puts a message on its way.
func (a *simAlerts) send(about []edge.Member) {
	s := a.s
	alerts := []map[string]any{}
	keys := map[string]bool{}
	for _, m := range about {
		r := a.rules[m]
		one := map[string]any{"status": "resolved", "labels": r.labels, "startsAt": r.starts, "endsAt": time.Now()}
		if r.firing {
			one["status"] = "firing"
			delete(one, "endsAt")
		}
		alerts = append(alerts, one)
		keys[claims.Key(r.labels)] = r.firing
	}
	if s.oneIn(4) { // what is nobody's business, and what can't be understood
		alerts = append(alerts, simPick(s.rng, simJunk))
	}
	s.rng.Shuffle(len(alerts), func(i, j int) { alerts[i], alerts[j] = alerts[j], alerts[i] })
	body, err := json.Marshal(map[string]any{"version": "4", "receiver": "sluice", "alerts": alerts})
	if err != nil {
		panic(err) // texts and times alone
	}
	copies, late := 1, time.Duration(0)
	if !s.calm {
		copies = simPick(s.rng, []int{0, 1, 1, 1, 1, 1, 1, 2})
	}
	for range copies {
		if !s.calm && s.oneIn(5) {
			late = time.Duration(s.rng.IntN(50_000)) * time.Millisecond
		}
		a.queue = append(a.queue, simMessage{time.Now().Add(late), body, keys})
	}
}

// simJunk are alerts that name nothing, too much, or something that isn't there.
var simJunk = []map[string]any{
	{"status": "firing", "labels": map[string]any{"alertname": "Other"}},
	{"status": "firing", "labels": map[string]any{"remediation": "drain"}},
	{"status": "firing", "labels": map[string]any{"remediation": "drain", "device": "edge1", "pool": "", "member": ""}},
	{"status": "firing", "labels": map[string]any{"remediation": "drain", "device": "edge1", "pool": "pool1"}},
	{"status": "firing", "labels": map[string]any{"remediation": "drain", "device": "edge1", "pool": ".*", "member": ".*"}},
	{"status": "firing", "labels": map[string]any{"remediation": "drain", "device": "edge1", "pool": "pool1", "member": "s1\ns2"}},
	{"status": "firing", "labels": map[string]any{"remediation": "nobody", "device": "edge1", "pool": "pool1", "member": "s1"}},
	{"status": "firing", "labels": map[string]any{"remediation": "watchdog", "alertname": "Watchdog"}},
	{"status": "perhaps", "labels": map[string]any{"remediation": "drain"}},
	{"status": "firing", "labels": map[string]any{"remediation": 1}},
	{"status": "firing"},
}

// due takes what arrives now off the queue.
func (a *simAlerts) due(now time.Time) (out []simMessage) {
	a.queue = slices.DeleteFunc(a.queue, func(m simMessage) bool {
		if m.at.After(now) {
			return false
		}
		out = append(out, m)
		return true
	})
	return out
}

// post hands a message to the webhook, and looks whether it was kept whole
// (SAFETY.md I24): what an alert beside it says makes no difference.
func (s *simRun) post(m simMessage) {
	p := s.proc
	if s.site != nil {
		p = s.site.anybody(s)
	}
	if p == nil || p.dead.Load() {
		return // it is repeated
	}
	s.stats.Messages++
	w, posted := httptest.NewRecorder(), time.Now()
	done := make(chan struct{})
	answered := false
	go func() {
		defer close(done)
		r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(m.body))
		p.handler.ServeHTTP(w, r)
		answered = true
	}()
	<-done
	if answered {
		s.judgeMessage(m, posted, w.Code)
	}
}

// A simReader reads the two Alertmanagers as one life of the remediator does.
type simReader struct {
	s    *simRun
	life *simProcess
}

// Read is [claims.Reader]'s.
func (r simReader) Read(ctx context.Context) claims.View {
	r.life.stall()
	dice := r.s.roll("claims", edge.Member{})
	err := simPause(ctx, time.Duration(1+dice.IntN(30_000))*time.Microsecond)
	r.life.mustLive()
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	v := r.s.am.view(dice)
	if err != nil {
		return claims.View{At: time.Now()}
	}
	r.s.ledger.viewed(v)
	return v
}

// view is what the Alertmanagers say: a claim that one has is a claim.
func (a *simAlerts) view(_ *rand.Rand) claims.View {
	now := time.Now()
	v := claims.View{At: now}
	found := map[string]claims.Claim{}
	for _, p := range a.peers {
		src := claims.Source{Name: p.name}
		switch {
		case now.Before(p.down):
			src.Blind = "no answer in time"
		case now.Sub(p.since) < claims.DefaultYoung:
			src.Blind = "runs for less than 3m0s"
		}
		v.Sources = append(v.Sources, src)
		if src.Blind != "" {
			v.Blind = append(v.Blind, p.name+": "+src.Blind)
		}
		if now.Before(p.down) {
			continue
		}
		for m, at := range p.known {
			c, ok := new(claims.Mapping).Claim(a.rules[m].labels)
			if !ok {
				continue
			}
			c.Source, c.StartsAt, c.UpdatedAt, c.SeenAt = p.name, a.rules[m].starts, at, now
			if a.rules[m].silenced {
				c.Suppressed, c.SilencedBy = true, []string{"silence-1"}
			}
			if have, ok := found[c.Key]; ok && have.UpdatedAt.After(c.UpdatedAt) {
				continue
			}
			c.Quiet = now.Sub(at) > claims.QuietAfter
			found[c.Key] = c
		}
	}
	for _, c := range found {
		v.Claims = append(v.Claims, c)
	}
	slices.SortFunc(v.Claims, func(a, b claims.Claim) int { return strings.Compare(a.Key, b.Key) })
	return v
}
