package events

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/loopback"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

var (
	s1 = edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
	a1 = edge.Member{Device: "edge1", Pool: "api", Name: "a1"}
)

// devices are two, of which the second may hang.
type devices struct {
	mu      sync.Mutex
	names   []string
	members map[edge.Member]control.Member
	dead    bool
	hang    chan struct{} // until it is closed
	looks   int
}

func newDevices(ms ...edge.Member) *devices {
	d := &devices{names: []string{"edge1"}, members: map[edge.Member]control.Member{}}
	for _, m := range ms {
		d.members[m] = control.Member{State: edge.State{Member: m, Serving: true}}
	}
	return d
}

func (d *devices) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names
}

func (d *devices) Members(ctx context.Context, device, _ string) (out control.Roster, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	if hang := d.hang; hang != nil && device == "edge2" {
		d.mu.Unlock()
		defer d.mu.Lock()
		select {
		case <-hang:
		case <-ctx.Done():
		}
		return out, errors.New("no answer")
	}
	out.Devices = []control.Device{{Device: device, Up: !d.dead}}
	for _, m := range d.members {
		if m.Member.Device == device && !d.dead {
			out.Members = append(out.Members, m)
		}
	}
	return out, nil
}

func (d *devices) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// A house is a hub behind a real server.
type house struct {
	journal *journal.Journal
	devices *devices
	hub     *Hub
	url     string
	who     func(*http.Request) *http.Request
}

func newHouse(t *testing.T, d *devices) *house {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "sluice.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	p := &house{journal: j, devices: d, hub: New(j, d), who: func(r *http.Request) *http.Request { return r }}
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	// As short as no real one: an answer that doesn't end must not be held to them.
	server := &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.hub.ServeHTTP(w, p.who(r)) }),
		ReadTimeout: 50 * time.Millisecond, WriteTimeout: 50 * time.Millisecond,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		p.hub.End()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("listeners keep the server: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		p.hub.Close()
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	p.url = "http://" + ln.Addr().String() + "/api/v1/events"
	return p
}

// eventually waits for what has to come about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	late := time.After(patience)
	for tick := time.Tick(5 * time.Millisecond); !is(); {
		select {
		case <-tick:
		case <-late:
			t.Fatalf("still not: %s", what)
		}
	}
}

func (p *house) append(t *testing.T, es ...journal.Entry) {
	t.Helper()
	if err := p.journal.Append(es...); err != nil {
		t.Fatal(err)
	}
}

// An ear is one connection.
type ear struct {
	resp *http.Response
	text *bufio.Scanner
	last string // id
}

// said is one event.
type said struct{ id, name, data string }

func (p *house) listen(t *testing.T, query, last string) *ear {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	e := &ear{resp: resp, text: bufio.NewScanner(resp.Body)}
	e.text.Buffer(nil, 16<<20)
	return e
}

// next is the next event; ok is false when the connection has ended.
func (e *ear) next() (s said, ok bool) {
	for e.text.Scan() {
		field, value, _ := strings.Cut(e.text.Text(), ": ")
		switch field {
		case "id":
			s.id, e.last = value, value
		case "event":
			s.name = value
		case "data":
			s.data = value
		case "":
			if s.name != "" && value == "" {
				return s, true
			}
			s = said{}
		}
	}
	return s, false
}

// until reads up to an event that is wanted.
func (e *ear) until(t *testing.T, name, part string) said {
	t.Helper()
	for {
		s, ok := e.next()
		if !ok {
			t.Fatalf("the connection ended before %s with %q: %v", name, part, e.text.Err())
		}
		if s.name == name && strings.Contains(s.data, part) {
			return s
		}
	}
}

