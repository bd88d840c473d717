package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

var s1 = edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}

// engine is an engine that hangs at a device: only what must not wait answers.
type engine struct {
	woken    int
	released []string
	labels   map[string]string
	orders   []Order
	roster   Roster
	asked    []string // device/pool, for members
	err      error
	journal  *journal.Journal
}

func (e *engine) Wake() { e.woken++ }

func (e *engine) Knows(_ context.Context, m edge.Member) error {
	if m.Device != "edge1" || m.Pool != "" && m.Pool != "shop" {
		return NotFound(fmt.Errorf("%s: the device doesn't list it", m))
	}
	return nil
}

func (e *engine) Windows() (out []Window, err error) {
	b, err := e.journal.Barriers()
	out = append(out, Window{WindowSpec: WindowSpec{Name: "backup"}, Source: FromConfig})
	for _, w := range b.Windows {
		one := Window{Source: FromAPI, Actor: w.Actor, At: w.At}
		if err := json.Unmarshal(w.Spec, &one.WindowSpec); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, err
}

func (e *engine) AddWindow(w WindowSpec, actor string) (Window, error) {
	spec, err := json.Marshal(w)
	if err != nil || w.Cron == "" {
		return Window{}, BadRequest(errors.New("cron is missing"))
	}
	return Window{WindowSpec: w, Source: FromAPI, Actor: actor}, e.journal.SetWindow(journal.Window{Name: w.Name, Spec: spec, Actor: actor})
}

func (e *engine) DropWindow(name, actor string) error { return e.journal.DropWindow(name, actor, "x") }

func (e *engine) Claim(_ context.Context, c journal.Claimed) error {
	if c.Member != s1 {
		return NotFound(fmt.Errorf("%s: the device doesn't list it", c.Member))
	}
	return e.journal.Claim(c)
}

func (e *engine) Unclaim(_ context.Context, m edge.Member, actor, reason string) error {
	if err := e.journal.Unclaim(m, actor, reason); err != nil {
		return NotFound(err)
	}
	return nil
}

func (e *engine) Release(_ context.Context, m edge.Member, actor, reason string) error {
	if m != s1 {
		return fmt.Errorf("release %s: %w", m, journal.ErrNoHold)
	}
	e.released = append(e.released, strings.Join([]string{m.String(), actor, reason}, "|"))
	return e.err
}

func (e *engine) Answer(_ context.Context, m edge.Member, yes bool, actor, note string) error {
	if m != s1 {
		return NotFound(fmt.Errorf("%s: no step on it waits", m))
	}
	e.released = append(e.released, fmt.Sprintf("%s|%t|%s|%s", m, yes, actor, note))
	return e.err
}

func (e *engine) AnswerTTL(string, edge.Member) time.Duration { return 10 * time.Minute }

func (e *engine) Explain(_ context.Context, labels map[string]string) (any, error) {
	e.labels = labels
	return map[string]string{"would": "drain"}, e.err
}

func (e *engine) Restore(_ context.Context, p edge.Pool, object []byte, actor, reason string) (any, error) {
	if p.Device == "edge9" {
		return nil, NotFound(errors.New("no such device"))
	}
	e.released = append(e.released, strings.Join([]string{p.String(), string(object), actor, reason}, "|"))
	return map[string]string{"result": "applied"}, e.err
}

func (e *engine) Order(_ context.Context, o Order) (any, error) {
	e.orders = append(e.orders, o)
	return map[string]string{"result": "applied"}, e.err
}

func (e *engine) Members(_ context.Context, device, pool string) (Roster, error) {
	e.asked = append(e.asked, device+"/"+pool)
	return e.roster, e.err
}

type api struct {
	handler http.Handler
	engine  *engine
	journal *journal.Journal
}

func newAPI(t *testing.T) *api {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "sluice.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	e := &engine{journal: j}
	return &api{Handler(Options{Journal: j, Engine: e}), e, j}
}

type answer struct {
	Success    bool            `json:"success"`
	StatusCode int             `json:"status_code"`
	Data       json.RawMessage `json:"data"`
	Error      string          `json:"error"`
}

func (a *api) do(t *testing.T, method, path, body string, change ...func(*http.Request)) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	documented(t, method, path, w.Code, w.Header(), w.Body.Bytes())
	var got answer
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s %s: %q is no envelope: %v", method, path, w.Body, err)
	}
	if got.StatusCode != w.Code || got.Success != (w.Code == 200) || (got.Error == "") != got.Success {
		t.Errorf("%s %s: code %d with envelope %s", method, path, w.Code, w.Body)
	}
	if strings.ContainsAny(got.Error, "\n\r") {
		t.Errorf("the error isn't one line: %q", got.Error)
	}
	return got
}

