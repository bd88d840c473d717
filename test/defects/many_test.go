package defects

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/exporter"
	"github.com/sluice-project/sluice/remediator/snapshots"
	"github.com/sluice-project/sluice/test/serve"
)

// Defect 13: a run knew one upstream, one host and one path.
func TestDefect13SeveralUpstreamsEachInItsOwnWay(t *testing.T) {
	t.Parallel()
	const billing = "billing"
	fronts, backs := newMembers(t, 3), newMembers(t, 3)
	sim := ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{upstream(t, shop, fronts...), upstream(t, billing, backs...)}})
	set := usual(t, sim.Start(t))
	set.read.Probes[0].Members.Pool = shop
	other := set.read.Modules["health"]
	other.HTTP.Path, other.HTTP.Method = healthPath+"?deep=1", http.MethodHead
	other.HTTP.Headers = map[string]string{"Host": "billing.example.com"}
	set.read.Modules["deep"] = other
	set.read.Probes = append(set.read.Probes, exporter.Probe{
		Name: "deep", Module: "deep", Interval: ms(100), Members: &exporter.Members{Pool: billing},
	})
	for _, m := range backs[1:] { // well by their own question alone
		m.be(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodHead || r.Host != "billing.example.com" || r.URL.RawQuery != "deep=1" {
				sick(w, r)
			}
		})
	}
	fronts[0].be(sick)
	backs[0].be(sick)
	w := set.start(t)
	w.claim(true, onShop(fronts[0]), onShop(fronts[1]), at(waf, billing, backs[0].address), at(waf, billing, backs[1].address))
	for pool, m := range map[string]*member{shop: fronts[0], billing: backs[0]} {
		w.recorded(at(waf, pool, m.address), "drain applied")
		if got := down(t, sim, pool); !slices.Equal(got, addresses(m)) {
			t.Errorf("%s: DOWN are %v", pool, got)
		}
	}
	w.recorded(onShop(fronts[1]), "evidence/contradicted")
	w.recorded(at(waf, billing, backs[1].address), "evidence/contradicted")
}

// Defect 13: there was no copy of the configuration before a change.
func TestDefect13TheObjectIsKeptBeforeItIsChanged(t *testing.T) {
	t.Parallel()
	p := newPool(t, newMembers(t, 3)...)
	dir := t.TempDir()
	before := p.Object(shop)
	seen := &keptFirst{next: p.Sim, dir: dir}
	set := usual(t, "http://"+serve.Handler(t, seen, nil)+ptaftest.Base)
	set.images = snapshots.New(dir)
	w := set.start(t)
	p.members[0].be(sick)
	w.claim(true, onShop(p.members[0]))
	p.becomes(t, p.members[0])
	w.recorded(onShop(p.members[0]), "drain applied")
	if kept, err := seen.found(); err != nil || len(kept) != 1 || !bytes.Equal(kept[0], before) {
		t.Errorf("when the write came the folder held %q, %v; want the object as it was, %s", kept, err, before)
	}
	var images [][]byte
	for _, e := range w.steps() {
		if e.Event == "image" {
			images = append(images, append(e.Before, e.After...))
		}
	}
	if want := [][]byte{before, p.Object(shop)}; !slices.EqualFunc(images, want, bytes.Equal) {
		t.Errorf("the journal has %q; want %q", images, want)
	}
	t.Run("and where it can't be kept, nothing is changed", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 3)...)
		set := usual(t, p.Start(t))
		file := filepath.Join(t.TempDir(), "taken")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		set.images = snapshots.New(file) // no folder can be made there
		w := set.start(t)
		p.members[0].be(sick)
		w.claim(true, onShop(p.members[0]))
		if e := w.recorded(onShop(p.members[0]), "drain failed"); !strings.Contains(e.Detail, "nothing was sent") {
			t.Errorf("the record says %q", e.Detail)
		}
		p.stays(t)
		p.wrote(t, 0)
	})
}

