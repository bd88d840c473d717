package remediator

import (
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
)

// A simEvent is something that happens to the world, and how often in relation
// to the others. A new kind is one more line in [simEvents].
type simEvent struct {
	weight int
	happen func(*simRun)
}

var simEvents = []simEvent{
	{26, func(s *simRun) { s.health(false) }},
	{14, func(s *simRun) { s.health(true) }},
	{2, (*simRun).poolFails},
	{8, (*simRun).poolDies},
	{4, (*simRun).poolRecovers},
	{4, (*simRun).alertSticks},
	{7, (*simRun).personActs},
	{4, (*simRun).deviceFails},
	{4, (*simRun).deviceReloads},
	{1, (*simRun).deviceReadOnly},
	{1, (*simRun).memberMoves},
	{3, (*simRun).alertmanagerFails},
	{2, (*simRun).silence},
	{3, alive((*simRun).release)},
	{12, alive((*simRun).answer)},
	{1, alive((*simRun).freeze)},
	{4, alive((*simRun).thaw)},
	{2, alive((*simRun).freezeScope)},
	{3, alive((*simRun).thawScope)},
	{3, alive((*simRun).claim)},
	{3, alive((*simRun).unclaim)},
	{2, alive((*simRun).window)},
	{1, alive((*simRun).dropWindow)},
	{2, alive((*simRun).apply)},
	{2, alive((*simRun).restart)},
	{6, (*simRun).replicaFails},
}

// event lets one thing happen.
func (s *simRun) event() {
	all := 0
	for _, e := range simEvents {
		all += e.weight
	}
	n := s.rng.IntN(all)
	for _, e := range simEvents {
		if n -= e.weight; n < 0 {
			s.stats.Events++
			e.happen(s)
			return
		}
	}
}

// alive are events that need a process that lives.
func alive(happen func(*simRun)) func(*simRun) {
	return func(s *simRun) {
		if s.proc != nil && !s.proc.dead.Load() {
			happen(s)
		}
	}
}

func (s *simRun) restart() {
	if s.site != nil {
		s.site.restart(s)
		return
	}
	s.stop()
	time.Sleep(time.Duration(s.rng.IntN(10_000)) * time.Millisecond)
	s.stats.Restarts++
	s.start()
}

// locked runs an event that changes what the engine's goroutines read.
func (s *simRun) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *simRun) health(well bool) {
	s.locked(func() {
		var some []*simMember
		for _, x := range s.members() {
			if x.well != well {
				some = append(some, x)
			}
		}
		if len(some) > 0 {
			s.becomes(simPick(s.rng, some), well)
		}
	})
}

func (s *simRun) becomes(x *simMember, well bool) {
	m := x.st.Member
	for _, one := range s.device(m.Device).moved(m) {
		s.device(m.Device).members[one].well = well
	}
	s.log("truth", "%s is %s", m, map[bool]string{true: "well", false: "ill"}[well])
}

func (s *simRun) poolFails() {
	s.locked(func() {
		d := simPick(s.rng, s.devices)
		for _, x := range d.in(simPick(s.rng, d.pools)) {
			if x.well && !s.oneIn(6) {
				s.becomes(x, false)
			}
		}
	})
}

// alertSticks makes an alert fire for nothing, or stay as it is for a while.
func (s *simRun) alertSticks() {
	s.locked(func() {
		m := simPick(s.rng, simSorted(s.am.rules))
		r := s.am.rules[m]
		if r.stuck = !r.stuck; r.stuck && !r.firing && s.oneIn(2) {
			s.am.turn(m, true)
			s.am.send([]edge.Member{m})
		}
		s.log("alert", "%s sticks: %v", m, r.stuck)
	})
}

func (s *simRun) personActs() {
	s.locked(func() { simPick(s.rng, s.devices).meddle(s.rng, "") })
}

func (s *simRun) deviceFails() {
	s.locked(func() {
		d := simPick(s.rng, s.devices)
		d.down, d.hangs = time.Now().Add(time.Duration(1+s.rng.IntN(60_000))*time.Millisecond), s.oneIn(2)
		s.log(d.name, "gives no answer until %s", d.down.Sub(s.begun).Round(time.Millisecond))
	})
}

func (s *simRun) deviceReloads() {
	s.locked(func() {
		d, keeps := simPick(s.rng, s.devices), s.oneIn(3)
		s.log(d.name, "reloads; keeps its state: %v", keeps)
		d.reload(keeps)
	})
}

func (s *simRun) deviceReadOnly() {
	s.locked(func() {
		d := simPick(s.rng, s.devices)
		if d.readOnly == "" && s.oneIn(2) {
			d.readOnly = "a right is missing"
		} else {
			d.readOnly = ""
		}
		s.log(d.name, "read only: %v", d.readOnly != "")
	})
}

// memberMoves gives a member another address: another machine under the same name.
func (s *simRun) memberMoves() {
	s.locked(func() {
		d := simPick(s.rng, s.devices)
		m := simPick(s.rng, simSorted(d.members))
		for _, one := range d.moved(m) {
			d.members[one].st.Address = "192.0.2.200:" + d.members[one].st.Address[len(d.members[one].st.Address)-4:]
			d.versions[one.Pool]++
		}
		s.log(d.name, "%s has another address", m)
	})
}

func (s *simRun) alertmanagerFails() {
	s.locked(func() {
		p := simPick(s.rng, s.am.peers)
		if s.oneIn(2) {
			p.known, p.since = map[edge.Member]time.Time{}, time.Now()
			s.log("alerts", "%s restarts and knows nothing", p.name)
			return
		}
		p.down = time.Now().Add(time.Duration(1+s.rng.IntN(90_000)) * time.Millisecond)
		s.log("alerts", "%s gives no answer until %s", p.name, p.down.Sub(s.begun).Round(time.Millisecond))
	})
}

func (s *simRun) silence() {
	s.locked(func() {
		m := simPick(s.rng, simSorted(s.am.rules))
		r := s.am.rules[m]
		r.silenced = !r.silenced
		s.log("alerts", "%s silenced: %v (%s)", m, r.silenced, claims.Key(r.labels))
	})
}
