package defects

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter"
)

// Defect 5: one bad answer was down and one good one was up, so a flapping
// backend had the WAF's configuration written every minute.
func TestDefect05OneAnswerIsNoVerdict(t *testing.T) {
	t.Parallel()
	t.Run("one bad answer writes nothing, three do", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 3)...)
		w := usual(t, p.Start(t)).start(t)
		rules := w.alerting(t)
		m := p.members[1]
		m.be(flaps("-++--+")) // never three in a row, the usual fall
		m.askedAgain(t, 20)
		rules.said(t, onShop(m), edge.Unknown)
		p.wrote(t, 0)
		m.be(sick)
		p.becomes(t, m)
		rules.said(t, onShop(m), edge.No)
	})
	t.Run("one good answer gives nothing back", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 3)...)
		m := p.members[1]
		m.be(sick)
		w := usual(t, p.Start(t)).start(t)
		w.claim(true, onShop(m))
		p.becomes(t, m)
		w.claim(false, onShop(m)) // the alert is over, as a flapper's is
		m.be(flaps("+-"))
		m.askedAgain(t, 12)
		p.stays(t, m)
		p.wrote(t, 1)
		m.be(well)
		p.becomes(t)
		p.wrote(t, 2)
	})
	t.Run("well again, and not for long enough", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 3)...)
		m := p.members[1]
		m.be(sick)
		set := usual(t, p.Start(t))
		set.policy().HoldDown = ms(3_600_000)
		w := set.start(t)
		w.claim(true, onShop(m))
		p.becomes(t, m)
		w.claim(false, onShop(m))
		m.be(well)
		m.askedAgain(t, 15)
		p.stays(t, m)
	})
}

// A member that flaps so slowly that each turn is believed doesn't make a write
// each time: an upstream is left alone for min_write_interval.
func TestDefect05AFlapperIsNotWrittenEachTime(t *testing.T) {
	t.Parallel()
	const turn, interval = 600 * time.Millisecond, 1500 * time.Millisecond
	p := newPool(t, newMembers(t, 3)...)
	set := usual(t, p.Start(t))
	set.devices[0].PTAF.MinWriteInterval = ms(int(interval.Milliseconds()))
	set.policy().HoldDown = ms(100)
	w := set.start(t)
	m, turns, last := p.members[1], 0, time.Time{}
	await(t, "four writes", func() bool {
		if time.Since(last) > turn {
			bad := turns%2 == 0
			if m.be(well); bad {
				m.be(sick)
			}
			w.claim(bad, onShop(m))
			turns, last = turns+1, time.Now()
		}
		return len(p.Writes()) >= 4
	})
	writes := p.Writes()
	for i := range writes[1:] {
		if gap := writes[i+1].At.Sub(writes[i].At); gap < interval {
			t.Errorf("%s between two writes, want at least %s", gap, interval)
		}
	}
	if turns <= len(writes) {
		t.Errorf("%d turns and %d writes", turns, len(writes))
	}
}

// flaps answers in that order, again and again: "+" is well and "-" is sick.
func flaps(order string) http.HandlerFunc {
	var mu sync.Mutex
	turn := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		way := map[byte]http.HandlerFunc{'+': well, '-': sick}[order[turn%len(order)]]
		turn++
		mu.Unlock()
		way(w, r)
	}
}

// Rules stand in for Prometheus and Alertmanager with the simplest rule there
// is: what the exporter believes to be down is claimed, at once.
type rules struct {
	mu   sync.Mutex
	last map[string]edge.Answer // member's name -> what was sent of it
}

// alerting runs the read side, and has its verdicts sent to the remediator.
func (w *site) alerting(t *testing.T) *rules {
	t.Helper()
	e, err := exporter.New(exporter.Options{Config: &w.set.read, Fleet: w.fleet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r := &rules{last: map[string]edge.Answer{}}
	parts.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				r.evaluate(w, e)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		parts.Wait()
	})
	return r
}

// evaluate reads sluice_probe_up and sends what changed.
func (r *rules) evaluate(w *site, e *exporter.Exporter) {
	scrape := httptest.NewRecorder()
	e.Metrics().ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	lines := bufio.NewScanner(scrape.Body)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), "} ")
		if !strings.HasPrefix(series, "sluice_probe_up{") {
			continue
		}
		_, name, _ := strings.Cut(series, `member="`)
		name, _, _ = strings.Cut(name, `"`)
		r.mu.Lock()
		was := r.last[name]
		switch {
		case value == "0":
			r.last[name] = edge.No
		case was == edge.No:
			r.last[name] = edge.Yes
		}
		is := r.last[name]
		r.mu.Unlock()
		if is != was {
			w.claim(is == edge.No, at(waf, shop, name))
		}
	}
}

// said makes sure of the last word sent of a member: unknown when there was none.
func (r *rules) said(t *testing.T, m edge.Member, want edge.Answer) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := r.last[m.Name]; got != want {
		t.Errorf("%s: the last word was %s, want %s", m, got, want)
	}
}
