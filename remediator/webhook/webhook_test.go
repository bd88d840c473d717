package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// a sink that remembers, or fails.
type sink struct {
	got []Message
	err error
}

func (s *sink) Hint(_ context.Context, m Message) error {
	s.got = append(s.got, m)
	return s.err
}

func post(t *testing.T, o Options, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", strings.NewReader(body))
	w := httptest.NewRecorder()
	Handler(o).ServeHTTP(w, r)
	return w
}

// envelope wraps alerts in the least that is a message.
func envelope(alerts ...string) string {
	return `{"version":"4","alerts":[` + strings.Join(alerts, ",") + `]}`
}

const firing = `{"status":"firing","labels":{"remediation":"drain","member":"s1"},"startsAt":"2026-01-02T15:04:05Z"}`

func TestEnvelope(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	tests := []struct {
		name string
		body string
		code int
		text string // in the answer
	}{
		{"one alert is taken in", envelope(firing), 200, "ok"},
		{"no alerts are nothing to do", envelope(), 200, "ok"},
		{"unknown fields are accepted, new ones come without a new version", `{"version":"4","notification_reason":"x","routeLabels":{"a":{"b":[1]}},"alerts":[]}`, 200, "ok"},
		{"version 4 is a text", `{"version":4,"alerts":[]}`, 400, `version: want the text "4"`},
		{"another version is another format", `{"version":"5","alerts":[]}`, 400, `version: want the text "4"`},
		{"no version", `{"alerts":[]}`, 400, "version"},
		{"no alerts at all, as a templated payload may have it", `{"version":"4"}`, 400, "alerts: want a list"},
		{"alerts that are null", `{"version":"4","alerts":null}`, 400, "alerts: want a list"},
		{"alerts under a name in another case aren't alerts", `{"version":"4","Alerts":[]}`, 400, "alerts: want a list"},
		{"a second list of alerts could hide the first", `{"version":"4","alerts":[],"alerts":[` + firing + `]}`, 400, `"alerts" occurs twice`},
		{"nor does an escape hide it", `{"version":"4","alerts":[],"\u0061lerts":[]}`, 400, `"alerts" occurs twice`},
		{"a second version", `{"version":"3","version":"4","alerts":[]}`, 400, `"version" occurs twice`},
		{"not JSON", `alertname=HostDown`, 400, "want an object"},
		{"a list", `[]`, 400, "want an object"},
		{"nothing", ``, 400, "want an object"},
		{"cut off", `{"version":"4","alerts":[`, 400, "not JSON"},
		{"something behind the end", envelope() + `{}`, 400, "something follows the end"},
		{"white space behind the end", envelope() + " \n", 200, "ok"},
		{"no UTF-8", "{\"version\":\"4\",\"alerts\":[],\"x\":\"\xff\"}", 400, "not UTF-8"},
		{"nested deeper than any message", `{"version":"4","alerts":[],"x":` + deep + `}`, 400, "nested deeper"},
		{"brackets in a text aren't nesting", `{"version":"4","alerts":[],"x":"` + strings.Repeat(`[\"{`, 40) + `"}`, 200, "ok"},
		{"truncatedAlerts must be a number", `{"version":"4","alerts":[],"truncatedAlerts":"many"}`, 400, "truncatedAlerts"},
		{"too many alerts", envelope(firing, firing, firing, firing), 413, "at most 3 in one message"},
		{"too long", envelope(`{"status":"firing","labels":{"a":"` + strings.Repeat("x", 5000) + `"}}`), 413, "at most 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(sink)
			w := post(t, Options{Sink: s, MaxAlerts: 3, MaxBytes: 4096}, tt.body)
			if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.text) {
				t.Errorf("got %d %q; want %d with %q", w.Code, w.Body, tt.code, tt.text)
			}
			if strings.Count(w.Body.String(), "\n") != 1 {
				t.Errorf("the answer isn't one line: %q", w.Body)
			}
			if taken := len(s.got) == 1; taken != (tt.code == 200) {
				t.Errorf("the sink got %d messages", len(s.got))
			}
		})
	}
}

func TestOnlyPlainPosts(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead, http.MethodDelete} {
		w := httptest.NewRecorder()
		Handler(Options{Sink: new(sink)}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/webhook", nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost {
			t.Errorf("%s: got %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", strings.NewReader(envelope()))
	r.Header.Set("Content-Encoding", "gzip")
	w := httptest.NewRecorder()
	Handler(Options{Sink: new(sink)}).ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("gzip: got %d", w.Code)
	}
}

