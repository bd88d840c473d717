package ptaf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
)

// takeOut takes the first of three out.
var takeOut = map[string]bool{"192.0.2.11:8080": true}

// backends is the list of an object, byte for byte.
func backends(t *testing.T, object []byte) string {
	t.Helper()
	list, err := ptaf.Backends(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(list)
}

func version(t *testing.T, object []byte) string {
	t.Helper()
	u, err := ptaf.ParseUpstream(object)
	if err != nil {
		t.Fatal(err)
	}
	return u.Version()
}

// order is the requests that a client makes, as "GET shop" and so on.
func order(tr *transport, and func(*http.Request)) *[]string {
	var got []string
	tr.before = func(r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, ptaftest.Base)
		got = append(got, r.Method+" "+strings.Replace(path, shopID, "shop", 1))
		if and != nil {
			and(r)
		}
	}
	return &got
}

// onWrite calls f when a PATCH is about to leave.
func onWrite(f func()) func(*http.Request) {
	return func(r *http.Request) {
		if r.Method == http.MethodPatch {
			f()
		}
	}
}

func TestAChangeIsFourCalls(t *testing.T) {
	s := newSim()
	o, tr := options(t, s.Start(t))
	calls := order(tr, nil)
	before := s.Object("shop-front")
	var saved []byte
	r, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{
		Version: version(t, before),
		Save: func(object []byte) error {
			saved = object
			*calls = append(*calls, "save")
			return nil
		},
	})
	wantErr(t, err, nil)
	wantEqual(t, *calls, []string{"GET /upstreams", "GET /upstreams/shop", "save", "GET /upstreams/shop", "PATCH /upstreams/shop", "GET /upstreams/shop"})
	wantEqual(t, string(saved), string(before))
	wantEqual(t, string(r.Before), string(before))
	wantEqual(t, string(r.After), string(s.Object("shop-front")))
	if !r.Written || r.Gap <= 0 {
		t.Errorf("written %v, gap %s", r.Written, r.Gap)
	}
	// All backends, and nothing but the wanted value is another.
	want := `{"backends":` + strings.Replace(backends(t, before), `"down":false`, `"down":true`, 1) + `}`
	wantEqual(t, string(s.Writes()[0].Body), want)
	wantEqual(t, backends(t, r.After), backends(t, []byte(strings.Replace(string(before), `"down":false`, `"down":true`, 1))))
}

func TestSeveralBackendsChangeInOneWrite(t *testing.T) {
	s := newSim()
	o, _ := options(t, s.Start(t))
	c := newClient(t, o)
	_, err := c.Change(t.Context(), shopID, map[string]bool{"192.0.2.11:8080": true, "192.0.2.12:8080": false, "192.0.2.13:8080": false}, ptaf.Write{})
	wantErr(t, err, nil)
	wantEqual(t, downs(read(t, c), "shop-front"), "+--")
	wantEqual(t, len(s.Writes()), 1)
}

func TestWhatIsSoAlreadyIsNotWritten(t *testing.T) {
	s := newSim()
	o, tr := options(t, s.Start(t))
	calls := order(tr, nil)
	for _, down := range []map[string]bool{nil, {"192.0.2.12:8080": true, "192.0.2.13:8080": false}} {
		*calls = nil
		r, err := newClient(t, o).Change(t.Context(), "shop-front", down, ptaf.Write{Version: "of another time", Save: func([]byte) error { return errors.New("not called") }})
		wantErr(t, err, nil)
		wantEqual(t, r, edge.Receipt{Before: s.Object("shop-front"), After: s.Object("shop-front")})
		wantEqual(t, *calls, []string{"GET /upstreams", "GET /upstreams/shop"})
	}
}

