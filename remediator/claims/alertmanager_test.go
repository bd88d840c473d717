package claims

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/test/loopback"
)

// fakeAM answers as Alertmanager's API v2 does, with whatever it is given.
type fakeAM struct {
	*httptest.Server
	mu      sync.Mutex
	alerts  string // body of /alerts
	status  string // body of /status
	code    int
	filters [][]string
	order   []string // paths, as they were asked for
}

const day = 24 * time.Hour

func newFakeAM(t *testing.T, alerts ...string) *fakeAM {
	f := &fakeAM{alerts: "[" + strings.Join(alerts, ",") + "]", status: statusOf(time.Now().Add(-day), "ready"), code: 200}
	f.Server = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.order = append(f.order, r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.code)
		switch r.URL.Path {
		case "/api/v2/alerts":
			f.filters = append(f.filters, r.URL.Query()["filter"])
			fmt.Fprint(w, f.alerts)
		case "/api/v2/status":
			fmt.Fprint(w, f.status)
		}
	}))
	return f
}

// serve is httptest.NewServer on a port that no outgoing connection takes.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func statusOf(start time.Time, cluster string) string {
	return fmt.Sprintf(`{"cluster":{"status":%q,"peers":[]},"config":{"original":""},"uptime":%q,"versionInfo":{}}`, cluster, start.Format(time.RFC3339Nano))
}

// alertJSON is an alert as 0.25 sends it: no mutedBy.
func alertJSON(t *testing.T, state string, updated time.Time, silencedBy []string, labels map[string]string) string {
	t.Helper()
	if silencedBy == nil {
		silencedBy = []string{}
	}
	b, err := json.Marshal(map[string]any{
		"labels": labels, "annotations": map[string]string{}, "fingerprint": "00", "receivers": []any{},
		"startsAt": updated.Add(-time.Hour), "updatedAt": updated, "endsAt": updated.Add(4 * time.Minute),
		"status": map[string]any{"state": state, "silencedBy": silencedBy, "inhibitedBy": []string{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func read(t *testing.T, o AlertmanagerOptions, urls ...string) View {
	t.Helper()
	for _, u := range urls {
		o.Alertmanagers = append(o.Alertmanagers, Alertmanager{URL: u})
	}
	r, err := NewAlertmanagers(o)
	if err != nil {
		t.Fatal(err)
	}
	return r.Read(t.Context())
}

func member(name string) map[string]string {
	return map[string]string{"remediation": "drain", "device": "edge1", "pool": "shop", "member": name}
}

func TestAClaimIsReadWhole(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	am := newFakeAM(t, alertJSON(t, "active", now, nil, member("s1")))
	v := read(t, AlertmanagerOptions{}, am.URL)
	want := []Claim{{
		Labels: member("s1"), Key: `{device="edge1", member="s1", pool="shop", remediation="drain"}`, Source: am.URL,
		StartsAt: now.Add(-time.Hour), UpdatedAt: now, Policy: "drain",
		Member: edge.Member{Device: "edge1", Pool: "shop", Name: "s1"},
	}}
	if d := cmp.Diff(want, v.Claims, cmpopts.IgnoreFields(Claim{}, "SeenAt"), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); d != "" {
		t.Error(d)
	}
	if len(v.Claims) == 1 && (v.Claims[0].SeenAt.Before(now) || v.Claims[0].SeenAt.After(v.At)) {
		t.Errorf("seen at %s, view of %s", v.Claims[0].SeenAt, v.At)
	}
	if len(v.Blind) != 0 || !v.AbsenceCounts() {
		t.Errorf("blind: %v", v.Blind)
	}
	if last := am.order[len(am.order)-1]; last != "/api/v2/status" {
		t.Errorf("the age was asked before %s: a restart in between would go unseen (I6)", last)
	}
}

func TestASourceIsBlindNotEmpty(t *testing.T) { // I6, I14
	now := time.Now()
	claim := alertJSON(t, "active", now, nil, member("s1"))
	tests := []struct {
		name  string
		spoil func(*fakeAM)
		why   string // "" is not blind
		seen  int
	}{
		{"old and ready", func(*fakeAM) {}, "", 1},
		{"old, alone", func(f *fakeAM) { f.status = statusOf(now.Add(-day), "disabled") }, "", 1},
		{"old and really empty", func(f *fakeAM) { f.alerts = "[]" }, "", 0},
		{"young: what it knows counts all the same", func(f *fakeAM) { f.status = statusOf(now.Add(-time.Minute), "ready") }, "less than 3m0s", 1},
		{"young and empty", func(f *fakeAM) { f.alerts, f.status = "[]", statusOf(now, "ready") }, "less than 3m0s", 0},
		{"its clock is ahead of ours", func(f *fakeAM) { f.status = statusOf(now.Add(time.Hour), "ready") }, "less than 3m0s", 1},
		{"its cluster settles", func(f *fakeAM) { f.status = statusOf(now.Add(-day), "settling") }, "settling", 1},
		{"it doesn't say how old it is", func(f *fakeAM) { f.status = `{}` }, "since when", 1},
		{"it is not Alertmanager", func(f *fakeAM) { f.alerts, f.status = `{"a":1}`, `[]` }, "json: ", 0},
		{"it answers 500", func(f *fakeAM) { f.code = 500 }, "answered 500 Internal Server Error", 0},
		{"it wants a password", func(f *fakeAM) { f.code = 401 }, "answered 401 Unauthorized", 0},
		{"it answers half", func(f *fakeAM) { f.alerts = `[{"labels":` }, "EOF", 0},
		{"it is gone", func(f *fakeAM) { f.Close() }, "refused", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			am := newFakeAM(t, claim)
			tt.spoil(am)
			v := read(t, AlertmanagerOptions{}, am.URL)
			if len(v.Claims) != tt.seen {
				t.Errorf("%d claims; want %d", len(v.Claims), tt.seen)
			}
			blind := strings.Join(v.Blind, "\n")
			if tt.why == "" && blind != "" || !strings.Contains(blind, tt.why) || strings.Contains(blind, "\n") {
				t.Errorf("blind: %q; want %q", blind, tt.why)
			}
			if v.AbsenceCounts() != (tt.why == "") {
				t.Errorf("absence counts: %v", v.AbsenceCounts())
			}
			if tt.why != "" && !strings.HasPrefix(blind, am.URL+": ") {
				t.Errorf("%q doesn't say who", blind)
			}
		})
	}
	t.Run("one that hangs", func(t *testing.T) {
		stop := make(chan struct{})
		am := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
		defer close(stop)
		v := read(t, AlertmanagerOptions{Timeout: 50 * time.Millisecond}, am.URL)
		if d := cmp.Diff([]string{am.URL + ": no answer in time"}, v.Blind); d != "" {
			t.Error(d)
		}
	})
	t.Run("one whose answer never ends", func(t *testing.T) {
		am := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "[")
			for pad := strings.Repeat(" ", 1<<20); ; {
				if _, err := fmt.Fprint(w, pad); err != nil {
					return
				}
			}
		}))
		v := read(t, AlertmanagerOptions{Timeout: time.Minute}, am.URL)
		if len(v.Blind) != 1 || !strings.Contains(v.Blind[0], "too long") {
			t.Errorf("blind: %v", v.Blind)
		}
	})
	t.Run("no source at all is no absence", func(t *testing.T) {
		if v := read(t, AlertmanagerOptions{}); v.AbsenceCounts() {
			t.Error("absence counts")
		}
	})
}