func TestAlertsAreJudgedOneByOne(t *testing.T) { // I24, I21
	start := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	drain := map[string]string{"remediation": "drain", "member": "s1"}
	big := strings.Repeat("x", maxLabelValue+1)
	tests := []struct {
		name, alert string
		want        Alert
	}{
		{"one that fires", firing, Alert{Result: Wanted, Firing: true, Labels: drain, StartsAt: start}},
		{
			"one that fires has no end, whatever a relay says", `{"status":"firing","labels":{"remediation":"drain","member":"s1"},"endsAt":"2026-01-02T15:04:05Z"}`,
			Alert{Result: Wanted, Firing: true, Labels: drain},
		},
		{
			"one that ended", `{"status":"resolved","labels":{"remediation":"drain","member":"s1"},"endsAt":"2026-01-02T15:04:05Z"}`,
			Alert{Result: Wanted, Labels: drain, EndsAt: start},
		},
		{
			"one of our own, whatever else it says", `{"status":"firing","labels":{"remediation":"drain","announced_by":"sluice"}}`,
			Alert{Result: Ignored, Firing: true, Labels: map[string]string{"remediation": "drain", "announced_by": "sluice"}},
		},
		{
			"one that somebody else announced", `{"status":"firing","labels":{"remediation":"drain","announced_by":"ann"}}`,
			Alert{Result: Wanted, Firing: true, Labels: map[string]string{"remediation": "drain", "announced_by": "ann"}},
		},
		{"one that asks for nothing", `{"status":"firing","labels":{"a":"b"}}`, Alert{Result: Ignored, Firing: true, Labels: map[string]string{"a": "b"}}},
		{
			"text that would be a command is text", `{"status":"firing","labels":{"remediation":"drain","member":"s1; shutdown\n\u0000<<"}}`,
			Alert{Result: Wanted, Firing: true, Labels: map[string]string{"remediation": "drain", "member": "s1; shutdown\n\x00<<"}},
		},
		{"no status", `{"labels":{"remediation":"drain"}}`, bad("status: want firing or resolved")},
		{"a status of no kind", `{"status":"Firing","labels":{"remediation":"drain"}}`, bad("status: want firing or resolved")},
		{"two statuses", `{"status":"resolved","status":"firing","labels":{"remediation":"drain"}}`, bad(`"status" occurs twice`)},
		{"two members", `{"status":"firing","labels":{"member":"s1","member":"s2","remediation":"drain"}}`, bad(`labels: "member" occurs twice`)},
		{"no labels", `{"status":"firing"}`, bad("labels: want an object")},
		{"empty labels", `{"status":"firing","labels":{}}`, bad("labels: 0 of them: want 1 to 128")},
		{"a label that is no text", `{"status":"firing","labels":{"remediation":"drain","member":1}}`, bad(`labels: "member" is no text`)},
		{"a label that is null", `{"status":"firing","labels":{"remediation":null}}`, bad(`labels: "remediation" is no text`)},
		{"a label without a name", `{"status":"firing","labels":{"":"x"}}`, bad("labels: a name of 0 bytes: want 1 to 1024")},
		{"a label beyond measure", `{"status":"firing","labels":{"a":"` + big + `"}}`, bad(`labels: "a" has 8193 bytes: want at most 8192`)},
		{"a start that is no time", `{"status":"firing","labels":{"remediation":"drain"},"startsAt":"today"}`, bad("startsAt: not JSON, or not of the right shape")},
		{"no object", `7`, bad("want an object")},
		{"null", `null`, bad("want an object")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(sink)
			if w := post(t, Options{Sink: s}, envelope(firing, tt.alert, firing)); w.Code != http.StatusOK {
				t.Fatalf("got %d %q: one alert spoiled the message", w.Code, w.Body)
			}
			sound := Alert{Result: Wanted, Firing: true, Labels: drain, StartsAt: start}
			if d := cmp.Diff([]Alert{sound, tt.want, sound}, s.got[0].Alerts); d != "" {
				t.Error(d)
			}
		})
	}
}

// bad is the second alert of a message when it is invalid.
func bad(why string) Alert { return Alert{Result: Invalid, Problem: "alerts[1]: " + why} }

func TestARealMessageIsUnderstood(t *testing.T) {
	body, err := os.ReadFile("testdata/alertmanager_0.25.json")
	if err != nil {
		t.Fatal(err)
	}
	s := new(sink)
	if w := post(t, Options{Sink: s}, string(body)); w.Code != http.StatusOK {
		t.Fatalf("got %d %q", w.Code, w.Body)
	}
	m := s.got[0]
	if m.Receiver != `sluice\.hook` || m.GroupKey == "" || len(m.Alerts) != 2 {
		t.Fatalf("got %+v", m)
	}
	for i, want := range []struct {
		firing bool
		member string
	}{{true, "s1"}, {false, "s2"}} {
		if a := m.Alerts[i]; a.Result != Wanted || a.Firing != want.firing || a.Labels["member"] != want.member || a.EndsAt.IsZero() != want.firing {
			t.Errorf("alert %d: %+v", i, a)
		}
	}
}

func TestATruncatedMessageIsAHintAllTheSame(t *testing.T) {
	s := new(sink)
	if w := post(t, Options{Sink: s}, `{"version":"4","truncatedAlerts":7,"alerts":[`+firing+`]}`); w.Code != http.StatusOK {
		t.Fatalf("got %d", w.Code)
	}
	if s.got[0].Truncated != 7 {
		t.Errorf("truncated %d; want 7", s.got[0].Truncated)
	}
}