// I7, I11
func TestNothingIsSentWhen(t *testing.T) {
	for _, c := range []struct {
		name     string
		prepare  func(*ptaftest.Sim)
		upstream string
		down     map[string]bool
		write    ptaf.Write
		want     error
		says     string
	}{
		{"the upstream isn't there", nil, "gone", takeOut, ptaf.Write{}, ptaf.ErrNoUpstream, `change upstream "gone": no such upstream: there are `},
		{"its name is there twice", nil, "twice", takeOut, ptaf.Write{}, ptaf.ErrAmbiguous, "rename all but one"},
		{"the backend isn't there", nil, "shop-front", map[string]bool{"192.0.2.11:8080": true, "192.0.2.11:80": true}, ptaf.Write{}, ptaf.ErrNoBackend, `backend "192.0.2.11:80"`},
		{"there are no backends", nil, "empty", takeOut, ptaf.Write{}, ptaf.ErrNoBackend, "no such backend"},
		{"one backend can't be read", nil, "odd", takeOut, ptaf.Write{}, ptaf.ErrAnswer, "backend 2: "},
		{"it changed since the decision", nil, "shop-front", takeOut, ptaf.Write{Version: "0123456789abcdef"}, edge.ErrChanged, "not as it was decided on"},
		{"it can't be saved", nil, "shop-front", takeOut, ptaf.Write{Save: func([]byte) error { return io.ErrShortWrite }}, io.ErrShortWrite, "nothing was sent"},
		{"somebody edits between the looks", func(s *ptaftest.Sim) { s.Misbehave(ptaftest.EditBetweenGets, 1) }, "shop-front", takeOut, ptaf.Write{}, edge.ErrChanged, "192.0.2.13:8080 is down"},
		{"it is deleted between the looks", nil, "shop-front", takeOut, ptaf.Write{Save: nil}, ptaf.ErrNotFound, "status 404"},
		{"the user may not", func(s *ptaftest.Sim) { s.Misbehave(ptaftest.Unauthorized, -1) }, "shop-front", takeOut, ptaf.Write{}, ptaf.ErrCredentials, "status 401"},
		{"the answer is a page", func(s *ptaftest.Sim) { s.Misbehave(ptaftest.HTMLPage, -1) }, "shop-front", takeOut, ptaf.Write{}, ptaf.ErrAnswer, "Sign in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(ptaftest.Upstream{Name: "twice"}, ptaftest.Upstream{Name: "twice"}, ptaftest.Upstream{Name: "empty"},
				ptaftest.Upstream{Name: "odd", Backends: []ptaftest.Backend{{Address: "192.0.2.11", Port: 8080}, {Address: " "}}})
			if c.prepare != nil {
				c.prepare(s)
			}
			if errors.Is(c.want, ptaf.ErrNotFound) {
				c.write.Save = func([]byte) error {
					s.Remove("shop-front")
					return nil
				}
			}
			o, _ := options(t, s.Start(t))
			r, err := newClient(t, o).Change(t.Context(), c.upstream, c.down, c.write)
			wantErr(t, err, c.want)
			wantText(t, err, c.says)
			if r.Written || len(s.Writes()) != 0 {
				t.Errorf("written %v, %d writes", r.Written, len(s.Writes()))
			}
		})
	}
}

// I9, I10
func TestAWriteIsNeverSentTwice(t *testing.T) {
	for _, c := range []struct {
		name    string
		fault   ptaftest.Fault
		written bool // the outcome is not known
		want    error
		says    string
	}{
		{"a server's error", ptaftest.Error500Once, true, nil, "status 500: internal error"},
		{"no right", ptaftest.Forbidden, false, ptaf.ErrForbidden, "can_edit on Upstreams: you have no right"},
		{"not valid", ptaftest.Unprocessable, false, nil, "status 422: backends: not valid"},
		{"not there", ptaftest.NotFound, false, ptaf.ErrNotFound, "status 404"},
		{"a cut answer", ptaftest.CutBody, true, io.ErrUnexpectedEOF, "breaks off"},
		{"no answer", ptaftest.Hang, true, ptaf.ErrTimeout, "timeout after 100ms"},
		{"a page", ptaftest.HTMLPage, true, ptaf.ErrAnswer, "Sign in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim()
			o, tr := options(t, s.Start(t))
			o.Retries = 2
			if c.fault == ptaftest.Hang {
				o.Timeout = 100 * time.Millisecond
			}
			calls := order(tr, onWrite(func() { s.Misbehave(c.fault, 1) }))
			r, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
			if c.want != nil {
				wantErr(t, err, c.want)
			}
			wantText(t, err, "PATCH /upstreams/"+shopID+": ")
			wantText(t, err, c.says)
			wantEqual(t, r.Written, c.written)
			wantEqual(t, strings.Count(strings.Join(*calls, " "), "PATCH"), 1)
			wantEqual(t, (*calls)[len(*calls)-1], "PATCH /upstreams/shop") // what became of it is for the caller to look at
		})
	}
}

func TestAWriteToNobodyIsNotSent(t *testing.T) {
	s := newSim()
	o, tr := options(t, s.Start(t))
	tr.before = func(r *http.Request) {
		if r.Method == http.MethodPatch {
			r.URL.Host = "127.0.0.1:1" // nobody listens there
		}
	}
	r, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
	wantText(t, err, "connection refused")
	wantEqual(t, r.Written, false)
}

