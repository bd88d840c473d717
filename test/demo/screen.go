package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// settle is how long a line waits before it is printed, so that one that is
// learned late but happened before it still comes first.
const settle = 250 * time.Millisecond

// A line is something that one part saw.
type line struct {
	at   time.Time
	who  string
	text string
}

// A screen prints what happened, in the order in which it happened and with the
// time since the scene began.
type screen struct {
	out  io.Writer
	bold bool

	mu    sync.Mutex
	start time.Time
	on    bool   // a scene is
	lines []line // not yet printed
}

func newScreen(out *os.File) *screen {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &screen{out: out, bold: terminal && os.Getenv("NO_COLOR") == ""}
}

// say prints a line of plain text.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// scene begins a new count of seconds under a headline. The function that it
// returns ends the scene; until then lines are printed as they come.
func (s *screen) scene(start time.Time, headline string) (end func()) {
	s.mu.Lock()
	s.start, s.on = start, true
	if s.bold {
		headline = "\x1b[1m" + headline + "\x1b[0m"
	}
	fmt.Fprintf(s.out, "\n%s\n\n  seconds\n", headline)
	s.mu.Unlock()

	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(settle / 5)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				s.print(now.Add(-settle))
			case <-stop:
				s.print(time.Now())
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-done
		s.mu.Lock()
		s.on = false
		s.mu.Unlock()
	})
}

// saw adds a line to the scene. Between scenes it is printed at once, with the time
// of day.
func (s *screen) saw(at time.Time, who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on {
		fmt.Fprintf(s.out, "  %s %-13s %s\n", at.Format(time.TimeOnly), who, fmt.Sprintf(format, args...))
		return
	}
	s.lines = append(s.lines, line{at, who, fmt.Sprintf(format, args...)})
}

// print prints the lines of what happened until then, oldest first.
func (s *screen) print(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.lines, func(a, b line) int { return a.at.Compare(b.at) })
	n := 0
	for ; n < len(s.lines) && !s.lines[n].at.After(until); n++ {
		l := s.lines[n]
		fmt.Fprintf(s.out, "  %7.2f  %-13s %s\n", max(0, l.at.Sub(s.start).Seconds()), l.who, l.text)
	}
	s.lines = slices.Delete(s.lines, 0, n)
}