func TestWhatIsNotDurableIsAskedForAgain(t *testing.T) { // I11
	secret := errors.New("write /var/lib/sluice/data/sluice.db: no space left on device")
	s := &sink{err: secret}
	var code int
	var seen error
	w := post(t, Options{Sink: s, Observe: func(_ *http.Request, c int, _ Message, err error) { code, seen = c, err }}, envelope(firing))
	if w.Code != http.StatusServiceUnavailable || code != http.StatusServiceUnavailable {
		t.Errorf("got %d, observed %d", w.Code, code)
	}
	if strings.Contains(w.Body.String(), "/var/lib") {
		t.Errorf("the answer names our files: %q", w.Body)
	}
	if !errors.Is(seen, secret) {
		t.Errorf("observed %v", seen)
	}
}

func TestManyAtOnceTakeTurns(t *testing.T) {
	tests := []struct {
		name string
		busy time.Duration // how long the sink takes for one
		want map[int]int   // answers by code
	}{
		{"those that soon get their turn are taken in", time.Second, map[int]int{200: 3 * maxAtOnce}},
		{"those that don't are asked to come again", time.Minute, map[int]int{200: maxAtOnce, 503: 2 * maxAtOnce}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := Handler(Options{Sink: sinkFunc(func() error { time.Sleep(tt.busy); return nil })})
				codes := make(chan int, 3*maxAtOnce)
				for range cap(codes) {
					go func() {
						w := httptest.NewRecorder()
						h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(envelope(firing))))
						codes <- w.Code
					}()
				}
				got := map[int]int{}
				for range cap(codes) {
					got[<-codes]++
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestASenderThatDribblesLosesItsPlace(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", iotest.ErrReader(os.ErrDeadlineExceeded))
	Handler(Options{Sink: new(sink)}).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || len(w.set) != 1 || time.Until(w.set[0]) > readWithin {
		t.Errorf("got %d, deadlines %v", w.Code, w.set)
	}
}

// deadlines notes the deadlines that a handler sets.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

type sinkFunc func() error

func (f sinkFunc) Hint(context.Context, Message) error { return f() }

func TestWantsDecidesWhatIsIgnored(t *testing.T) {
	s := new(sink)
	wants := func(ls map[string]string) bool { return ls["alertname"] == "HostDown" }
	post(t, Options{Sink: s, Wants: wants}, envelope(firing, `{"status":"firing","labels":{"alertname":"HostDown"}}`))
	var got []Result
	for _, a := range s.got[0].Alerts {
		got = append(got, a.Result)
	}
	if d := cmp.Diff([]Result{Ignored, Wanted}, got); d != "" {
		t.Error(d)
	}
}

func FuzzWebhook(f *testing.F) { // I21, I24
	f.Add(envelope(firing))
	f.Add(envelope(firing, `{"status":"resolved","labels":{"remediation":"drain"}}`, `null`))
	f.Add(envelope(`{"status":"firing","labels":{"remediation":"drain","announced_by":"sluice"}}`))
	f.Add(`{"version":"4","alerts":[],"alerts":[]}`)
	f.Add(`{"version":"4","truncatedAlerts":1e99,"alerts":[{}]}`)
	f.Add("\xff\x00[[[[")
	f.Fuzz(func(t *testing.T, body string) {
		s := new(sink)
		w := post(t, Options{Sink: s, MaxAlerts: 50, MaxBytes: 1 << 16}, body)
		switch w.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("got %d", w.Code)
		}
		if (len(s.got) == 1) != (w.Code == http.StatusOK) {
			t.Fatalf("%d with %d messages", w.Code, len(s.got))
		}
		for _, m := range s.got {
			for i, a := range m.Alerts {
				switch {
				case a.Result == Invalid && a.Problem != "" && !a.Firing && a.Labels == nil:
				case a.Result == Wanted && a.Labels["remediation"] != "":
				case a.Result == Ignored && (a.Labels["remediation"] == "" || a.Labels["announced_by"] == "sluice") && len(a.Labels) > 0:
				default:
					t.Fatalf("alert %d is neither: %+v", i, a)
				}
				if strings.ContainsAny(a.Problem, "\n\x00") {
					t.Fatalf("problem %q isn't one line", a.Problem)
				}
				if a.Firing && !a.EndsAt.IsZero() {
					t.Fatal("fires, and has ended")
				}
			}
		}
		s.err = fmt.Errorf("disk full")
		if again := post(t, Options{Sink: s, MaxAlerts: 50, MaxBytes: 1 << 16}, body); w.Code == 200 && again.Code != 503 || w.Code != 200 && again.Code != w.Code {
			t.Fatalf("%d, and %d when nothing can be kept", w.Code, again.Code)
		}
	})
}
