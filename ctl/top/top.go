// Package top is a terminal screen over all members of all devices, in the spirit of
// hatop: who serves, who doesn't, since when, by whom and why. It looks at the
// remediator every few seconds, and gives no orders unless it was started for that.
package top

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	// DefaultInterval is how often the remediator is asked. It reads a device once a
	// second for people, however many ask.
	DefaultInterval = 2 * time.Second
	// LeastInterval is the shortest one.
	LeastInterval = 500 * time.Millisecond
	// lookTime bounds one look, and orderTime one step.
	lookTime  = 10 * time.Second
	orderTime = time.Minute
)

// Options of [Run].
type Options struct {
	Client   *ctl.Client
	Interval time.Duration // DefaultInterval when 0
	Orders   bool          // drain, maint and ready may be asked for
	ASCII    bool          // no signs beyond ASCII; a locale without UTF-8 means it too
}

// ErrInterval says that an interval is too short.
var ErrInterval = fmt.Errorf("want %s or more", LeastInterval)

// Run shows the screen until somebody quits or ctx ends.
func Run(ctx context.Context, o Options) error {
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Interval < LeastInterval {
		return fmt.Errorf("interval %s: %w", o.Interval, ErrInterval)
	}
	// A locale whose encoding isn't known gets ASCII rather than an error.
	tcell.SetEncodingFallback(tcell.EncodingFallbackASCII)
	screen, err := tcell.NewScreen()
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		return fmt.Errorf("top wants a terminal: %w; sluice ctl members --watch does without", err)
	}
	// Also after a panic: a terminal that is left as it is here shows no line any more.
	defer screen.Fini()
	m := newModel(o.Client.URL(), o.Orders, o.ASCII || !utf8Locale(os.Getenv), os.Getenv("NO_COLOR") == "" && screen.Colors() > 2)
	return loop(ctx, screen, m, remote{o.Client}, o.Interval)
}

// utf8Locale says whether the environment's encoding is UTF-8.
// Source: POSIX.1-2017, 8.2: LC_ALL before LC_CTYPE before LANG; an empty one doesn't count.
func utf8Locale(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(env(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

type looked struct {
	data Data
	err  error
}

type ordered struct {
	order order
	said  string
	err   error
}

type history struct {
	of      edge.Member
	entries []journal.Entry
	err     error
}

// loop draws the model whenever anything has changed. What waits for the remediator
// does so beside it, and ends with it, but for a step, which is waited for: what
// became of it has to be known.
func loop(ctx context.Context, screen tcell.Screen, m *model, src Source, every time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, quit := make(chan tcell.Event, 16), make(chan struct{})
	defer close(quit)
	go screen.ChannelEvents(events, quit) // ends by quit, or with the screen

	looks, orders, pasts := make(chan looked, 1), make(chan ordered, 1), make(chan history, 1)
	m.do = func(o order) {
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), orderTime)
			defer cancel()
			said, err := src.Order(ctx, o.member, o.to, o.reason)
			orders <- ordered{o, said, err}
		}()
	}
	m.about = func(of edge.Member) {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, lookTime)
			defer cancel()
			es, err := src.History(ctx, of)
			select {
			case pasts <- history{of, es, err}:
			case <-ctx.Done():
			}
		}()
	}
	looking := false
	look := func() {
		if looking {
			return // the last one still waits for its answer
		}
		looking = true
		go func() {
			ctx, cancel := context.WithTimeout(ctx, lookTime)
			defer cancel()
			d, err := src.Look(ctx)
			looks <- looked{d, err}
		}()
	}
	next := time.NewTicker(every)
	defer next.Stop()
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	look()
	for {
		m.now = time.Now()
		m.width, m.height = screen.Size()
		m.draw(screen)
		if m.quit && !m.busy {
			return nil
		}
		select {
		case <-ctx.Done():
			m.quit = true
			if m.busy {
				m.finish(<-orders)
			}
			return nil
		case <-next.C:
			look()
		case <-clock.C: // ages grow
		case l := <-looks:
			looking = false
			m.bring(l.data, l.err)
		case o := <-orders:
			m.finish(o)
			look()
		case h := <-pasts:
			m.recall(h)
		case e, open := <-events:
			if !open || !m.events(screen, e, events) {
				return nil
			}
		}
	}
}

// events takes in what came from the terminal, and all that has come meanwhile:
// what is typed quickly isn't drawn letter by letter.
func (m *model) events(screen tcell.Screen, e tcell.Event, more <-chan tcell.Event) bool {
	for {
		if !m.event(screen, e) {
			return false
		}
		var open bool
		select {
		case e, open = <-more:
			if !open {
				return false
			}
		default:
			return true
		}
	}
}

func (m *model) finish(o ordered) { m.tell(o.order, o.said, o.err) }

func (m *model) recall(h history) {
	if h.of != m.historyOf {
		return // another is looked at by now
	}
	m.history, m.told = h.entries, ""
	if h.err != nil {
		m.told = ctl.Line(h.err.Error())
	}
}

// event takes in what came from the terminal; false when there is none any more.
func (m *model) event(screen tcell.Screen, e tcell.Event) bool {
	switch e := e.(type) {
	case *tcell.EventResize:
		screen.Sync()
	case *tcell.EventError:
		return false // the terminal is gone
	case *tcell.EventKey:
		switch e.Key() {
		case tcell.KeyCtrlC:
			m.quit = true
		case tcell.KeyCtrlL:
			screen.Sync()
		default:
			if k, ok := keyOf(e); ok {
				m.press(k)
			}
		}
	}
	return true
}

func keyOf(e *tcell.EventKey) (key, bool) {
	if e.Key() == tcell.KeyRune {
		return key{r: e.Rune()}, e.Modifiers()&(tcell.ModAlt|tcell.ModCtrl) == 0
	}
	name, ok := map[tcell.Key]string{
		tcell.KeyUp: keyUp, tcell.KeyDown: keyDown, tcell.KeyPgUp: keyPgUp, tcell.KeyPgDn: keyPgDn, tcell.KeyHome: keyHome, tcell.KeyEnd: keyEnd,
		tcell.KeyEnter: keyEnter, tcell.KeyEsc: keyEsc, tcell.KeyTab: keyTab, tcell.KeyBackspace: keyDelete, tcell.KeyBackspace2: keyDelete,
		tcell.KeyCtrlU: keyKill,
	}[e.Key()]
	return key{name: name}, ok
}
