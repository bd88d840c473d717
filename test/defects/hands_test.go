package defects

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/test/serve"
)

// Defect 6: what an administrator had put DOWN was switched on by the first 200.
func TestDefect06AnAdministratorsDownIsNeverUndone(t *testing.T) {
	t.Parallel()
	t.Run("put DOWN before us", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 4)...)
		theirs, ours := p.members[0], p.members[1]
		p.Edit(shop, theirs.address, true)
		theirs.be(sick)
		w := usual(t, p.Start(t)).start(t)
		w.claim(true, onShop(theirs))
		w.recorded(onShop(theirs), "foreign/taken_out")
		theirs.be(well) // the first 200, and many more
		w.claim(false, onShop(theirs))
		ours.be(sick)
		w.claim(true, onShop(ours))
		p.becomes(t, theirs, ours)
		ours.be(well)
		w.claim(false, onShop(ours))
		p.becomes(t, theirs) // our own write of the whole list left it
		w.claim(true, onShop(theirs))
		theirs.askedAgain(t, 5)
		p.stays(t, theirs)
		p.wrote(t, 2)
	})
	t.Run("put DOWN after us", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 3)...)
		bad := p.members[0]
		bad.be(sick)
		w := usual(t, p.Start(t)).start(t)
		w.claim(true, onShop(bad))
		p.becomes(t, bad)
		w.recorded(onShop(bad), "drain applied")
		p.Edit(shop, bad.address, false) // somebody wants it in
		w.recorded(onShop(bad), "drain superseded")
		p.stays(t)
		p.Edit(shop, bad.address, true) // and now out
		bad.be(well)
		w.claim(false, onShop(bad))
		bad.askedAgain(t, 10) // hold_down is three
		p.stays(t, bad)
		p.wrote(t, 1)
	})
}

// Defect 7: there was no lock, and old values of all backends were written back
// over what somebody had changed meanwhile.
func TestDefect07AnEditMeanwhileSurvives(t *testing.T) {
	t.Parallel()
	t.Run("the simulator's own: after the next GET", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 4)...)
		w := usual(t, p.Start(t)).start(t)
		p.Misbehave(ptaftest.EditBetweenGets, 1) // puts the last one DOWN
		p.members[0].be(sick)
		w.claim(true, onShop(p.members[0]))
		p.becomes(t, p.members[0], p.members[3])
		p.members[0].be(well)
		w.claim(false, onShop(p.members[0]))
		p.becomes(t, p.members[3])
	})
	t.Run("between the decision and the last look: it is planned again", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 4)...)
		set := usual(t, p.Start(t))
		weight := func(u *ptaftest.Upstream) { u.Backends[3].Weight = 7 }
		edits := []func(){
			func() { p.Edit(shop, p.members[3].address, true) },
			func() { p.Touch(shop, weight) },
			func() { p.Touch(shop, func(u *ptaftest.Upstream) { u.Extra["read_timeout"] = 5 }) },
		}
		// The object is kept after the first look for a write, before the last one.
		set.images = saving(func() {
			if len(edits) > 0 {
				edits[0]()
				edits = edits[1:]
			}
		})
		w := set.start(t)
		p.members[0].be(sick)
		w.claim(true, onShop(p.members[0]))
		p.becomes(t, p.members[0], p.members[3])
		w.recorded(onShop(p.members[0]), "drain applied")
		want := []string{"drain replanned", "drain replanned", "drain replanned", "drain applied"}
		if got := w.results(onShop(p.members[0])); !slices.Equal(got, want) {
			t.Errorf("got %q; want %q", got, want)
		}
		p.wrote(t, 1)
		object := string(p.Object(shop))
		for _, theirs := range []string{`"weight":7`, `"read_timeout":5`} {
			if !strings.Contains(object, theirs) {
				t.Errorf("%s is gone: %s", theirs, object)
			}
		}
	})
	t.Run("what is of no concern to us is left as it was read last", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 3)...)
		p.Misbehave(ptaftest.ExtraFields, -1)
		before := string(p.Object(shop))
		w := usual(t, p.Start(t)).start(t)
		p.members[1].be(sick)
		w.claim(true, onShop(p.members[1]))
		p.becomes(t, p.members[1])
		p.members[1].be(well)
		w.claim(false, onShop(p.members[1]))
		p.becomes(t)
		if got := strings.Replace(string(p.Object(shop)), ":09Z", ":07Z", 1); got != before { // two changes later
			t.Errorf("got %s; want %s", got, before)
		}
	})
}

