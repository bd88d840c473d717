package defects

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/test/serve"
)

// Defect 3: after a failure in the middle the count of backends went wrong: one
// was asked twice and acted upon by another's name, and the last was never asked.
func TestDefect03AFailureDoesNotShiftTheOthers(t *testing.T) {
	t.Parallel()
	ways := []http.HandlerFunc{hang, well, reset, well, sick}
	for turn := range ways { // each failure comes first, last and in between
		t.Run(fmt.Sprintf("turned by %d", turn), func(t *testing.T) {
			t.Parallel()
			p := newPool(t, newMembers(t, len(ways))...)
			var bad, good []*member
			for i, m := range p.members {
				way := (i + turn) % len(ways)
				if m.be(ways[way]); way%2 == 0 {
					bad = append(bad, m)
				} else {
					good = append(good, m)
				}
			}
			set := usual(t, p.Start(t))
			set.change(func(m *probe.Module) { m.Timeout = ms(200) })
			w := set.start(t)
			for _, m := range p.members {
				w.claim(true, onShop(m)) // of those that are well, too
			}
			p.becomes(t, bad...)
			for _, m := range good {
				w.recorded(onShop(m), "evidence/contradicted")
			}
			w.claim(false, onShop(bad[0]))
			bad[0].be(well)
			p.becomes(t, bad[1:]...)
		})
	}
}

// Defect 4: it walked through addresses and changed the backend at the same
// place of another list, so that any difference of the two hit the wrong one.
func TestDefect04TheRightBackendGoesWhateverTheOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault ptaftest.Fault
		front func(http.Handler) http.Handler
	}{
		"each answer has another order":       {ptaftest.ReorderedBackends, itself},
		"addresses are fewer":                 {ptaftest.None, listing(func(a []any) []any { return a[1:] })},
		"addresses are more, and others":      {ptaftest.None, listing(func(a []any) []any { return append([]any{"192.0.2.99", "192.0.2.98"}, a...) })},
		"addresses are none":                  {ptaftest.None, listing(func([]any) []any { return nil })},
		"addresses are few and orders change": {ptaftest.ReorderedBackends, listing(func(a []any) []any { return a[2:] })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, newMembers(t, 3)...)
			p.Misbehave(c.fault, -1)
			w := usual(t, "http://"+serve.Handler(t, c.front(p.Sim), nil)+ptaftest.Base).start(t)
			for _, m := range p.members {
				m.be(sick)
				w.claim(true, onShop(m))
				p.becomes(t, m)
				m.be(well)
				w.claim(false, onShop(m))
				p.becomes(t)
			}
			p.wrote(t, 2*len(p.members))
		})
	}
}

// Twins have one address and port: only their place tells them apart, so each
// has a name of its own, and neither is taken for the other.
func TestDefect04TwinsAreToldApart(t *testing.T) {
	t.Parallel()
	one, other := newMember(t), newMember(t)
	p := newPool(t, one, one, other)
	w := usual(t, p.Start(t)).start(t)
	one.be(sick)
	w.claim(true, at(waf, shop, one.address+"#2"))
	p.becomes(t, one)
	w.recorded(at(waf, shop, one.address+"#2"), "drain applied")
	if got := w.results(onShop(one)); len(got) > 0 {
		t.Errorf("the first twin has %v", got)
	}
	p.wrote(t, 1)
}

func itself(h http.Handler) http.Handler { return h }

// listing puts other addresses into each upstream that is given out.
func listing(change func([]any) []any) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			body := answer.Body.Bytes()
			var o map[string]any
			if err := json.Unmarshal(body, &o); err == nil {
				if list, ok := o["addresses"].([]any); ok {
					o["addresses"] = change(list)
					if body, err = json.Marshal(o); err != nil {
						panic(err)
					}
				}
			}
			maps.Copy(w.Header(), answer.Header())
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(answer.Code)
			if _, err := w.Write(body); err != nil {
				panic(http.ErrAbortHandler)
			}
		})
	}
}