func TestMistakesAreSaid(t *testing.T) {
	long := strings.Repeat("x", maxReason+1)
	tests := []struct {
		name, method, path, body string
		code                     int
		text                     string
	}{
		{"no body", "POST", "/api/v1/freeze", ``, 400, "body is empty"},
		{"not JSON", "POST", "/api/v1/freeze", `reason=x`, 400, "body: invalid character"},
		{"two bodies", "POST", "/api/v1/freeze", `{"reason":"x"}{"reason":"y"}`, 400, "something follows the end"},
		{"a key that is none", "POST", "/api/v1/freeze", `{"reason":"x","untill":"2099-01-01T00:00:00Z"}`, 400, `unknown field "untill"`},
		{"no reason", "POST", "/api/v1/freeze", `{"for":"1h"}`, 400, "reason is missing"},
		{"a blank reason", "POST", "/api/v1/freeze", `{"reason":" \n"}`, 400, "reason is missing"},
		{"a reason of two lines", "POST", "/api/v1/freeze", `{"reason":"a\nlevel=info msg=forged"}`, 400, "one line of printable text"},
		{"a long reason", "POST", "/api/v1/freeze", `{"reason":"` + long + `"}`, 400, "at most 300 characters"},
		{"both ends", "POST", "/api/v1/freeze", `{"reason":"x","for":"1h","until":"2099-01-01T00:00:00Z"}`, 400, "give one of them"},
		{"an end in the past", "POST", "/api/v1/freeze", `{"reason":"x","until":"2020-01-01T00:00:00Z"}`, 400, "is over already"},
		{"an end that is no time", "POST", "/api/v1/freeze", `{"reason":"x","until":"tomorrow"}`, 400, "body: "},
		{"a length that is none", "POST", "/api/v1/freeze", `{"reason":"x","for":"-1h"}`, 400, `"-1h" is no length of time`},
		{"no length", "POST", "/api/v1/freeze", `{"reason":"x","for":"0s"}`, 400, "is no length of time"},
		{"a body beyond measure", "POST", "/api/v1/freeze", `{"reason":"` + strings.Repeat("x", maxBody) + `"}`, 413, "at most 65536 bytes"},
		{"much behind the end", "POST", "/api/v1/freeze", `{"reason":"x"}` + strings.Repeat(" ", maxBody), 413, "at most 65536 bytes"},
		{"a method that isn't", "PUT", "/api/v1/freeze", `{}`, 405, "use DELETE or GET or POST"},
		{"holds can't be posted", "POST", "/api/v1/holds", `{}`, 405, "use GET"},
		{"a release can't be got", "GET", "/api/v1/holds/edge1/shop/s1/release", ``, 405, "use POST"},
		{"a step can't be got", "GET", "/api/v1/members/edge1/shop/s1/drain", ``, 405, "use POST"},
		{"members can't be posted", "POST", "/api/v1/members", `{}`, 405, "use GET"},
		{"members by what isn't", "GET", "/api/v1/members?server=s1", ``, 400, `"server": no such parameter: want one of cursor, device, limit, member, pool, state`},
		{"members of two pools", "GET", "/api/v1/members?pool=a&pool=b", ``, 400, "pool: give it once"},
		{"members in no state", "GET", "/api/v1/members?state=up", ``, 400, `state: "up": want ready, drain, maint, serving or not_serving`},
		{"members of no number", "GET", "/api/v1/members?limit=0", ``, 400, `limit: "0": want a number from 1 to 10000`},
		{"members from nowhere on", "GET", "/api/v1/members?cursor=", ``, 400, "cursor: is none of ours"},
		{"members by a cursor of two lines", "GET", "/api/v1/members?cursor=%0A%00", ``, 400, "cursor: is none of ours"},
		{"devices by what isn't", "GET", "/api/v1/devices?device=edge1", ``, 400, `"device": no such parameter`},
		{"devices can't be posted", "POST", "/api/v1/devices", `{}`, 405, "use GET"},
		{"pools by what isn't", "GET", "/api/v1/pools?state=drain", ``, 400, `"state": no such parameter`},
		{"a step that isn't", "POST", "/api/v1/members/edge1/shop/s1/stop", ``, 404, "no such path"},
		{"a step on no member", "POST", "/api/v1/members/edge1/shop/drain", ``, 405, "use GET"},
		{"a step with a key that is none", "POST", "/api/v1/members/edge1/shop/s1/drain", `{"force":true}`, 400, `unknown field "force"`},
		{"a step with a reason of two lines", "POST", "/api/v1/members/edge1/shop/s1/drain", `{"reason":"a\nb"}`, 400, "one line of printable text"},
		{"an override without a reason", "POST", "/api/v1/members/edge1/shop/s1/drain", `{"override":["load"]}`, 400, "reason is missing"},
		{"more overrides than guards", "POST", "/api/v1/members/edge1/shop/s1/drain", `{"reason":"x","override":["a"` + strings.Repeat(`,"a"`, mostOverrides) + `]}`, 400, "not so many guards"},
		{"a weight with a state", "POST", "/api/v1/members/edge1/shop/s1/ready", `{"weight":5}`, 400, "leave them out"},
		{"no weight", "POST", "/api/v1/members/edge1/shop/s1/weight", `{"reason":"x"}`, 400, "a number from 1 on"},
		{"a weight twice", "POST", "/api/v1/members/edge1/shop/s1/weight", `{"weight":5,"percent":5}`, 400, "weight and percent: give one of them"},
		{"a share of nothing", "POST", "/api/v1/members/edge1/shop/s1/weight", `{"percent":0}`, 400, "a number from 1 on"},
		{"a share with a state", "POST", "/api/v1/members/edge1/shop/s1/drain", `{"percent":5}`, 400, "leave them out"},
		{"a member with parameters", "GET", "/api/v1/members/edge1/shop/s1?steps=9", ``, 400, "takes no parameters"},
		{"a member that isn't", "GET", "/api/v1/members/edge1/shop/s9", ``, 404, `no member "edge1/shop/s9"`},
		{"a weight of nothing", "POST", "/api/v1/members/edge1/shop/s1/weight", `{"weight":0}`, 400, "a number from 1 on"},
		{"a weight that is no number", "POST", "/api/v1/members/edge1/shop/s1/weight", `{"weight":"5"}`, 400, "body: "},
		{"a path that isn't", "GET", "/api/v1/hold", ``, 404, "no such path"},
		{"a hold that isn't", "POST", "/api/v1/holds/edge1/shop/s9/release", ``, 404, `no hold on "edge1/shop/s9"`},
		{"a hold with a newline in it", "POST", "/api/v1/holds/edge1/shop/s1%0Ashutdown/release", ``, 404, `no hold on "edge1/shop/s1\nshutdown"`},
		{"a limit that is no number", "GET", "/api/v1/steps?limit=all", ``, 400, `limit: "all": want a number from 1 to 10000`},
		{"a limit of none", "GET", "/api/v1/steps?limit=0", ``, 400, "want a number from 1"},
		{"a first of none", "GET", "/api/v1/steps?first=0", ``, 400, `first: "0": want a number from 1 to 10000`},
		{"both ends of the list", "GET", "/api/v1/steps?first=1&limit=1", ``, 400, "limit and first: give one of them"},
		{"a since that is no time", "GET", "/api/v1/steps?since=noon", ``, 400, `since: "noon": want 2026-01-02T15:04:05Z`},
		{"a since that is empty", "GET", "/api/v1/steps?since=", ``, 400, `since: "": want`},
		{"a parameter twice", "GET", "/api/v1/steps?pool=a&pool=b", ``, 400, "pool: give it once"},
		{"a parameter that is none", "GET", "/api/v1/steps?server=s1", ``, 400, `"server": no such parameter: want one of after`},
		{"a query that can't be read", "GET", "/api/v1/steps?%zz", ``, 400, "query can't be read"},
		{"candidates can't be posted", "POST", "/api/v1/candidates", `{}`, 405, "use GET"},
		{"approvals can't be posted as a whole", "POST", "/api/v1/approvals", `{"approve":true}`, 405, "use GET"},
		{"an approval can't be got", "GET", "/api/v1/approvals/edge1/shop/s1", ``, 405, "use POST"},
		{"no word at all", "POST", "/api/v1/approvals/edge1/shop/s1", ``, 400, "body is empty"},
		{"neither yes nor no", "POST", "/api/v1/approvals/edge1/shop/s1", `{"reason":"x"}`, 400, `want {"approve": true}, or`},
		{"a word that is none", "POST", "/api/v1/approvals/edge1/shop/s1", `{"approve":"yes"}`, 400, "body: cannot unmarshal string"},
		{"a key that is none in a word", "POST", "/api/v1/approvals/edge1/shop/s1", `{"approve":true,"until":"2099-01-01T00:00:00Z"}`, 400, `unknown field "until"`},
		{"a no without a reason", "POST", "/api/v1/approvals/edge1/shop/s1", `{"approve":false}`, 400, "reason is missing"},
		{"a reason of two lines for a yes", "POST", "/api/v1/approvals/edge1/shop/s1", `{"approve":true,"reason":"a\nb"}`, 400, "one line of printable text"},
		{"a word beyond measure", "POST", "/api/v1/approvals/edge1/shop/s1", `{"approve":true,"reason":"` + strings.Repeat("x", maxBody) + `"}`, 413, "at most 65536 bytes"},
		{"a word that nobody asked for", "POST", "/api/v1/approvals/edge1/shop/s9", `{"approve":true}`, 404, "edge1/shop/s9: no step on it waits"},
		{"nothing to explain", "POST", "/api/v1/explain", `{"labels":{}}`, 400, "labels: want those of an alert"},
		{"labels that are no texts", "POST", "/api/v1/explain", `{"labels":{"a":1}}`, 400, "body: cannot unmarshal number"},
	}
	a := newAPI(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := a.do(t, tt.method, tt.path, tt.body)
			if got.StatusCode != tt.code || !strings.Contains(got.Error, tt.text) {
				t.Errorf("got %d %q; want %d with %q", got.StatusCode, got.Error, tt.code, tt.text)
			}
			if len(got.Error) > 500 {
				t.Errorf("the error has %d bytes", len(got.Error))
			}
		})
	}
	if f, err := a.journal.Freeze(); f != nil || err != nil {
		t.Errorf("a mistake froze: %+v, %v", f, err)
	}
	if a.engine.woken+len(a.engine.released) != 0 {
		t.Error("a mistake reached the engine")
	}
}