// An edit after any of our looks at the object survives, but for the last before
// the write: the PTAF has no lock and no version that a write could name.
func TestDefect07EachInstantOfAnEdit(t *testing.T) {
	t.Parallel()
	var last int // how many looks there are from the claim to the write
	for n := 0; n == 0 || n < last; n++ {
		p := newPool(t, newMembers(t, 4)...)
		looks := &counted{next: p.Sim, nth: n, edit: func() { p.Edit(shop, p.members[3].address, true) }}
		w := usual(t, "http://"+serve.Handler(t, looks, nil)+ptaftest.Base).start(t)
		p.members[0].be(sick)
		await(t, "the first look", func() bool { return looks.begin() })
		w.claim(true, onShop(p.members[0]))
		if n == 0 { // nobody edits
			p.becomes(t, p.members[0])
			w.recorded(onShop(p.members[0]), "drain applied")
			if last = looks.before(); last < 3 {
				t.Fatalf("only %d looks before the write", last)
			}
			continue
		}
		p.becomes(t, p.members[0], p.members[3])
		w.recorded(onShop(p.members[0]), "drain applied")
		p.wrote(t, 1)
	}
}

// A freeze that a person was told is in force stops the write, after whichever of
// our looks it came, the last one before the write included.
func TestDefect07AFreezeAtEachInstantStopsTheWrite(t *testing.T) {
	t.Parallel()
	last := 1 // how many looks there are from the claim to the write
	for n := 0; n <= last; n++ {
		p := newPool(t, newMembers(t, 4)...)
		looks := &counted{next: p.Sim, nth: n}
		w := usual(t, "http://"+serve.Handler(t, looks, nil)+ptaftest.Base).start(t)
		looks.edit = w.freeze
		p.members[0].be(sick)
		await(t, "the first look", func() bool { return looks.begin() })
		w.claim(true, onShop(p.members[0]))
		if n == 0 { // nobody freezes
			w.recorded(onShop(p.members[0]), "drain applied")
			if last = looks.before(); last < 3 {
				t.Fatalf("only %d looks before the write", last)
			}
			continue
		}
		await(t, "a refusal or a write", func() bool {
			return looks.before() > 0 || slices.Contains(w.results(onShop(p.members[0])), "freeze/frozen")
		})
		// A round that was under way saves a look or two: then the n-th comes too late.
		if wrote := looks.before(); wrote > 0 && wrote < n {
			continue
		}
		p.becomes(t)
		p.wrote(t, 0)
		for _, result := range w.results(onShop(p.members[0])) {
			if result != "freeze/frozen" {
				t.Errorf("frozen after look %d: %s", n, result)
			}
		}
	}
}

// freeze is a person's; it holds when it returns.
func (w *site) freeze() {
	answer := httptest.NewRecorder()
	body := strings.NewReader(`{"reason": "a release"}`)
	r := httptest.NewRequest(http.MethodPost, "/api/v1/freeze", body)
	r.Header.Set("Content-Type", "application/json")
	if w.r.Handler().ServeHTTP(answer, r); answer.Code != http.StatusOK {
		w.t.Errorf("freeze: %d %s", answer.Code, answer.Body)
	}
}

// Two runs of the script could overlap; two remediators can't.
func TestDefect07ThereIsOneWriter(t *testing.T) {
	t.Parallel()
	p := newPool(t, newMembers(t, 2)...)
	set := usual(t, p.Start(t))
	w := set.start(t)
	second, err := remediator.New(remediator.Options{Config: &w.set.act, Authenticated: true, JournalLock: 1})
	if err == nil {
		t.Errorf("a second one runs: %v", second.Close())
	} else if !strings.Contains(err.Error(), filepath.Base(w.set.act.Journal)) {
		t.Errorf("it doesn't say what is in use: %v", err)
	}
}

// saving is a store of snapshots that also lets something happen first.
type saving func()

// Save is [remediator.Images]'s.
func (s saving) Save(edge.Image) error {
	s()
	return nil
}

// counted lets an edit happen right after the n-th GET of an upstream.
type counted struct {
	next http.Handler
	edit func()
	nth  int

	mu       sync.Mutex
	counting bool
	seen     int // GETs of the upstream
	written  int // seen at the first PATCH
}

// begin starts counting once anything was read.
func (c *counted) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counting, c.seen = c.seen > 0, 0
	return c.counting
}

func (c *counted) before() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written
}

// ServeHTTP is http.Handler's.
func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.next.ServeHTTP(w, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch one := strings.HasPrefix(r.URL.Path, ptaftest.Base+"/upstreams/"); {
	case r.Method == http.MethodPatch && c.written == 0:
		c.written = c.seen
	case one && r.Method == http.MethodGet:
		if c.seen++; c.counting && c.seen == c.nth {
			c.edit()
		}
	}
}