// keptFirst looks into the folder of snapshots when the first write comes.
type keptFirst struct {
	next http.Handler
	dir  string

	mu   sync.Mutex
	kept [][]byte
	err  error
}

// ServeHTTP is http.Handler's.
func (k *keptFirst) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPatch {
		k.mu.Lock()
		if k.kept == nil && k.err == nil {
			k.kept, k.err = files(k.dir)
		}
		k.mu.Unlock()
	}
	k.next.ServeHTTP(w, r)
}

func (k *keptFirst) found() ([][]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kept, k.err
}

func files(dir string) (out [][]byte, err error) {
	names, err := filepath.Glob(filepath.Join(dir, waf, shop, "*.json"))
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, err
}

// Defect 13: the only limit was that one backend had to be available.
func TestDefect13AsManyStayAsThePolicyWants(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		min, guard string
		held       int // max_held
		out        int // of the four that fail, of five
	}{
		{"3", "min_serving/too_few_left", 5, 0}, // the bad ones don't serve either: one is left
		{"60%", "min_serving/too_few_left", 5, 0},
		{"1", "budget/max_held", 2, 2},
	} {
		t.Run(c.min, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, newMembers(t, 5)...)
			set := usual(t, p.Start(t))
			set.policy().MinServing, set.policy().MaxHeld = c.min, c.held
			w := set.start(t)
			for _, m := range p.members[:4] {
				m.be(sick)
			}
			for _, m := range p.members[:4] {
				w.claim(true, onShop(m))
			}
			refused := 0
			for _, m := range p.members[:4] {
				await(t, "a word on each", func() bool { return len(w.results(onShop(m))) > 0 })
				if slices.Contains(w.results(onShop(m)), c.guard) {
					refused++
				}
			}
			p.members[3].askedAgain(t, 4)
			if got := down(t, p.Sim, shop); len(got) != c.out || refused != 4-c.out {
				t.Errorf("%d are DOWN and %d refused, want %d DOWN", len(got), refused, c.out)
			}
		})
	}
	t.Run("all of them fail: as before, nothing is written", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 3)...)
		w := usual(t, p.Start(t)).start(t)
		for _, m := range p.members {
			m.be(sick)
		}
		for _, m := range p.members {
			w.claim(true, onShop(m))
			w.recorded(onShop(m), "min_serving/too_few_left")
		}
		p.wrote(t, 0)
	})
}

// Defect 13: nobody looked whether a write had been kept.
func TestDefect13AWriteThatIsNotKeptIsNoticed(t *testing.T) {
	t.Parallel()
	for fault, says := range map[ptaftest.Fault]string{
		ptaftest.NotKept:       "not kept",
		ptaftest.Forbidden:     "403",
		ptaftest.Unprocessable: "422",
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			p := newPool(t, newMembers(t, 3)...)
			w := usual(t, p.Start(t)).start(t)
			p.Misbehave(fault, 1)
			bad := p.members[0]
			bad.be(sick)
			w.claim(true, onShop(bad))
			if e := w.recorded(onShop(bad), "drain failed"); !strings.Contains(e.Detail, says) {
				t.Errorf("the record says %q, want %q in it", e.Detail, says)
			}
			w.recorded(onShop(bad), "drain applied") // tried again, a while later
			p.becomes(t, bad)
			p.wrote(t, 2)
		})
	}
	t.Run("a write whose answer is lost is read back, and not repeated", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 3)...)
		w := usual(t, "http://"+serve.Handler(t, cutOff{p.Sim}, nil)+ptaftest.Base).start(t)
		bad := p.members[0]
		bad.be(sick)
		w.claim(true, onShop(bad))
		w.recorded(onShop(bad), "drain applied")
		p.stays(t, bad)
		p.wrote(t, 1)
	})
}

// cutOff carries writes out and answers none.
type cutOff struct{ next http.Handler }

// ServeHTTP is http.Handler's.
func (c cutOff) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPatch {
		c.next.ServeHTTP(w, r)
		return
	}
	c.next.ServeHTTP(nowhere{}, r)
	panic(http.ErrAbortHandler)
}

type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}