func TestACancelledChangeSendsNothing(t *testing.T) {
	s := newSim()
	o, _ := options(t, s.Start(t))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := newClient(t, o).Change(ctx, "shop-front", takeOut, ptaf.Write{Save: func([]byte) error { cancel(); return nil }})
	wantErr(t, err, context.Canceled)
	if r.Written || len(s.Writes()) != 0 {
		t.Errorf("written %v, %d writes", r.Written, len(s.Writes()))
	}
	_, err = newClient(t, o).Change(ctx, "shop-front", takeOut, ptaf.Write{})
	wantErr(t, err, context.Canceled)

	ctx, cancel = context.WithCancel(t.Context()) // as late as can be
	r, err = newClient(t, o).Change(ctx, "shop-front", takeOut, ptaf.Write{Last: func() error { cancel(); return nil }})
	wantErr(t, err, context.Canceled)
	if r.Written || len(s.Writes()) != 0 {
		t.Errorf("written %v, %d writes", r.Written, len(s.Writes()))
	}
}

func TestReadsOfAChangeAreTriedAgain(t *testing.T) {
	s := newSim()
	o, tr := options(t, s.Start(t))
	o.Retries = 1
	failed := map[string]int{}
	tr.before = func(r *http.Request) {
		if r.Method == http.MethodGet {
			if failed["GET"]++; failed["GET"]%2 == 1 {
				s.Misbehave(ptaftest.Error500Once, 1)
			}
		}
	}
	r, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
	wantErr(t, err, nil)
	wantEqual(t, r.Written, true)
	wantEqual(t, failed["GET"], 8)
}

func TestAnAnswerToAWriteMayBeEmpty(t *testing.T) {
	s := newSim()
	s.Misbehave(ptaftest.EmptyWriteAnswer, -1)
	o, _ := options(t, s.Start(t))
	r, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
	wantErr(t, err, nil)
	wantEqual(t, string(r.After), string(s.Object("shop-front")))
}

// I20
func TestWhatIsTakenAndNotKeptIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name string
		on   func(s *ptaftest.Sim) // just before the PATCH
		says string
	}{
		{"the device keeps nothing", func(s *ptaftest.Sim) { s.Misbehave(ptaftest.NotKept, 1) }, "192.0.2.11:8080 is not down"},
		{"somebody edits the list just after", func(s *ptaftest.Sim) { s.Misbehave(ptaftest.EditAfterWrite, 1) }, "192.0.2.12:8080 is not down"},
		{"somebody edits another field just before", func(s *ptaftest.Sim) {
			s.Touch("shop-front", func(u *ptaftest.Upstream) { u.IPHash = true })
		}, `"ip_hash" is another`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim()
			o, tr := options(t, s.Start(t))
			tr.before = onWrite(func() { c.on(s) })
			r, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
			wantErr(t, err, edge.ErrNotKept)
			wantText(t, err, "taken and not kept: "+c.says)
			wantEqual(t, r.Written, true)
			wantEqual(t, string(r.After), string(s.Object("shop-front")))
		})
	}
}

// I10
func TestAWriteThatCannotBeReadBackSaysSo(t *testing.T) {
	s := newSim()
	o, tr := options(t, s.Start(t))
	written := false
	tr.before = func(r *http.Request) {
		if written {
			s.Misbehave(ptaftest.Unauthorized, 1)
		}
		written = written || r.Method == http.MethodPatch
	}
	r, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
	wantErr(t, err, ptaf.ErrCredentials)
	wantText(t, err, "written, but not read back")
	wantEqual(t, r.Written, true)
}

// This is the window that the API leaves open, of the length that Receipt.Gap
// tells: the list is written whole, so an edit of it that comes between the last
// look and the write is gone, and what is read back is what was written. Only a
// lock or a version on the device could show it; it has none. (I7: the one gap that there is)
func TestAnEditOfTheListInTheGapIsLostAndNobodyCanTell(t *testing.T) {
	s := newSim()
	s.Misbehave(ptaftest.ConcurrentEdit, 1) // 192.0.2.12 is given back
	o, _ := options(t, s.Start(t))
	c := newClient(t, o)
	r, err := c.Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
	wantErr(t, err, nil)
	wantEqual(t, downs(read(t, c), "shop-front"), "++-")
	if r.Gap <= 0 || r.Gap > time.Minute {
		t.Errorf("gap %s", r.Gap)
	}
}

