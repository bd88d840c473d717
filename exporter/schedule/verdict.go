package schedule

import "github.com/sluice-project/sluice/edge"

// A Verdict turns results into up or down: Fall bad results in a row make it
// down, Rise good ones in a row make it up again. Before anything is known one
// good result is enough for up, so that a start shows no outage, while down wants
// Fall bad ones even then: nothing is taken out on a first impression.
type Verdict struct {
	Fall, Rise int

	up    edge.Answer
	again int // results in a row that speak against up
	bad   int // bad results in a row, whatever up is; at most Fall
}

// Up is Yes, No, or Unknown while there is no verdict.
func (v *Verdict) Up() edge.Answer { return v.up }

// Doubtful says that the last results were bad and that it isn't down yet:
// the time for a fast retry.
func (v *Verdict) Doubtful() bool { return v.up != edge.No && v.again > 0 }

// Falling says that one more bad result makes it down.
func (v *Verdict) Falling() bool { return v.up != edge.No && v.again+1 >= v.Fall }

// Forgive forgets bad results that didn't make it down.
func (v *Verdict) Forgive() {
	if v.up != edge.No {
		v.again, v.bad = 0, 0
	}
}

// Forget makes the verdict unknown, for the last result is too old to be
// believed. Bad results go on counting towards Fall, or else a target whose
// results come too seldom would never be down; one more is wanted at least.
func (v *Verdict) Forget() { v.up, v.again = edge.Unknown, min(v.bad, v.Fall-1) }

// Observe takes one result and says whether the verdict changed.
func (v *Verdict) Observe(good bool) bool {
	if good {
		v.bad = 0
	} else {
		v.bad = min(v.bad+1, v.Fall)
	}
	switch {
	case good && v.up == edge.Unknown:
		v.up, v.again = edge.Yes, 0
		return true
	case v.up != edge.Unknown && good == (v.up == edge.Yes):
		v.again = 0
		return false
	}
	v.again++
	need, to := v.Fall, edge.No
	if good {
		need, to = v.Rise, edge.Yes
	}
	if v.again < need {
		return false
	}
	v.up, v.again = to, 0
	return true
}