func TestAListenerThatComesBackGetsEachEntryOnce(t *testing.T) {
	p := newHouse(t, newDevices(s1))
	p.append(t, journal.Entry{Event: "before"})
	const each, visits = 300, 4
	written := make(chan error, 1)
	e := p.listen(t, "", "")
	if hello := e.until(t, "changed", ""); hello.id != "1" || hello.data != `{"what":["devices","members","holds","freeze","maintenance","claims"]}` {
		t.Fatalf("got %+v", hello)
	}
	go func() {
		for i := range each * visits {
			if err := p.journal.Append(journal.Entry{Event: "step", Member: &s1, Detail: fmt.Sprint(i), Before: []byte("an object")}); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	var got []string
	for len(got) < each*visits {
		s := e.until(t, "step", "")
		var entry journal.Entry
		if err := json.Unmarshal([]byte(s.data), &entry); err != nil || fmt.Sprint(entry.Seq) != s.id || entry.Before != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if got = append(got, entry.Detail); len(got)%each == 0 {
			e.resp.Body.Close() // in the middle of whatever is under way
			e = p.listen(t, "?after=0", e.last)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	for i, d := range got {
		if d != fmt.Sprint(i) {
			t.Fatalf("entry %d is %s", i, d)
		}
	}
	e = p.listen(t, "?after=0", "")
	for i := range 3 { // and from the start
		if s := e.until(t, "step", ""); s.id != fmt.Sprint(i+1) {
			t.Errorf("got %+v", s)
		}
	}
}

func TestWhereAListenerBegins(t *testing.T) {
	p := newHouse(t, newDevices(s1))
	p.append(t, journal.Entry{Event: "a"}, journal.Entry{Event: "b"})
	for _, c := range []struct{ query, last, hello, what, first string }{
		{"", "", "2", "claims", "3"},
		{"?after=1", "", "1", "claims", "2"},
		{"?after=0", "1", "1", "claims", "2"}, // a browser keeps asking as it did
		{"?after=2", "", "2", "claims", "3"},
		{"?after=99", "", "2", "steps", "3"}, // of another journal
	} {
		e := p.listen(t, c.query, c.last)
		if s := e.until(t, "changed", ""); s.id != c.hello || !strings.HasSuffix(s.data, `"`+c.what+`"]}`) {
			t.Errorf("%+v: begins with %+v", c, s)
		}
		p.append(t, journal.Entry{Event: "c"})
		if s := e.until(t, "step", ""); s.id != c.first {
			t.Errorf("%+v: the first entry is %+v", c, s)
		}
		if err := p.journal.Prune(time.Now().Add(time.Hour)); err != nil { // seqs aren't given twice
			t.Fatal(err)
		}
		p = newHouse(t, newDevices(s1))
		p.append(t, journal.Entry{Event: "a"}, journal.Entry{Event: "b"})
	}
}

func TestListenersGetOnlyWhatTheyMaySee(t *testing.T) {
	p := newHouse(t, newDevices(s1, a1))
	ann, err := access.Named("ann", access.ViaToken, []string{"shop"}, access.Role{Name: "shop", Like: access.Viewer, Pools: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	hook, err := access.Named("am", access.ViaToken, []string{access.Hook})
	if err != nil {
		t.Fatal(err)
	}
	for who, code := range map[*access.Identity]int{&ann: http.StatusOK, &hook: http.StatusForbidden} {
		p.who = func(r *http.Request) *http.Request { return r.WithContext(access.With(r.Context(), *who)) }
		if e := p.listen(t, "", ""); e.resp.StatusCode != code {
			t.Errorf("%s: %d", who.Name, e.resp.StatusCode)
		}
	}
	p.who = func(r *http.Request) *http.Request { return r.WithContext(access.With(r.Context(), ann)) }
	p.append(t, journal.Entry{Event: "step", Member: &a1}, journal.Entry{Event: "mode", Detail: "of all"})
	e := p.listen(t, "?after=0", "") // from the journal, and as it happens
	p.append(t, journal.Entry{Event: "step", Member: &a1}, journal.Entry{Event: "mode"}, journal.Entry{Event: "step", Member: &s1})
	if s := e.until(t, "step", ""); s.id != "5" {
		t.Errorf("got %+v", s)
	}
	p.devices.change(func() {
		for m, is := range p.devices.members {
			is.Sessions = 7
			p.devices.members[m] = is
		}
	})
	for {
		s := e.until(t, "member", "")
		if !strings.Contains(s.data, `"pool":"shop"`) {
			t.Errorf("got %+v", s)
		}
		if strings.Contains(s.data, `"sessions":7`) {
			break
		}
	}
}

// A stream ends soon when its listener would be let in no longer.
func TestAListenerWhoMayNoLongerIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		still := true
		s := &stream{w: httptest.NewRecorder(), sees: func(edge.Pool) bool { return true }}
		s.rc = http.NewResponseController(s.w)
		l := &listener{frames: make(chan []frame), cut: make(chan struct{}), end: make(chan struct{})}
		began := time.Now()
		time.AfterFunc(5*aliveEvery+time.Second, func() { still = false })
		s.follow(t.Context(), l, func() bool { return still })
		if took := time.Since(began); took != 6*aliveEvery {
			t.Errorf("it ended after %s", took)
		}
	})
}

func TestMembersAreToldWhenTheyChange(t *testing.T) {
	d := newDevices(s1)
	d.names, d.hang = []string{"edge1", "edge2"}, make(chan struct{})
	p := newHouse(t, d)
	defer close(d.hang)
	e := p.listen(t, "", "")
	var m control.Member
	if err := json.Unmarshal([]byte(e.until(t, "member", "s1").data), &m); err != nil || !m.Serving {
		t.Errorf("got %+v, %v", m, err)
	}
	set := func(f func(*control.Member)) {
		d.change(func() {
			one := d.members[s1]
			f(&one)
			d.members[s1] = one
		})
	}
	share := .5
	set(func(m *control.Member) { m.Chosen, m.Answers, m.ErrorsOver = 5, 5, "2s" }) // no change
	looked := func() (n int) { d.change(func() { n = d.looks }); return n }
	for n := looked(); looked() < n+2; {
		p.append(t, journal.Entry{Event: "tick", Detail: fmt.Sprint(looked())})
		if s, ok := e.next(); !ok || s.name == "member" {
			t.Fatalf("got %+v, %t", s, ok)
		}
	}
	set(func(m *control.Member) { m.Errors5xx, m.Set = &share, &control.SetBy{By: "person", Actor: "ann"} })
	if s := e.until(t, "member", "s1"); !strings.Contains(s.data, `"actor":"ann"`) || !strings.Contains(s.data, `"errors_5xx":0.5`) {
		t.Errorf("got %+v", s)
	}
	d.change(func() { d.dead = true })
	e.until(t, "changed", `["devices"]`)
	d.change(func() { d.dead = false; delete(d.members, s1) })
	e.until(t, "changed", `["devices","members"]`)
	d.change(func() { d.names = []string{"edge1"} })
	e.until(t, "changed", `["devices","members"]`)
}

func TestWhatPeoplePutInTheWayIsTold(t *testing.T) {
	p := newHouse(t, newDevices())
	e := p.listen(t, "", "")
	e.until(t, "changed", "claims")
	if err := p.journal.SetFreeze(journal.Freeze{Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	e.until(t, "step", `"freeze"`)
	e.until(t, "changed", `["freeze"]`)
	if err := p.journal.Claim(journal.Claimed{Member: s1, Actor: "ann", Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	e.until(t, "changed", `["claims"]`)
	h := journal.Hold{Member: s1, Policy: "drain", Phase: journal.Intent, Via: []journal.Phase{journal.Observed, journal.Pending, journal.Guarded}}
	if err := p.journal.Put(&h, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	e.until(t, "changed", `["holds"]`)
}

// A listener that reads nothing delays nobody, and is cut off.
func TestAListenerThatIsTooSlowIsCutOff(t *testing.T) {
	p := newHouse(t, newDevices())
	deaf, err := net.Dial("tcp", strings.Split(p.url, "/")[2])
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	fmt.Fprintf(deaf, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
	e := p.listen(t, "", "")
	e.until(t, "changed", "")
	listeners := func() int {
		p.hub.mu.Lock()
		defer p.hub.mu.Unlock()
		p.hub.feed.mu.Lock()
		defer p.hub.feed.mu.Unlock()
		return len(p.hub.feed.listeners)
	}
	eventually(t, "it listens", func() bool { return listeners() == 2 })
	large := strings.Repeat("x", 200<<10)
	for n := 2; listeners() == 2; n++ {
		p.append(t, journal.Entry{Event: "large", Detail: large})
		e.until(t, "step", "large") // the other one has it at once
		if n > 1000 {
			t.Fatal("it is still there")
		}
	}
}

func TestMoreListenersThanThereMayBe(t *testing.T) {
	p := newHouse(t, newDevices())
	var all []*ear
	for range mostListeners {
		all = append(all, p.listen(t, "", ""))
		all[len(all)-1].until(t, "changed", "")
	}
	if e := p.listen(t, "", ""); e.resp.StatusCode != http.StatusServiceUnavailable || e.resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %d", e.resp.StatusCode)
	}
	all[0].resp.Body.Close()
	eventually(t, "there is room for another", func() bool { return p.listen(t, "", "").resp.StatusCode == http.StatusOK })
}

func TestNobodyLooksWhenNobodyListens(t *testing.T) {
	p := newHouse(t, newDevices(s1))
	for range 3 {
		e := p.listen(t, "", "")
		e.until(t, "member", "s1")
		e.resp.Body.Close()
		eventually(t, "nothing is read any more", func() bool {
			p.hub.mu.Lock()
			defer p.hub.mu.Unlock()
			return p.hub.feed == nil
		})
		p.hub.feeding.Wait()
	}
	if p.devices.looks > 6 {
		t.Errorf("%d looks", p.devices.looks)
	}
}

func TestMistakesOfListeners(t *testing.T) {
	p := newHouse(t, newDevices())
	for _, c := range []struct {
		method, query, last string
		code                int
		text                string
	}{
		{"POST", "", "", http.StatusMethodNotAllowed, "use GET"},
		{"HEAD", "", "", http.StatusMethodNotAllowed, ""},
		{"GET", "?after=x", "", http.StatusBadRequest, "want the seq of a step"},
		{"GET", "?after=-1", "", http.StatusBadRequest, "want the seq of a step"},
		{"GET", "", "x; y", http.StatusBadRequest, "want the seq of a step"},
		{"GET", "?after=1&after=2", "", http.StatusBadRequest, "once"},
		{"GET", "?limit=1", "", http.StatusBadRequest, "no parameter but after"},
		{"GET", "?%zz", "", http.StatusBadRequest, "query can't be read"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, "/api/v1/events"+c.query, nil)
		r.Header.Set("Last-Event-ID", c.last)
		w := httptest.NewRecorder()
		p.hub.ServeHTTP(w, r)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%+v: got %d %s", c, w.Code, w.Body)
		}
	}
	p.hub.End()
	w := httptest.NewRecorder()
	p.hub.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("at the end: got %d", w.Code)
	}
}

// changed lists the fields, those of what a pointer leads to included, that may be
// set in v, a part of m, without making it another than full.
func changed(t *testing.T, full control.Member, m *control.Member, v reflect.Value, path string) (none []string) {
	t.Helper()
	for i := range v.NumField() {
		f, name := v.Field(i), path+v.Type().Field(i).Name
		was := reflect.New(f.Type()).Elem()
		was.Set(f)
		switch f.Kind() {
		case reflect.Struct:
			if at, ok := f.Interface().(time.Time); ok {
				f.Set(reflect.ValueOf(at.Add(time.Second)))
				break
			}
			none = append(none, changed(t, full, m, f, name+".")...)
			continue
		case reflect.String:
			f.SetString("another")
		case reflect.Int, reflect.Int64:
			f.SetInt(4711)
		case reflect.Uint8, reflect.Uint64:
			f.SetUint(2)
		case reflect.Float64:
			f.SetFloat(.7)
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"another"}))
		case reflect.Pointer:
			if f.Elem().Kind() == reflect.Struct {
				none = append(none, changed(t, full, m, f.Elem(), name+".")...)
			}
			f.SetZero()
		default:
			t.Fatalf("%s is a %s", name, f.Kind())
		}
		if same(full, *m) {
			none = append(none, name)
		}
		f.Set(was)
	}
	return none
}

func TestEachFieldOfAMemberIsAChangeButCounts(t *testing.T) {
	full := func() *control.Member {
		share := .1
		return &control.Member{State: edge.State{Member: s1}, Set: &control.SetBy{}, Claimed: &journal.Claimed{}, Errors5xx: &share}
	}
	m := full()
	want := []string{"State.Chosen", "State.Answers", "State.Errors", "ErrorsOver"}
	if diff := cmp.Diff(want, changed(t, *full(), m, reflect.ValueOf(m).Elem(), "")); diff != "" {
		t.Errorf("no change (-want +got):\n%s", diff)
	}
	if !same(*full(), *full()) {
		t.Error("a member isn't the same as itself")
	}
}

func TestListsThatChangeAreNamedOnce(t *testing.T) {
	if diff := cmp.Diff("event: changed\ndata: {\"what\":[\"members\",\"holds\"]}\n\n", string(changedFrame("members", "holds", "members").text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// broken is a journal that can't be read.
type broken struct{ *journal.Journal }

func (broken) Newest() (uint64, error) { return 0, errors.New("unreadable") }

func TestAJournalThatCannotBeReadIsToldAtOnce(t *testing.T) {
	p := newHouse(t, newDevices())
	h := New(broken{p.journal}, p.devices)
	defer h.Close()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "unreadable") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// FuzzPlace: a listener begins where it says, or is told what is wrong.
func FuzzPlace(f *testing.F) {
	f.Add("after=17", "")
	f.Add("", "18446744073709551615")
	f.Add("after=%zz", "\n")
	f.Add("after=1&after=2", "3")
	f.Fuzz(func(t *testing.T, query, last string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events", nil)
		r.URL.RawQuery = query
		r.Header.Set("Last-Event-ID", last)
		after, resumes, err := place(r)
		if err != nil && (after != 0 || resumes) || after > 0 && !resumes {
			t.Errorf("%q, %q: %d, %t, %v", query, last, after, resumes, err)
		}
	})
}