func TestStringsAreReadAndBooleansWritten(t *testing.T) {
	s := newSim()
	s.Misbehave(ptaftest.StringBooleans, -1)
	o, _ := options(t, s.Start(t))
	c := newClient(t, o)
	wantEqual(t, downs(read(t, c), "shop-front"), "-+-")
	_, err := c.Change(t.Context(), "shop-front", map[string]bool{"192.0.2.11:8080": true, "192.0.2.12:8080": false}, ptaf.Write{})
	wantErr(t, err, nil)
	body := string(s.Writes()[0].Body)
	for _, want := range []string{`"down":true`, `"down":false`, `"down":"False"`} { // the third one stays as it was given
		if strings.Count(body, want) != 1 {
			t.Errorf("no %s in %s", want, body)
		}
	}
	wantEqual(t, downs(read(t, c), "shop-front"), "+--")
}

func TestUnknownFieldsSurviveByteForByte(t *testing.T) {
	s := newSim()
	s.Misbehave(ptaftest.ExtraFields, -1)
	o, _ := options(t, s.Start(t))
	c := newClient(t, o)
	before := s.Object("shop-front")
	for i, down := range []bool{true, false} {
		_, err := c.Change(t.Context(), "shop-front", map[string]bool{"192.0.2.11:8080": down}, ptaf.Write{})
		wantErr(t, err, nil)
		want := backends(t, before)
		if down {
			want = strings.Replace(want, `"down":false`, `"down":true`, 1)
		}
		wantEqual(t, string(s.Writes()[i].Body), `{"backends":`+want+`}`)
	}
	wantEqual(t, backends(t, s.Object("shop-front")), backends(t, before))
}

func TestReorderedBackendsAreFoundByIdentity(t *testing.T) {
	s := newSim()
	s.Misbehave(ptaftest.ReorderedBackends, -1)
	o, _ := options(t, s.Start(t))
	c := newClient(t, o)
	seen := read(t, c).Snapshot("waf1").Versions["shop-front"]
	for _, step := range []struct {
		name string
		down bool
		want string
	}{{"192.0.2.13:8080", true, "-++"}, {"192.0.2.12:8080", false, "--+"}, {"192.0.2.11:8080", true, "+-+"}} {
		_, err := c.Change(t.Context(), "shop-front", map[string]bool{step.name: step.down}, ptaf.Write{Version: seen})
		wantErr(t, err, nil)
		r := read(t, c)
		wantEqual(t, downs(r, "shop-front"), step.want)
		seen = r.Snapshot("waf1").Versions["shop-front"]
	}
}

func TestTheListIsSentAsItWasReadLast(t *testing.T) {
	s := newSim()
	spell := func(number string) {
		s.Touch("shop-front", func(u *ptaftest.Upstream) {
			u.Backends[2].Extra = map[string]any{"slow_start": json.RawMessage(number)}
		})
	}
	spell("1.5")
	o, _ := options(t, s.Start(t))
	_, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{Save: func([]byte) error {
		spell("15e-1") // means the same, so nothing has changed
		return nil
	}})
	wantErr(t, err, nil)
	if body := string(s.Writes()[0].Body); !strings.Contains(body, `"slow_start":15e-1`) {
		t.Errorf("of another time: %s", body)
	}
}

func TestTheRightTwinIsTakenOut(t *testing.T) {
	s := newSim(ptaftest.Upstream{Name: "twins", Backends: []ptaftest.Backend{
		{Address: "192.0.2.11", Weight: 1}, {Address: "192.0.2.11", Weight: 2}, {Address: "192.0.2.11", Weight: 3},
	}})
	o, _ := options(t, s.Start(t))
	c := newClient(t, o)
	_, err := c.Change(t.Context(), "twins", map[string]bool{"192.0.2.11:80#2": true}, ptaf.Write{})
	wantErr(t, err, nil)
	r := read(t, c)
	for _, b := range r.Upstreams[2].Backends {
		wantEqual(t, b.Down, b.Weight == 2)
	}
	// In another order the names would be of others: nothing is sent.
	s.Misbehave(ptaftest.ReorderedBackends, -1)
	_, err = c.Change(t.Context(), "twins", map[string]bool{"192.0.2.11:80#3": true}, ptaf.Write{Version: r.Upstreams[2].Version()})
	wantErr(t, err, edge.ErrChanged)
	wantEqual(t, len(s.Writes()), 1)
}

func TestReadOnlyFieldsAreNotSent(t *testing.T) {
	s := newSim()
	s.Misbehave(ptaftest.ReadOnlyField, -1)
	o, _ := options(t, s.Start(t))
	_, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
	wantErr(t, err, nil)
}