func TestSeveralAlertmanagersSayOneThing(t *testing.T) { // I6, I9
	now := time.Now().UTC().Truncate(time.Millisecond)
	active := func(u time.Time) string { return alertJSON(t, "active", u, nil, member("s1")) }
	silenced := func(id string) string { return alertJSON(t, "suppressed", now, []string{id}, member("s1")) }
	tests := []struct {
		name       string
		a, b       string
		suppressed bool
		silencedBy []string
		quiet      bool
	}{
		{"both fire", active(now), active(now), false, nil, false},
		{"one fires, the other doesn't know it", active(now), "", false, nil, false},
		{"one fires, the other silences it: it fires", active(now), silenced("x"), false, nil, false},
		{"both silence it", silenced("x"), silenced("y"), true, []string{"x", "y"}, false},
		{"both by the same silence", silenced("x"), silenced("x"), true, []string{"x"}, false},
		{"one has heard of it lately", active(now.Add(-time.Hour)), active(now), false, nil, false},
		{"neither has", active(now.Add(-time.Hour)), active(now.Add(-4 * time.Minute)), false, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newFakeAM(t, tt.a), newFakeAM(t, tt.b)
			for _, urls := range [][]string{{a.URL, b.URL}, {b.URL, a.URL}} {
				v := read(t, AlertmanagerOptions{}, urls...)
				if len(v.Claims) != 1 {
					t.Fatalf("%d claims", len(v.Claims))
				}
				c := v.Claims[0]
				if c.Suppressed != tt.suppressed || c.Quiet != tt.quiet {
					t.Errorf("suppressed %v, quiet %v; want %v, %v", c.Suppressed, c.Quiet, tt.suppressed, tt.quiet)
				}
				if d := cmp.Diff(tt.silencedBy, c.SilencedBy, cmpopts.EquateEmpty()); d != "" {
					t.Error(d)
				}
			}
		})
	}
	t.Run("absence counts while more than half see", func(t *testing.T) {
		a, b, c := newFakeAM(t), newFakeAM(t), newFakeAM(t)
		b.Close()
		if v := read(t, AlertmanagerOptions{}, a.URL, b.URL); v.AbsenceCounts() {
			t.Error("one of two is enough")
		}
		if v := read(t, AlertmanagerOptions{}, a.URL, b.URL, c.URL); !v.AbsenceCounts() {
			t.Errorf("two of three aren't enough: %v", v.Blind)
		}
	})
}

