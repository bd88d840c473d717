package remediator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/loopback"
)

// prometheusSays answers every query with one text.
func prometheusSays(t *testing.T, answer string) *settings {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(answer))
	}))
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	q, err := newQuerier(s.URL, s.Client())
	if err != nil {
		t.Fatal(err)
	}
	return &settings{queries: []querier{q}}
}

// What Prometheus doesn't say in so many words is unknown, and moves nothing (I6).
func TestI6WhatPrometheusDoesNotSayIsUnknown(t *testing.T) {
	sample := func(member, value string) string {
		return `{"metric":{"device":"edge1","pool":"shop","member":"` + member + `"},"value":[1767323045,"` + value + `"]}`
	}
	vector := func(samples string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[` + samples + `]}}`
	}
	for _, c := range []struct {
		name, answer string
		want         [3]edge.Answer // of s1, s2 and s3
	}{
		{"0 is bad, all else is well, what is missing is unknown", vector(sample("s1", "0") + "," + sample("s2", "0.5")), [3]edge.Answer{edge.No, edge.Yes, edge.Unknown}},
		{"no number is unknown", vector(sample("s1", "NaN") + "," + sample("s2", "1") + "," + sample("s3", "0")), [3]edge.Answer{edge.Unknown, edge.Yes, edge.No}},
		{"of two samples of one member the worse counts", vector(sample("s1", "1") + "," + sample("s1", "0") + "," + sample("s2", "0") + "," + sample("s2", "1")), [3]edge.Answer{edge.No, edge.No, edge.Unknown}},
		{"an empty answer is about nobody", vector(""), [3]edge.Answer{}},
		{"a scalar is about nobody", `{"status":"success","data":{"resultType":"scalar","result":[1767323045,"0"]}}`, [3]edge.Answer{}},
		{"an error is about nobody", `{"status":"error","errorType":"bad_data","error":"no"}`, [3]edge.Answer{}},
		{"nor is a page", `<html>`, [3]edge.Answer{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := prometheusSays(t, c.answer)
			var states []edge.State
			for _, m := range []edge.Member{s1, s2, s3} {
				states = append(states, edge.State{Member: m})
			}
			own := set.ask(t.Context(), &Policy{Confirm: "prometheus", Query: "q"}, states)
			got := [3]edge.Answer{own[s1].Answer, own[s2].Answer, own[s3].Answer}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			for m, e := range own {
				if e.Detail == "" || e.At.IsZero() {
					t.Errorf("%s: %+v", m, e)
				}
			}
		})
	}
}

// restorable is a device that takes whole objects back.
type restorable struct {
	*device
	after    []edge.State
	restored int
}

func (d *restorable) Preview(string, []byte) ([]edge.State, string, error) { return d.after, "", nil }

func (d *restorable) Restore(context.Context, string, []byte, edge.Order) (edge.Receipt, error) {
	d.restored++
	return edge.Receipt{Written: true}, nil
}

// An object isn't put back against the guards, by a person neither (I1, I7).
func TestI1AnObjectIsPutBackOnlyWhenTheGuardsAgree(t *testing.T) {
	inWorldWith(t, whole, nil, func(w *world) {
		d := &restorable{device: w.device}
		for _, name := range []string{"s1", "s2", "s3", "s4", "s5"} {
			d.after = append(d.after, edge.State{Member: edge.Member{Name: name}, Serving: true})
		}
		w.again(func(o *Options) { o.Devices["edge1"] = d }, nil)
		put := func() string {
			t.Helper()
			out, err := w.r.Restore(w.t.Context(), s1.In(), []byte("object"), "test", "as the test says")
			if err != nil {
				t.Fatal(err)
			}
			return out.Result
		}
		if got := put(); got != "applied" || d.restored != 1 {
			t.Errorf("%s, %d orders; want it put back", got, d.restored)
		}
		for i := range d.after[1:] {
			d.after[i].Serving = false // one of five would serve; min_serving is 2
		}
		if got := put(); got != "refused" || d.restored != 1 {
			t.Errorf("%s, %d orders; want a refusal", got, d.restored)
		}
		entries, err := w.r.journal.Entries(journal.Query{Member: edge.Member{Device: "edge1", Pool: "shop"}, Since: time.Now().Add(-time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Event+" "+e.Result)
		}
		wantResults(t, got, "intent ", "step applied", "refusal refused")
	})
}
