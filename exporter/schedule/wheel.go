package schedule

import (
	"math/bits"
	"time"
)

// tick is how exactly turns begin: what falls into one tick begins together, at
// its end. With 10,000 turns a second that is 200 wake-ups instead of 10,000.
const tick = 5 * time.Millisecond

// slots is how many ticks the wheel has; a turn further away than a round of it
// (five seconds) is passed over until its round comes.
const slots = 1 << 10

// A wheel holds tasks until they are due. Adding and removing one costs the
// same however many there are, and a task needs no more than its two links.
type wheel struct {
	slots [slots]list
	busy  [slots / 64]uint64 // slots that may hold something
	at    int64              // the last tick that was taken out
	n     int
}

// tickOf is the first tick at or after t: nothing begins early.
func tickOf(t time.Duration) int64 { return int64((t + tick - 1) / tick) }

// add puts a task where its due time is; one that is due already comes with the next tick.
func (w *wheel) add(t *task) {
	slot := max(tickOf(t.due), w.at+1) % slots
	w.slots[slot].push(t)
	w.busy[slot/64] |= 1 << (slot % 64)
	w.n++
}

func (w *wheel) remove(t *task) {
	t.in.remove(t) // its slot may look busy for one more round
	w.n--
}

// take removes all that is due at now and gives it to f, tick by tick.
func (w *wheel) take(now time.Duration, f func(*task)) {
	upto := int64(now / tick)
	for at := max(w.at+1, upto-slots+1); at <= upto; at++ { // more than a round behind: each slot once
		slot := at % slots
		if w.busy[slot/64]&(1<<(slot%64)) == 0 {
			continue
		}
		l := &w.slots[slot]
		for t := l.head; t != nil; {
			next := t.next
			if tickOf(t.due) <= upto {
				l.remove(t)
				w.n--
				f(t)
			}
			t = next
		}
		if l.head == nil {
			w.busy[slot/64] &^= 1 << (slot % 64)
		}
	}
	w.at = max(w.at, upto)
}

// next is the time of the next tick that may have something: never later than
// the first task is due, rounded up to a tick.
func (w *wheel) next() (time.Duration, bool) {
	if w.n == 0 {
		return 0, false
	}
	first := w.at + 1
	for i := int64(0); i < slots; {
		slot := (first + i) % slots
		if rest := w.busy[slot/64] >> (slot % 64); rest != 0 {
			i += int64(bits.TrailingZeros64(rest))
			return time.Duration(first+i) * tick, true
		}
		i += 64 - slot%64
	}
	return 0, false
}

// A list links tasks through themselves: each is in one list at most.
type list struct {
	head, tail *task
	n          int
}

func (l *list) push(t *task) {
	t.in, t.prev, t.next = l, l.tail, nil
	if l.tail == nil {
		l.head = t
	} else {
		l.tail.next = t
	}
	l.tail = t
	l.n++
}

func (l *list) remove(t *task) {
	if t.prev == nil {
		l.head = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.tail = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.in, t.prev, t.next = nil, nil, nil
	l.n--
}
