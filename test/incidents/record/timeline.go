package record

import (
	"slices"
	"strings"
)

// together is how far apart events may be that are shown as one line.
const together = 2.0

// A line is what a reader sees of one or more events.
type line struct {
	from, to  float64
	who, what string
	of        []string
}

// lines merges events that are the same but for whom they are of. It wants them in
// their order.
func lines(events []Event) []line {
	var out []line
	open := map[[2]string]int{} // the line that more may join, by who and what
	for _, e := range events {
		key := [2]string{e.Who, e.What}
		if i, ok := open[key]; ok && e.Of != "" && e.At-out[i].from <= together && !slices.Contains(out[i].of, e.Of) {
			out[i].of, out[i].to = append(out[i].of, e.Of), e.At
			continue
		}
		l := line{from: e.At, to: e.At, who: e.Who, what: e.What}
		if e.Of != "" {
			l.of = []string{e.Of}
			open[key] = len(out)
		}
		out = append(out, l)
	}
	return out
}

func (l line) when() string {
	from, to := seconds(l.from), seconds(l.to)
	if from == to {
		return from
	}
	return from + " to " + to
}

func (l line) text() string {
	if len(l.of) == 0 {
		return l.what
	}
	of := slices.Sorted(slices.Values(l.of))
	return l.what + ": " + strings.Join(of, "; ")
}

// pause is how long requests may be well within a burst of failures.
const pause = 2.0

// A Visit is one request of a client.
type Visit struct {
	At, Took float64
	Error    string
}

// Count counts visits, in the order in which they began.
func Count(through string, visits []Visit) Clients {
	c := Clients{Through: through, Sent: len(visits)}
	for _, v := range visits {
		if v.Error == "" {
			continue
		}
		c.Failed++
		if n := len(c.Bursts); n > 0 && v.At-c.Bursts[n-1].To <= pause {
			c.Bursts[n-1].To = v.At
			continue
		}
		c.Bursts = append(c.Bursts, Burst{From: v.At, To: v.At, Says: v.Error})
	}
	for i := range c.Bursts {
		b := &c.Bursts[i]
		for _, v := range visits {
			if v.At < b.From || v.At > b.To {
				continue
			}
			b.Sent++
			if v.Error != "" {
				b.Failed++
			}
		}
	}
	return c
}

// mostOut is how many members of a pool were out at one time, at most, by the
// word of the device. The pool is device/pool.
func (r *Run) mostOut(pool string) int {
	out, most := map[string]bool{}, 0
	for _, o := range r.Out {
		if !strings.HasPrefix(o.Member, pool+"/") {
			continue
		}
		if o.In() {
			delete(out, o.Member)
		} else {
			out[o.Member] = true
		}
		most = max(most, len(out))
	}
	return most
}