func TestWritesOfOneClientDoNotMeet(t *testing.T) {
	s := newSim()
	o, tr := options(t, s.Start(t))
	o.Retries = 0
	var calls bytes.Buffer
	tr.before = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, shopID) {
			calls.WriteString(r.Method[:1]) // a race here would be one of writes
		}
	}
	c := newClient(t, o)
	names := []string{"192.0.2.11:8080", "192.0.2.12:8080", "192.0.2.13:8080"}
	errs := make(chan error)
	for _, name := range names {
		go func() {
			_, err := c.Change(t.Context(), "shop-front", map[string]bool{name: name != names[1]}, ptaf.Write{})
			errs <- err
		}()
	}
	for range names {
		wantErr(t, <-errs, nil)
	}
	wantEqual(t, calls.String(), "GGPGGGPGGGPG")
	wantEqual(t, downs(read(t, c), "shop-front"), "+-+")
}

func TestAWriteThatWaitsForAnotherMayBeCancelled(t *testing.T) {
	s := newSim()
	o, _ := options(t, s.Start(t))
	c := newClient(t, o)
	_, err := c.Change(t.Context(), "shop-front", takeOut, ptaf.Write{Save: func([]byte) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Change(ctx, "billing", map[string]bool{"198.51.100.5:80": true}, ptaf.Write{})
		wantErr(t, err, context.Canceled)
		return nil
	}})
	wantErr(t, err, nil)
	wantEqual(t, len(s.Writes()), 1)
}

func TestAStoredListIsPutBack(t *testing.T) {
	s := newSim()
	s.Misbehave(ptaftest.ExtraFields, -1)
	o, tr := options(t, s.Start(t))
	c := newClient(t, o)
	stored := s.Object("shop-front")
	s.Edit("shop-front", "192.0.2.11:8080", true)
	s.Touch("shop-front", func(u *ptaftest.Upstream) { u.Backends, u.IPHash = u.Backends[:2], true })
	calls := order(tr, nil)
	var saved []byte
	list := json.RawMessage(backends(t, stored))
	before := s.Object("shop-front")
	r, err := c.Replace(t.Context(), "shop-front", list, ptaf.Write{Version: version(t, before), Save: func(o []byte) error { saved = o; return nil }})
	wantErr(t, err, nil)
	wantEqual(t, string(saved), string(before))
	wantEqual(t, backends(t, r.After), string(list))
	wantEqual(t, string(s.Writes()[0].Body), `{"backends":`+string(list)+`}`)
	wantEqual(t, *calls, []string{"GET /upstreams", "GET /upstreams/shop", "GET /upstreams/shop", "PATCH /upstreams/shop", "GET /upstreams/shop"})
	u, err := ptaf.ParseUpstream(r.After)
	wantErr(t, err, nil)
	wantEqual(t, u.IPHash, true) // only backends are put back

	r, err = c.Replace(t.Context(), "shop-front", list, ptaf.Write{})
	wantErr(t, err, nil)
	wantEqual(t, r.Written, false)
}

func TestAListThatIsNoneIsNotPutBack(t *testing.T) {
	s := newSim()
	o, _ := options(t, s.Start(t))
	for _, c := range []struct {
		list string
		want error
	}{
		{``, ptaf.ErrAnswer},
		{`[`, ptaf.ErrAnswer},
		{`{}`, ptaf.ErrAnswer},
		{`[{"port":80}]`, ptaf.ErrAnswer},
		{`[]`, ptaf.ErrNoBackend},
		{`null`, ptaf.ErrNoBackend},
	} {
		r, err := newClient(t, o).Replace(t.Context(), "shop-front", json.RawMessage(c.list), ptaf.Write{})
		wantErr(t, err, c.want)
		wantText(t, err, `replace backends of upstream "shop-front": the list to write`)
		wantEqual(t, r.Written, false)
	}
	wantEqual(t, s.Calls(), 0)
	_, err := newClient(t, o).Replace(t.Context(), "shop-front", json.RawMessage(`[{"address":"192.0.2.99"}]`), ptaf.Write{Version: "0123456789abcdef"})
	wantErr(t, err, edge.ErrChanged)
	wantEqual(t, len(s.Writes()), 0)
}

// BenchmarkChangeGap tells how long the window is in which an edit would be lost,
// beside the whole cycle, against the simulator on the loopback interface.
func BenchmarkChangeGap(b *testing.B) {
	s := newSim()
	o, _ := options(b, s.Start(b))
	c := newClient(b, o)
	var gap time.Duration
	down := false
	for b.Loop() {
		down = !down
		r, err := c.Change(b.Context(), "shop-front", map[string]bool{"192.0.2.11:8080": down}, ptaf.Write{})
		if err != nil {
			b.Fatal(err)
		}
		gap += r.Gap
	}
	b.ReportMetric(float64(gap.Nanoseconds())/float64(b.N), "gap-ns/op")
}