func TestTheWatchdogIsAnAgeAndNoClaim(t *testing.T) { // I26
	now := time.Now().UTC().Truncate(time.Millisecond)
	dog := map[string]string{"alertname": "Watchdog", "remediation": "watchdog"}
	a := newFakeAM(t, alertJSON(t, "active", now.Add(-time.Minute), nil, dog))
	b := newFakeAM(t, alertJSON(t, "active", now, nil, dog))
	v := read(t, AlertmanagerOptions{}, a.URL, b.URL)
	if len(v.Claims) != 0 || !v.Watchdog.Equal(now) {
		t.Errorf("claims %v, watchdog %s; want %s", v.Claims, v.Watchdog, now)
	}
	if v := read(t, AlertmanagerOptions{}, newFakeAM(t).URL); !v.Watchdog.IsZero() {
		t.Errorf("a watchdog that nobody knows is of %s", v.Watchdog)
	}
}

func TestEachEntryIsAsked(t *testing.T) {
	now := time.Now()
	host := map[string]string{"alertname": "HostDown", "instance": "192.0.2.1:80"}
	// This server ignores filters: every question brings all, some twice.
	am := newFakeAM(t, alertJSON(t, "active", now, nil, host), alertJSON(t, "active", now, nil, member("s1")),
		alertJSON(t, "active", now, nil, map[string]string{"alertname": "Other"}), "null")
	m, err := NewMapping([]Entry{{Match: []string{`alertname="HostDown"`}, Policy: "drain", Address: "instance"}})
	if err != nil {
		t.Fatal(err)
	}
	v := read(t, AlertmanagerOptions{Mapping: m}, am.URL)
	var got []string
	for _, c := range v.Claims {
		got = append(got, c.Key)
	}
	if d := cmp.Diff([]string{Key(host), Key(member("s1"))}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([][]string{{`remediation=~".+"`}, {`alertname="HostDown"`}}, am.filters); d != "" {
		t.Error(d)
	}
}

func TestMissingFieldsAreNoPanic(t *testing.T) {
	am := newFakeAM(t, `{}`, `null`, `{"labels":{"remediation":"drain"}}`, `{"labels":{"remediation":"drain","a":"b"},"status":{}}`, `{"labels":{"remediation":"watchdog"}}`)
	v := read(t, AlertmanagerOptions{}, am.URL)
	if len(v.Claims) != 2 || len(v.Blind) != 0 {
		t.Fatalf("claims %+v, blind %v", v.Claims, v.Blind)
	}
	for _, c := range v.Claims {
		if !c.Quiet || c.Suppressed {
			t.Errorf("nobody knows when it was heard of: %+v", c)
		}
	}
}

func TestAddressesOfAlertmanagers(t *testing.T) {
	const secret = "canary"
	for _, u := range []string{
		"", "am:9093", "ftp://am", "http://", "http://user:" + secret + "@am:9093", "http://am/?token=" + secret,
		"http://am/#" + secret, "http://user:" + secret + "@am:port%zz",
	} {
		_, err := NewAlertmanagers(AlertmanagerOptions{Alertmanagers: []Alertmanager{{URL: "http://am:9093/prefix/"}, {URL: u}}})
		switch {
		case err == nil:
			t.Errorf("%q was taken", u)
		case strings.Contains(err.Error(), secret):
			t.Errorf("the error holds a secret: %v", err)
		case !strings.HasPrefix(err.Error(), "alertmanagers[1]: "):
			t.Errorf("the error doesn't say which: %v", err)
		}
	}
}