func TestFreezeAndThaw(t *testing.T) { // I19
	a := newAPI(t)
	type state struct {
		Frozen bool
		Reason string
		Actor  string
		Until  time.Time
	}
	frozen := func(g answer) (out state) {
		t.Helper()
		if err := json.Unmarshal(g.Data, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if f := frozen(a.do(t, "GET", "/api/v1/freeze", "")); f.Frozen {
		t.Error("frozen from the start")
	}
	before := time.Now()
	f := frozen(a.do(t, "POST", "/api/v1/freeze", `{"reason":"moving racks","for":"1d"}`, func(r *http.Request) { r.SetBasicAuth("ann", "x") }))
	if !f.Frozen || f.Actor != "ann" || f.Until.Before(before.Add(24*time.Hour)) || f.Until.After(time.Now().Add(24*time.Hour)) {
		t.Errorf("got %+v", f)
	}
	if j, err := a.journal.Freeze(); err != nil || j == nil || j.Reason != "moving racks" {
		t.Errorf("the journal says %+v, %v: a freeze must be durable when the answer goes out", j, err)
	}
	f = frozen(a.do(t, "POST", "/api/v1/freeze", `{"reason":"longer","until":"2099-01-02T15:04:05Z"}`))
	if got := frozen(a.do(t, "GET", "/api/v1/freeze", "")); got != f || got.Reason != "longer" || got.Actor != "192.0.2.1" {
		t.Errorf("got %+v; want %+v from 192.0.2.1", got, f)
	}
	for range 2 { // to lift what isn't there is no mistake
		if f = frozen(a.do(t, "DELETE", "/api/v1/freeze", "")); f.Frozen {
			t.Error("still frozen")
		}
	}
	if f = frozen(a.do(t, "POST", "/api/v1/freeze", `{"reason":"until I am back"}`)); !f.Frozen || !f.Until.IsZero() {
		t.Errorf("got %+v; want no end", f)
	}
	if a.engine.woken != 5 {
		t.Errorf("woken %d times; want 5", a.engine.woken)
	}
}

func TestHoldsAndRelease(t *testing.T) { // I19: works while frozen
	a := newAPI(t)
	if got := string(a.do(t, "GET", "/api/v1/holds", "").Data); got != `{"holds":[],"count":0,"next":""}` {
		t.Errorf("got %s", got)
	}
	if err := a.journal.Put(&journal.Hold{Member: s1, Phase: journal.Intent, To: edge.Drain, Policy: "drain"}, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Holds []journal.Hold
		Count int
	}
	if err := json.Unmarshal(a.do(t, "GET", "/api/v1/holds", "").Data, &list); err != nil {
		t.Fatal(err)
	}
	if list.Count != 1 || list.Holds[0].Member != s1 || list.Holds[0].Phase != journal.Intent {
		t.Errorf("got %+v", list)
	}
	a.do(t, "POST", "/api/v1/freeze", `{"reason":"night"}`)
	a.do(t, "POST", "/api/v1/holds/edge1/shop/s1/release", `{"reason":"I have looked"}`)
	got := a.do(t, "POST", "/api/v1/holds/edge1/shop/s1/release", "", func(r *http.Request) { r.SetBasicAuth("ann", "x") })
	if string(got.Data) != `{"device":"edge1","pool":"shop","member":"s1","status":"requested"}` {
		t.Errorf("got %s", got.Data)
	}
	if d := cmp.Diff([]string{"edge1/shop/s1|192.0.2.1|I have looked", "edge1/shop/s1|ann|by hand"}, a.engine.released); d != "" {
		t.Error(d)
	}
}

func TestSteps(t *testing.T) { // I23
	a := newAPI(t)
	s2 := edge.Member{Device: "edge2", Pool: "shop", Name: "s2"}
	now := time.Now().Truncate(time.Second)
	for i, m := range []edge.Member{s1, s2, s1, s2} {
		if err := a.journal.Append(journal.Entry{At: now.Add(time.Duration(i-4) * time.Hour), Event: "refused", Member: &m}); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, query string
		want        []uint64
	}{
		{"all, oldest first", "", []uint64{1, 2, 3, 4}},
		{"the newest two", "?limit=2", []uint64{3, 4}},
		{"the oldest two", "?first=2", []uint64{1, 2}},
		{"the next page", "?first=2&after=2", []uint64{3, 4}},
		{"the page behind the last", "?first=2&after=4", []uint64{}},
		{"the oldest of one device", "?first=1&device=edge2", []uint64{2}},
		{"of one device", "?device=edge2", []uint64{2, 4}},
		{"of one member", "?member=s1&pool=shop&device=edge1", []uint64{1, 3}},
		{"of the last two and a half hours", "?since=150m", []uint64{3, 4}},
		{"since a time", "?since=" + now.Add(-90*time.Minute).UTC().Format(time.RFC3339), []uint64{4}},
		{"behind one that is known", "?after=3", []uint64{4}},
		{"of an event that wasn't", "?event=applied", []uint64{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var list struct {
				Steps []journal.Entry
				Count int
			}
			data := a.do(t, "GET", "/api/v1/steps"+tt.query, "").Data
			if err := json.Unmarshal(data, &list); err != nil {
				t.Fatal(err)
			}
			got := []uint64{}
			for _, e := range list.Steps {
				got = append(got, e.Seq)
			}
			if d := cmp.Diff(tt.want, got); d != "" || list.Count != len(got) || list.Steps == nil {
				t.Errorf("%s\n%s", data, d)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	a := newAPI(t)
	got := a.do(t, "POST", "/api/v1/explain", `{"labels":{"remediation":"drain","member":"s1;\nx"}}`)
	if string(got.Data) != `{"would":"drain"}` {
		t.Errorf("got %s", got.Data)
	}
	if d := cmp.Diff(map[string]string{"remediation": "drain", "member": "s1;\nx"}, a.engine.labels); d != "" {
		t.Error(d)
	}
	a.engine.err = errors.New("look at edge1:\n\tno answer")
	if got = a.do(t, "POST", "/api/v1/explain", `{"labels":{"a":"b"}}`); got.StatusCode != http.StatusInternalServerError || got.Error != "look at edge1: no answer" {
		t.Errorf("got %+v", got)
	}
}

func TestRestoreIsForAdmins(t *testing.T) {
	for _, role := range []string{"viewer", "operator", "webhook", "shop"} {
		got := newAPI(t).do(t, "POST", "/api/v1/pools/edge1/shop/restore", `{"object":"{}","reason":"x"}`, as(t, role))
		if got.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d %s", role, got.StatusCode, got.Error)
		}
	}
}

// By labels that the configuration's claims may read members of any pool are found.
func TestExplainIsForWhoSeesThePool(t *testing.T) {
	for labels, code := range map[string]int{
		`"device":"edge1","pool":"shop","member":"s1","remediation":"drain"`: 200,
		`"device":"edge1","pool":"api"`:                                      403,
		`"device":"edge1"`:                                                   403,
		`"pool":"shop"`:                                                      403, // of whatever device
		`"remediation":"drain"`:                                              403,
		`"device":"edge1","pool":"shop","instance":"192.0.2.1"`:              403,
	} {
		a := newAPI(t)
		if got := a.do(t, "POST", "/api/v1/explain", `{"labels":{`+labels+`}}`, as(t, "shop")); got.StatusCode != code {
			t.Errorf("%s: %d %s, want %d", labels, got.StatusCode, got.Error, code)
		}
		if code == http.StatusForbidden && a.engine.labels != nil {
			t.Errorf("%s: the engine was asked", labels)
		}
	}
}

func TestWhatTheJournalCannotDoIs503(t *testing.T) { // I19: nobody may take a freeze for granted that isn't there
	a := newAPI(t)
	if err := a.journal.Close(); err != nil {
		t.Fatal(err)
	}
	for _, q := range [][3]string{
		{"GET", "/api/v1/freeze", ""},
		{"POST", "/api/v1/freeze", `{"reason":"x"}`},
		{"DELETE", "/api/v1/freeze", ""},
		{"GET", "/api/v1/holds", ""},
		{"GET", "/api/v1/candidates", ""},
		{"GET", "/api/v1/approvals", ""},
		{"GET", "/api/v1/steps", ""},
	} {
		if got := a.do(t, q[0], q[1], q[2]); got.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s %s: got %+v", q[0], q[1], got)
		}
	}
	if a.engine.woken != 0 {
		t.Error("the engine was woken for nothing")
	}
}

func TestAPageOfAnotherSiteCannotFreeze(t *testing.T) { // I22
	a := newAPI(t)
	got := a.do(t, "POST", "/api/v1/freeze", `{"reason":"x"}`, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	if got.StatusCode != http.StatusForbidden {
		t.Errorf("got %+v", got)
	}
	if got = a.do(t, "GET", "/api/v1/freeze", "", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); got.StatusCode != http.StatusOK {
		t.Errorf("reading: got %+v", got)
	}
}

func FuzzControl(f *testing.F) { // I21
	f.Add("POST", "/api/v1/freeze", `{"reason":"x","for":"1h"}`)
	f.Add("GET", "/api/v1/steps?limit=1&since=1h", "")
	f.Add("POST", "/api/v1/freeze", `{"reason":"x","device":"edge1","pool":"shop"}`)
	f.Add("DELETE", "/api/v1/freeze?device=edge1&pool=shop", "")
	f.Add("POST", "/api/v1/members/edge1/shop/s1/claim", `{"reason":"x","for":"1h"}`)
	f.Add("POST", "/api/v1/members/edge1/shop/s1/release", "")
	f.Add("POST", "/api/v1/maintenance", `{"name":"x","cron":"0 4 * * sun","duration":"1h","members":{"pool":"a|b"},"days":["mon"]}`)
	f.Add("DELETE", "/api/v1/maintenance/x%2Fy%00", "")
	f.Add("POST", "/api/v1/holds/edge1/shop/s1/release", `{"reason":"x"}`)
	f.Add("POST", "/api/v1/approvals/edge1/shop/s1", `{"approve":false,"reason":"x"}`)
	f.Add("GET", "/api/v1/candidates", "")
	f.Add("POST", "/api/v1/explain", `{"labels":{"a":"b"}}`)
	j, err := journal.Open(filepath.Join(f.TempDir(), "sluice.db"), time.Second)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { j.Close() })
	e := &engine{journal: j}
	h := Handler(Options{Journal: j, Engine: e})
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://192.0.2.1/", strings.NewReader(body))
		if err != nil {
			return
		}
		u, err := r.URL.Parse(path)
		if err != nil || !strings.HasPrefix(u.Path, "/") {
			return
		}
		r.URL = u
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 300 && w.Code < 400 {
			return // the mux cleans paths
		}
		var got answer
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.StatusCode != w.Code || got.Success != (w.Code == 200) {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		if w.Code >= 500 {
			t.Fatalf("%s %s %q: %s", method, path, body, w.Body)
		}
	})
}

func TestAnObjectIsPutBackByAPersonsWord(t *testing.T) {
	a := newAPI(t)
	object := strings.Repeat(" ", maxBody) + "{}" // larger than other requests may be
	body, err := json.Marshal(map[string]string{"object": object, "reason": "wrong change"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/api/v1/pools/waf1/shop%2Ffront/restore": http.StatusOK,
		"/api/v1/pools/edge9/shop/restore":        http.StatusNotFound,
	} {
		w := httptest.NewRecorder()
		a.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body))))
		if w.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
	if len(a.engine.released) != 1 || !strings.HasPrefix(a.engine.released[0], "waf1/shop/front| ") || !strings.HasSuffix(a.engine.released[0], "|wrong change") {
		t.Errorf("the engine heard %.60q", a.engine.released)
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/pools/waf1/shop/restore", strings.NewReader(`{"object": "{}"}`)))
	if w.Code != http.StatusBadRequest {
		t.Errorf("without a reason: %d", w.Code)
	}
}

func TestImagesAreLeftOutUnlessAskedFor(t *testing.T) {
	a := newAPI(t)
	if err := a.journal.Append(journal.Entry{Event: "image", Before: []byte("old"), After: []byte("new"), Remediation: "r1"}, journal.Entry{Event: "other"}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]bool{"?remediation=r1": false, "?remediation=r1&images=1": true} {
		w := httptest.NewRecorder()
		a.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/steps"+query, nil))
		if got := strings.Contains(w.Body.String(), `"before"`); got != want || !strings.Contains(w.Body.String(), `"count":1`) {
			t.Errorf("%s: %s", query, w.Body)
		}
	}
}

func TestAPageOfLargeEntriesIsShort(t *testing.T) {
	small, large := journal.Entry{Event: "image"}, journal.Entry{Event: "image", Before: make([]byte, pageBytes)}
	for _, tt := range []struct {
		name    string
		entries []journal.Entry
		want    int
	}{
		{"none", nil, 0},
		{"small ones", []journal.Entry{small, small, small, small}, 3},
		{"one that is larger than a page", []journal.Entry{large, small}, 1},
		{"one that no longer fits", []journal.Entry{small, large}, 1},
	} {
		a := newAPI(t)
		if err := a.journal.Append(tt.entries...); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{"?first=3", "?order=oldest&limit=3"} {
			var got struct{ Count int }
			if err := json.Unmarshal(a.do(t, "GET", "/api/v1/steps"+query, "").Data, &got); err != nil || got.Count != tt.want {
				t.Errorf("%s: %s: %d, %v; want %d", tt.name, query, got.Count, err, tt.want)
			}
		}
	}
}
