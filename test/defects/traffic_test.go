package defects

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/test/serve"
)

// Defect 14: ways of balancing, weights, transparent mode and traffic through
// the change were never tried. Here visitors come all the time, some of them with
// requests that take longer than the change, and each gets its answer.
//
// What passes on visitors is the simulator's own front, which balances by nginx's
// rules. Transparent mode is a flag on the object there and changes no packets.
func TestDefect14TrafficGoesOnThroughTheChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*ptaftest.Upstream){
		"in turn":         func(*ptaftest.Upstream) {},
		"ip_hash":         func(u *ptaftest.Upstream) { u.IPHash = true },
		"least_conn":      func(u *ptaftest.Upstream) { u.LeastConn = true },
		"transparent":     func(u *ptaftest.Upstream) { u.Transparent = true },
		"unequal weights": func(u *ptaftest.Upstream) { u.Backends[0].Weight, u.Backends[1].Weight = 5, 2 },
		"a backup":        func(u *ptaftest.Upstream) { u.Backends[2].Backup = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, newMembers(t, 3)...)
			p.Touch(shop, change)
			before := p.untimed()
			front := "http://" + serve.Handler(t, p.Front(shop), nil)
			w := usual(t, p.Start(t)).start(t)

			visitors := visit(t, front)
			bad := p.first(t)
			slow := linger(t, front, 6)
			await(t, "slow requests, one at least on "+bad.address, func() bool {
				all := 0
				for _, m := range p.members {
					_, _, waiting := m.counts()
					all += waiting
				}
				_, _, here := bad.counts()
				return all == 6 && here > 0
			})

			bad.be(sick) // its health page is, and it serves visitors still
			w.claim(true, onShop(bad))
			p.becomes(t, bad)
			w.recorded(onShop(bad), "drain applied")
			visitors.more(t, 1) // whoever was on the way is there
			_, served, _ := bad.counts()
			visitors.more(t, 20)
			if _, now, _ := bad.counts(); now > served {
				t.Errorf("%d visitors came to a member that is DOWN", now-served)
			}
			for _, m := range p.members {
				close(m.release) // the slow ones end now, long after the change
			}
			slow()

			bad.be(well)
			w.claim(false, onShop(bad))
			p.becomes(t)
			w.recorded(onShop(bad), "ready applied")
			_, served, _ = bad.counts()
			await(t, "visitors on "+bad.address+" again", func() bool { _, now, _ := bad.counts(); return now > served })
			visitors.more(t, 10)
			visitors.end(t)
			if got := p.untimed(); got != before {
				t.Errorf("the object is not as it was: %s; want %s", got, before)
			}
			p.wrote(t, 2)
		})
	}
}

var lastModified = regexp.MustCompile(`"last_modified":"[^"]*"`)

// untimed is the object without the time of its last change.
func (p *pool) untimed() string {
	return lastModified.ReplaceAllString(string(p.Object(shop)), "")
}

