package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// rows are the seqs, or the ids, of one page of steps, refusals or holds.
func rows(t *testing.T, a answer) (out []string, next string) {
	t.Helper()
	var got struct {
		Steps, Refusals []journal.Entry
		Holds           []journal.Hold
		Count           int
		Next            string
	}
	if err := json.Unmarshal(a.Data, &got); err != nil {
		t.Fatalf("%d %s%s: %v", a.StatusCode, a.Data, a.Error, err)
	}
	for _, e := range append(got.Steps, got.Refusals...) {
		out = append(out, fmt.Sprint(e.Seq))
	}
	for _, h := range got.Holds {
		out = append(out, h.ID)
	}
	if got.Count != len(out) {
		t.Errorf("count is %d of %d", got.Count, len(out))
	}
	return out, got.Next
}

// walk goes over all pages of a list; between two of them something may happen.
func (a *api) walk(t *testing.T, path string, between ...func()) (out []string) {
	t.Helper()
	for next := ""; ; {
		page, n := rows(t, a.do(t, "GET", path+next, ``))
		out = append(out, page...)
		if n == "" {
			return out
		}
		next = "&cursor=" + n
		if len(between) > 0 {
			between[0]()
			between = between[1:]
		}
	}
}

// entered puts entries into the journal.
func (a *api) entered(t *testing.T, es ...journal.Entry) {
	t.Helper()
	if err := a.journal.Append(es...); err != nil {
		t.Fatal(err)
	}
}

func TestListsOfEntriesAreFilteredAndPaged(t *testing.T) {
	a := newAPI(t)
	s2, other := edge.Member{Device: "edge1", Pool: "shop", Name: "s2"}, edge.Member{Device: "edge2", Pool: "api", Name: "a1"}
	at := func(hour int) time.Time { return time.Date(2026, 1, 2, hour, 0, 0, 0, time.UTC) }
	a.entered(t,
		journal.Entry{At: at(1), Event: "step", Member: &s1, Policy: "drain", Result: "applied"},
		journal.Entry{At: at(2), Event: "refusal", Member: &s2, Policy: "drain", Guard: "load", Reason: "too_much"},
		journal.Entry{At: at(3), Event: "refusal", Member: &other, Policy: "maint", Guard: "budget", Reason: "steps"},
		journal.Entry{At: at(4), Event: "mode"},
		journal.Entry{At: at(5), Event: "step", Member: &s2, Policy: "drain", Result: "applied", Order: "o1"},
		journal.Entry{At: at(6), Event: "refusal", Member: &s1, Policy: "drain", Guard: "load", Reason: "too_much", Actor: "ann"},
	)
	for path, want := range map[string]string{
		"steps?order=oldest":                         "1 2 3 4 5 6",
		"steps?order=newest&limit=2":                 "6 5 4 3 2 1",
		"steps?limit=2":                              "5 6",
		"steps?first=2":                              "1 2",
		"steps?first=2&after=2":                      "3 4",
		"steps?order=newest&after=4":                 "6 5",
		"steps?after=18446744073709551615":           "",
		"steps?order=oldest&device=edge1&limit=1":    "1 2 5 6",
		"steps?order=oldest&member=s2":               "2 5",
		"steps?policy=maint":                         "3",
		"steps?guard=load&order=newest":              "6 2",
		"steps?event=mode":                           "4",
		"steps?since=2026-01-02T05:00:00Z":           "5 6",
		"steps?until=2026-01-02T03:00:00Z":           "1 2",
		"steps?since=1h":                             "",
		"refusals?":                                  "6 3 2",
		"refusals?limit=1":                           "6 3 2",
		"refusals?order=oldest&guard=load&limit=1":   "2 6",
		"refusals?reason=steps":                      "3",
		"refusals?until=2026-01-02T06:00:00Z":        "3 2",
		"refusals?pool=shop&device=edge1&policy=x":   "",
		"refusals?until=1h&since=99y&device=edge2":   "3",
		"steps?order=oldest&until=1h&since=99y&hold": "1 2 3 4 5 6",
	} {
		if got := strings.Join(a.walk(t, "/api/v1/"+path), " "); got != want {
			t.Errorf("%s: got %s; want %s", path, got, want)
		}
	}
}

func TestPagesOfEntriesStandStillWhileEntriesComeAndGo(t *testing.T) {
	old := time.Now().Add(-time.Hour)
	for path, want := range map[string]string{
		"/api/v1/steps?order=newest&limit=2&event=e": "6 5 4 3",     // two went before they were reached
		"/api/v1/steps?order=oldest&limit=2&event=e": "1 2 3 4 5 6", // those that come are on the last page
		"/api/v1/refusals?limit=2&since=30m":         "6 5 4 3",
	} {
		a := newAPI(t)
		for i := range 6 {
			at := time.Now()
			if i < 2 {
				at = old
			}
			a.entered(t, journal.Entry{At: at, Event: "e", Member: &s1, Guard: "load"})
		}
		got := a.walk(t, path, func() {
			a.entered(t, journal.Entry{Event: "another", Guard: "load"})
			if err := a.journal.Prune(time.Now().Add(-time.Minute)); err != nil {
				t.Error(err)
			}
		})
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: got %s; want %s", path, s, want)
		}
	}
}

