package remediator

import (
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A simLedger is what the engine was told, and what it did: by this an invariant
// judges what it could know.
type simLedger struct {
	answers  map[string]map[edge.Member][]simAnswer // by check
	looks    map[string][]simLook                   // by device, those that arrived
	marks    map[string][]simMark                   // by device, of all looks that arrived
	alerted  map[edge.Member]bool                   // an alert on it has fired
	silent   map[edge.Member]time.Time              // since when a silence on it is read without a break
	unread   map[edge.Member]time.Time              // an order without an answer, and no look since
	handsOff map[edge.Member]time.Time              // somebody changed what we hold, and we saw it
	effect   map[string]int                         // transitions by hold, direction and life of the device
	orders   []simOrder
	words    map[edge.Member]simWord // people's last on a step
	read     uint64                  // entries that were counted
	refused  map[string]int          // entries of refusals
}

// A simLook is one look at a device.
type simLook struct {
	life      int // of the remediator
	began, at time.Time
	device    *simDevice
	snap      edge.Snapshot
	foreign   []edge.Member // held by us, and not as we left it
}

// A simWord is what a person said of a step, and the hold that used it.
type simWord struct {
	at   time.Time
	yes  bool
	hold string
}

// A simMark is what is kept of a look for longer.
type simMark struct {
	life    int
	at      time.Time
	process string
}

// A simOrder is one change that a device was told to make.
type simOrder struct {
	at     time.Time
	hold   string
	member edge.Member
	to     edge.Admin
	undo   bool
}

func newSimLedger() simLedger {
	return simLedger{
		answers: map[string]map[edge.Member][]simAnswer{}, looks: map[string][]simLook{}, marks: map[string][]simMark{}, alerted: map[edge.Member]bool{},
		silent: map[edge.Member]time.Time{}, unread: map[edge.Member]time.Time{}, handsOff: map[edge.Member]time.Time{}, effect: map[string]int{}, refused: map[string]int{}, words: map[edge.Member]simWord{},
	}
}

func (l *simLedger) heard(check string, m edge.Member, a simAnswer) {
	if l.answers[check] == nil {
		l.answers[check] = map[edge.Member][]simAnswer{}
	}
	all := l.answers[check][m]
	all = append(all, a)
	if len(all) > 200 {
		all = all[100:]
	}
	l.answers[check][m] = all
}

// at is the answer to what was asked at a moment.
func (l *simLedger) at(check string, m edge.Member, asked time.Time, life int) (simAnswer, bool) {
	all := l.answers[check][m]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].asked.Equal(asked) && all[i].life == life {
			return all[i], true
		}
	}
	return simAnswer{}, false
}

// looking notes what a look catches; it may not arrive.
func (l *simLedger) looking(life int, snap edge.Snapshot, began time.Time, d *simDevice) simLook {
	k := simLook{life: life, began: began, device: d, snap: snap}
	for _, m := range simSorted(d.members) {
		if x := d.members[m]; x.hold != "" && x.by == byPerson && x.st.Marks != x.left.Marks && x.leftIn == d.life || x.hold != "" && x.weighed {
			k.foreign = append(k.foreign, m)
		}
	}
	for _, m := range simSorted(d.switches) {
		if x := d.switches[m]; x.hold != "" && x.by == byPerson && x.st.Marks != x.left.Marks {
			k.foreign = append(k.foreign, m)
		}
	}
	return k
}

// looked notes that a look has arrived: what it shows is known from now on.
func (l *simLedger) looked(s *simRun, k simLook) {
	k.at = time.Now()
	k.snap.At = k.at
	all := l.looks[k.device.name]
	all = append(all, k)
	if len(all) > 40 {
		all = all[20:]
	}
	l.looks[k.device.name] = all
	l.marks[k.device.name] = append(l.marks[k.device.name], simMark{k.life, k.at, k.snap.Process})
	for m, at := range l.unread {
		if m.Device == k.device.name && k.began.After(at) {
			delete(l.unread, m)
		}
	}
	if len(k.foreign) == 0 {
		return
	}
	holds, err := s.proc.r.journal.Holds()
	if err != nil {
		return
	}
	for _, m := range k.foreign {
		for _, h := range holds {
			if h.Holds(m) && h.ReleaseBy == "" && (h.Phase == journal.Holding || h.Phase == journal.ReleasePending || h.Phase == journal.Expiring) {
				if _, known := l.handsOff[m]; !known {
					l.handsOff[m] = k.at
				}
			}
		}
	}
}

// seen is the newest look at a device that had arrived by a moment.
func (l *simLedger) seen(device string, by time.Time, life int) (simLook, bool) {
	all := l.looks[device]
	for i := len(all) - 1; i >= 0; i-- {
		if !all[i].at.After(by) && all[i].life == life {
			return all[i], true
		}
	}
	return simLook{}, false
}

// marked is the newest look that had arrived by a moment.
func (l *simLedger) marked(device string, by time.Time, life int) (simMark, bool) {
	all := l.marks[device]
	for i := len(all) - 1; i >= 0; i-- {
		if !all[i].at.After(by) {
			return all[i], all[i].life == life
		}
	}
	return simMark{}, false
}

// unsure notes an order that has no answer.
func (l *simLedger) unsure(device string, o edge.Order, answer error) {
	if answer == nil {
		return
	}
	for _, c := range o.Changes {
		l.unread[c.Member] = time.Now()
	}
}

// died forgets what a process knew that is no more: what it had not written down
// the next one can't know.
func (l *simLedger) died(holds []journal.Hold) {
	for m := range l.handsOff {
		kept := false
		for _, h := range holds {
			kept = kept || h.Holds(m) && h.Phase == journal.Superseded
		}
		if !kept {
			delete(l.handsOff, m)
		}
	}
	l.silent = map[edge.Member]time.Time{}
}

// viewed notes the claims that were read.
func (l *simLedger) viewed(v claims.View) {
	now := map[edge.Member]bool{}
	for _, c := range v.Claims {
		if c.Suppressed {
			now[c.Member] = true
			if l.silent[c.Member].IsZero() {
				l.silent[c.Member] = v.At
			}
		}
	}
	for m := range l.silent {
		if !now[m] {
			delete(l.silent, m)
		}
	}
}