// first is a member that visitors come to: with ip_hash it is the only one.
func (p *pool) first(t *testing.T) (found *member) {
	t.Helper()
	await(t, "a visitor", func() bool {
		for _, m := range p.members {
			if _, served, _ := m.counts(); served > 0 {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// Visitors ask again and again, each over a new connection.
type visitors struct {
	stop chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex
	visits [2]int // of each visitor
	failed []error
}

func visit(t *testing.T, url string) *visitors {
	t.Helper()
	v := &visitors{stop: make(chan struct{})}
	for i := range v.visits {
		v.all.Go(func() { v.ask(i, url+"/") })
	}
	t.Cleanup(func() {
		v.leave()
		v.all.Wait()
	})
	return v
}

func (v *visitors) ask(i int, url string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := get(url)
		v.mu.Lock()
		if v.visits[i]++; err != nil {
			v.failed = append(v.failed, err)
		}
		v.mu.Unlock()
		select {
		case <-v.stop:
			return
		case <-tick.C:
		}
	}
}

func get(url string) error {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := c.Get(url)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", url, answer.StatusCode)
	}
	return err
}

// more waits until each visitor has come so many times more.
func (v *visitors) more(t *testing.T, times int) {
	t.Helper()
	count := func() [2]int {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.visits
	}
	was := count()
	await(t, "more visitors", func() bool {
		is := count()
		return is[0] > was[0]+times && is[1] > was[1]+times
	})
}

func (v *visitors) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.stop:
	default:
		close(v.stop)
	}
}

// end sends them home and makes sure that nobody was turned away.
func (v *visitors) end(t *testing.T) {
	t.Helper()
	v.leave()
	v.all.Wait()
	if len(v.failed) > 0 {
		t.Errorf("%d of %v visits failed: %v", len(v.failed), v.visits, v.failed[0])
	}
}

// linger begins so many slow requests; the function that it returns waits for
// them and wants an answer to each.
func linger(t *testing.T, url string, n int) (wait func()) {
	t.Helper()
	answers := make(chan error, n)
	for range n {
		go func() { answers <- get(url + slowPath) }()
	}
	return func() {
		t.Helper()
		for range n {
			if err := <-answers; err != nil {
				t.Errorf("a request that was under way: %v", err)
			}
		}
	}
}

// Defect 14: what a backend's weight means for what may go. A count of members
// would let the heavy one go here: two of three are more than half.
func TestDefect14GuardsCountCapacityByWeight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*ptaftest.Upstream)
		which  int
		want   string
	}{
		{"three fifths of the weight stay in", func(u *ptaftest.Upstream) { u.Backends[0].Weight = 3 }, 0, "min_serving/too_few_left"},
		{"one fifth goes", func(u *ptaftest.Upstream) { u.Backends[0].Weight = 3 }, 1, "drain applied"},
		{"equal ones: a third goes", func(*ptaftest.Upstream) {}, 0, "drain applied"},
		{"what somebody has DOWN carries nothing", func(u *ptaftest.Upstream) { u.Backends[0].Weight, u.Backends[0].Down = 3, true }, 1, "min_serving/too_few_left"},
		{"a backup is no part of the sum", func(u *ptaftest.Upstream) { u.Backends[2].Weight, u.Backends[2].Backup = 9, true }, 0, "drain applied"},
		{"nor does it carry anything while it waits", func(u *ptaftest.Upstream) { u.Backends[1].Backup, u.Backends[2].Backup = true, true }, 0, "min_serving/too_few_left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, newMembers(t, 3)...)
			p.Touch(shop, c.change)
			set := usual(t, p.Start(t))
			set.policy().MinServing = "50%"
			w := set.start(t)
			bad := p.members[c.which]
			bad.be(sick)
			w.claim(true, onShop(bad))
			e := w.recorded(onShop(bad), c.want)
			if out := slices.Contains(down(t, p.Sim, shop), bad.address); out != (e.Result == "applied") {
				t.Errorf("DOWN is %v after %q", out, e.Detail)
			}
		})
	}
}

// Defect 14: a cluster was never tried. The node that is active is read and
// written, by the cluster's own word, and while there is no such node nothing is.
func TestDefect14InAClusterTheActiveNodeIsWritten(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 3)
	nodes := []*pool{newPool(t, members...), newPool(t, members...)}
	active := func(one, two bool) {
		for _, n := range nodes {
			n.SetGateways([]ptaftest.Gateway{{ID: "g1", Name: "node1", Active: one}, {ID: "g2", Name: "node2", Active: two}})
		}
	}
	active(false, true)
	set := usual(t, "")
	set.devices[0].PTAF.URLs = []string{nodes[0].Start(t), nodes[1].Start(t)}
	set.devices[0].PTAF.Gateways = []string{"node1", "node2"}
	w := set.start(t)

	bad := members[0]
	bad.be(sick)
	w.claim(true, onShop(bad))
	nodes[1].becomes(t, bad)
	w.recorded(onShop(bad), "drain applied")
	nodes[0].stays(t)
	nodes[0].wrote(t, 0)

	nodes[0].Edit(shop, bad.address, true) // as nodes do that have one configuration
	active(false, false)                   // nobody is, for a moment
	members[1].be(sick)
	w.claim(true, onShop(members[1]))
	w.recorded(onShop(members[1]), "inventory/read_only")
	active(true, false)
	nodes[0].becomes(t, bad, members[1])
	for _, m := range members {
		m.be(well)
	}
	w.claim(false, onShop(bad), onShop(members[1]))
	nodes[0].becomes(t)
	nodes[1].stays(t, bad)
	nodes[1].wrote(t, 1)
}