func TestALengthOfTimeCountsFromTheFirstPage(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	ask := func(query string, now time.Time) *listing {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/steps?"+query, nil)
		l, err := list(r, now, 10, stepFilters...)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := ask("since=1h", now)
	later := ask("since=1h&cursor="+first.next("7"), now.Add(30*time.Minute))
	since, err := later.moment("since")
	if err != nil || !since.Equal(now.Add(-time.Hour)) || later.after != "7" {
		t.Errorf("since %s, after %s, %v", since, later.after, err)
	}
}

func TestHoldsAreFilteredAndPaged(t *testing.T) {
	a := newAPI(t)
	for i, m := range []edge.Member{{Device: "edge2", Pool: "shop", Name: "s1"}, s1, {Device: "edge1", Pool: "api", Name: "a1"}} {
		h := journal.Hold{Member: m, Policy: []string{"drain", "maint"}[i%2], Phase: journal.Intent, Intent: time.Date(2026, 1, 2, i, 0, 0, 0, time.UTC), Via: []journal.Phase{journal.Observed, journal.Pending, journal.Guarded}}
		if i == 0 {
			h.Along = []edge.Member{{Device: "edge2", Pool: "other", Name: "s1"}}
		}
		if err := a.journal.Put(&h, journal.Entry{}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"":                           "h3 h2 h1", // by member
		"limit=1":                    "h3 h2 h1",
		"order=oldest&limit=1":       "h1 h2 h3",
		"order=newest&limit=2":       "h3 h2 h1",
		"device=edge1":               "h3 h2",
		"pool=other":                 "h1",
		"policy=maint":               "h2",
		"member=s1&order=newest":     "h2 h1",
		"since=2026-01-02T01:00:00Z": "h3 h2",
		"until=2026-01-02T01:00:00Z": "h1",
	} {
		if got := strings.Join(a.walk(t, "/api/v1/holds?"+path), " "); got != want {
			t.Errorf("%s: got %s; want %s", path, got, want)
		}
	}
}

// limited is a caller who sees one pool only.
func limited(t *testing.T, like string) func(*http.Request) {
	t.Helper()
	who, err := access.Named("ann", access.ViaToken, []string{"shop"}, access.Role{Name: "shop", Like: like, Devices: []string{"edge1"}, Pools: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) { *r = *r.WithContext(access.With(r.Context(), who)) }
}

func TestListsAreCutToWhatTheCallerMaySee(t *testing.T) {
	a, only := newAPI(t), limited(t, access.Viewer)
	other := edge.Member{Device: "edge1", Pool: "api", Name: "a1"}
	for _, m := range []edge.Member{s1, other} {
		a.entered(t, journal.Entry{Event: "refusal", Member: &m, Guard: "load"}, journal.Entry{Event: "freeze", Reason: "secret plans"})
		a.engine.roster.Members = append(a.engine.roster.Members, Member{State: edge.State{Member: m}})
		a.engine.roster.Pools = append(a.engine.roster.Pools, Pool{Device: m.Device, Pool: m.Pool, Members: 1, Held: 1, Maintenance: []string{}})
		for _, phase := range []journal.Phase{journal.Intent, journal.AwaitingApproval} {
			h := journal.Hold{Member: m, Policy: "drain", Phase: phase, Via: []journal.Phase{journal.Observed, journal.Pending, journal.Guarded}}
			if h.Member.Name += string(phase); phase == journal.AwaitingApproval {
				h.Refused = "approval/wanted"
			}
			if err := a.journal.Put(&h, journal.Entry{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.engine.roster.Devices = []Device{
		{Device: "edge1", Kind: "haproxy", Up: true, Pools: 2, Members: 2, Held: 2}, {Device: "edge2", Kind: "ptaf", Up: true, Pools: 1}, {Device: "edge3", Kind: "haproxy", Error: "no answer", Last: []string{"shop"}},
	}
	for _, path := range []string{"steps", "steps?order=newest", "steps?first=99", "refusals", "holds", "candidates", "approvals", "members", "pools"} {
		got := a.do(t, "GET", "/api/v1/"+path, ``, only)
		if text := string(got.Data); !got.Success || strings.Contains(text, `"api"`) || strings.Contains(text, "secret") || !strings.Contains(text, `"shop"`) {
			t.Errorf("%s: got %d %s", path, got.StatusCode, text)
		}
		if all := string(a.do(t, "GET", "/api/v1/"+path, ``).Data); !strings.Contains(all, `"api"`) {
			t.Errorf("%s: whoever sees everything got %s", path, all)
		}
	}
	var got struct{ Devices []Device }
	if err := json.Unmarshal(a.do(t, "GET", "/api/v1/devices", ``, only).Data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Device{{Device: "edge1", Kind: "haproxy", Up: true, Pools: 1, Members: 1, Held: 1}}, got.Devices); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}

func TestWhatSomebodyMayNotIsRefused(t *testing.T) {
	a := newAPI(t)
	hook, err := access.Named("am", access.ViaToken, []string{access.Hook})
	if err != nil {
		t.Fatal(err)
	}
	none := func(r *http.Request) { *r = *r.WithContext(access.With(r.Context(), hook)) }
	for path, body := range map[string]string{
		"members/edge1/shop/s1/drain": ``, "members/edge1/shop/s1/maint": ``, "members/edge1/shop/s1/ready": ``,
		"members/edge1/shop/s1/weight": `{"weight":5}`, "holds/edge1/shop/s1/release": ``,
		"approvals/edge1/shop/s1": `{"approve":true}`, "pools/edge1/shop/restore": `{"object":"x","reason":"x"}`,
	} {
		for who, change := range map[string]func(*http.Request){"a viewer": limited(t, access.Viewer), "another pool's operator": limited(t, access.Operator), "a webhook": none} {
			if who == "another pool's operator" {
				path = strings.Replace(path, "shop", "api", 1)
			}
			if got := a.do(t, "POST", "/api/v1/"+path, body, change); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Error, "may not") {
				t.Errorf("%s: %s: got %d %q", who, path, got.StatusCode, got.Error)
			}
		}
	}
	for _, path := range []string{"steps", "refusals", "holds", "candidates", "approvals", "members", "pools", "devices"} {
		if got := a.do(t, "GET", "/api/v1/"+path, ``, none); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Error, "the role viewer is missing") {
			t.Errorf("%s: got %d %q", path, got.StatusCode, got.Error)
		}
	}
	if len(a.engine.orders)+len(a.engine.released) > 0 || len(a.engine.asked) > 0 {
		t.Errorf("the engine got %v, %v and %v", a.engine.orders, a.engine.released, a.engine.asked)
	}
	if got := a.do(t, "POST", "/api/v1/members/edge1/shop/s1/drain", ``, limited(t, access.Operator)); !got.Success || a.engine.orders[0].Actor != "ann" {
		t.Errorf("got %+v", got)
	}
}

// FuzzList: a query is read whole or refused, and what it made goes on where its
// cursor says.
func FuzzList(f *testing.F) {
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	made := &listing{path: "/api/v1/steps", values: url.Values{"pool": {"shop"}}, at: now}
	for _, seed := range []string{"", "limit=5&order=newest", "since=1h&until=2026-01-02T15:04:05Z", "cursor=", "pool=shop&cursor=" + made.next("17"), "first=1&limit=2", "a=%zz", "limit=1&limit=2", "cursor=AQ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/api/v1/steps", RawQuery: query}}
		l, err := list(r, now, defaultLimit, stepFilters...)
		if err != nil {
			if p := (*problemError)(nil); !errors.As(err, &p) || p.code != http.StatusBadRequest || strings.ContainsAny(line(err), "\n\r") || len(line(err)) > 500 {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		if l.limit < 1 || l.limit > maxLimit || l.values.Has("cursor") != (l.after != "") {
			t.Errorf("%q: limit %d, after %q", query, l.limit, l.after)
		}
		p, err := l.entries(func(edge.Pool) bool { return true })
		if err == nil && (p.Look != mostLooked || l.after != "" && p.From == 0) {
			t.Errorf("%q: %+v", query, p)
		}
		values := url.Values{}
		for k, v := range l.values {
			values[k] = v
		}
		values.Set("cursor", l.next("a\x00b\xff"))
		r.URL.RawQuery = values.Encode()
		if again, err := list(r, now, defaultLimit, stepFilters...); err != nil || again.after != "a\x00b\xff" || !again.at.Equal(l.at) {
			t.Errorf("%q: its cursor leads nowhere: %v", query, err)
		}
	})
}

// FuzzCursor: no text leads to a place that no cursor of this list named.
func FuzzCursor(f *testing.F) {
	l := &listing{path: "/api/v1/steps", values: url.Values{"pool": {"shop"}}, at: time.UnixMilli(1_700_000_000_000)}
	f.Add(l.next("17"))
	f.Add("")
	f.Add("AQAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, cursor string) {
		got := &listing{path: l.path, values: l.values}
		if err := got.resume(cursor); err != nil {
			if got.after != "" {
				t.Errorf("%q: %v, and goes on behind %q", cursor, err, got.after)
			}
			return
		}
		if got.after == "" || got.next(got.after) == "" {
			t.Errorf("%q leads to %+v", cursor, got)
		}
	})
}
