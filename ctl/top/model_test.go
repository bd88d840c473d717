package top

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gdamore/tcell/v2"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// paper is a canvas that remembers.
type paper struct {
	cells  map[[2]int]rune
	styles map[[2]int]tcell.Style
}

func (p *paper) Fill(rune, tcell.Style) {
	p.cells, p.styles = map[[2]int]rune{}, map[[2]int]tcell.Style{}
}

func (p *paper) Show() {}

func (p *paper) SetContent(x, y int, main rune, _ []rune, style tcell.Style) {
	p.cells[[2]int{x, y}], p.styles[[2]int{x, y}] = main, style
}

// drawn is the screen as text. Nothing may be drawn beyond it.
func drawn(t *testing.T, m *model, width, height int) string {
	t.Helper()
	p := new(paper)
	m.width, m.height = width, height
	m.draw(p)
	lines := make([]string, height)
	for at := range p.cells {
		if at[0] < 0 || at[1] < 0 || at[0] >= width || at[1] >= height {
			t.Errorf("%q is drawn at %v of %dx%d", p.cells[at], at, width, height)
		}
	}
	for y := range lines {
		var b strings.Builder
		for x := range width {
			if r, ok := p.cells[[2]int{x, y}]; ok {
				b.WriteRune(r)
			} else {
				b.WriteByte(' ')
			}
		}
		lines[y] = strings.TrimRight(b.String(), " ")
	}
	return strings.Join(lines, "\n")
}

func one(pool, name string, admin edge.Admin, chosen uint64) ctl.Member {
	return ctl.Member{State: edge.State{
		Member: edge.Member{Device: "edge1", Pool: pool, Name: name}, Admin: admin, Serving: admin == edge.Ready, Weight: 10, Share: 10,
		Sessions: len(name), Chosen: chosen, Address: "192.0.2.1:80",
	}}
}

var start = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func some(at time.Time, chosen uint64) Data {
	d := Data{At: at, Devices: []ctl.Device{{Device: "edge1"}}, Members: []ctl.Member{
		one("shop", "app1", edge.Ready, chosen), one("shop", "app10", edge.Drain, chosen/2), one("mail", "мэйл", edge.Maint, 0),
	}}
	d.Members[1].Set = &ctl.SetBy{By: "person", Actor: "ann", Since: at.Add(-90 * time.Second), Reason: "a new disk"}
	d.Pools = []control.Pool{{Device: "edge1", Pool: "shop", Members: 2, Serving: 1, Out: 1, MinServing: "50%", Policy: "drain", Frozen: true}, {Device: "edge1", Pool: "mail", Members: 1}}
	d.Holds = []journal.Hold{{ID: "h1", Member: d.Members[2].Member, To: edge.Maint, Phase: journal.Holding, Policy: "drain", Since: at.Add(-time.Hour), Reason: "it answers 500"}}
	return d
}

func shown(t *testing.T, change ...func(*model)) *model {
	t.Helper()
	m := newModel("http://127.0.0.1:11011", true, false, true)
	m.bring(some(start, 100), nil)
	m.bring(some(start.Add(2*time.Second), 140), nil)
	m.now = start.Add(2 * time.Second)
	for _, f := range change {
		f(m)
	}
	return m
}

func press(m *model, keys string) {
	for _, r := range keys {
		switch r {
		case '\r':
			m.press(key{name: keyEnter})
		case '\x1b':
			m.press(key{name: keyEsc})
		case '\t':
			m.press(key{name: keyTab})
		case '\b':
			m.press(key{name: keyDelete})
		default:
			m.press(key{r: r})
		}
	}
}

func TestWhatKeysShow(t *testing.T) {
	for _, c := range []struct {
		name, keys string
		has, not   []string
	}{
		{"all members, by name", "", []string{"3 devices", "1/3 serving"}[1:], nil},
		{"rates are between two looks", "", []string{"20", "10"}, nil},
		{"names of every alphabet", "", []string{"edge1/mail/мэйл"}, nil},
		{"who and why", "", []string{"ann", "a new disk", "1m30s"}, nil},
		{"a filter of two words", "/shop app10\r", []string{"app10", "1/1"}, []string{"app1 ", "мэйл"}},
		{"a filter is seen as it is typed", "/app10", []string{"filter: app10_"}, []string{"мэйл"}},
		{"and taken away", "/app10\x1b", []string{"мэйл"}, []string{"filter:"}},
		{"and later too", "/app10\r\x1b", []string{"мэйл"}, nil},
		{"a filter that fits nothing", "/zz\r", []string{"nothing matches the filter"}, []string{"app1 "}},
		{"a typing error", "/appx\b10\r", []string{"app10"}, []string{"мэйл"}},
		{"the pools", "2", []string{"edge1/shop", "1/2", "50%", "freeze"}, []string{"app1"}},
		{"a pool's members", "p/shop\r\r", []string{"app1", "app10"}, []string{"мэйл"}},
		{"the holds", "3", []string{"edge1/mail/мэйл", "holding", "1h0m", "it answers 500"}, []string{"app1"}},
		{"tab goes on", "\t\t", []string{"holding"}, nil},
		{"a member's page", "jj\r", []string{"set by       ann", "What happened", "192.0.2.1:80"}, nil},
		{"and back", "jj\rq", []string{"DEVICE/POOL/MEMBER"}, []string{"What happened"}},
		{"the help", "?", []string{"Keys", "Signs", "D M R"}, nil},
		{"over a member's page and back", "jj\r?qq", []string{"DEVICE/POOL/MEMBER"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := shown(t)
			press(m, c.keys)
			text := drawn(t, m, 120, 40)
			for _, has := range c.has {
				if !strings.Contains(text, has) {
					t.Errorf("no %q in\n%s", has, text)
				}
			}
			for _, not := range c.not {
				if strings.Contains(text, not) {
					t.Errorf("%q in\n%s", not, text)
				}
			}
			if m.quit {
				t.Error("it ends")
			}
		})
	}
	m := shown(t)
	if press(m, "q"); !m.quit {
		t.Error("it doesn't end")
	}
}

func TestMembersAreSorted(t *testing.T) {
	for i, want := range []string{
		"мэйл app1 app10", // name
		"мэйл app10 app1", // state: what serves comes last
		"app10 мэйл app1", // for: what changed last
		"app10 мэйл app1", // sessions
		"мэйл app1 app10", // queue: all alike
		"app1 app10 мэйл", // rate
		"мэйл app1 app10", // errors: none
	} {
		m := shown(t, func(m *model) {
			m.data.Members[2].OpSince = m.now.Add(-time.Hour)
			m.data.Members[2].Sessions = 4
			m.data.Members[0].Sessions = 4
		})
		press(m, strings.Repeat("s", i))
		order := func() string {
			var names []string
			for _, r := range m.rows() {
				names = append(names, r.member.Name)
			}
			return strings.Join(names, " ")
		}
		if got := order(); got != want {
			t.Errorf("by %s: %s, want %s", sorts[i], got, want)
		}
		press(m, "S")
		words := strings.Fields(want)
		if got := order(); got != words[2]+" "+words[1]+" "+words[0] {
			t.Errorf("by %s, turned round: %s", sorts[i], got)
		}
	}
}

func TestTheCursorStaysOnItsRow(t *testing.T) {
	m := shown(t)
	press(m, "j") // app1
	drawn(t, m, 80, 24)
	d := some(start.Add(4*time.Second), 150)
	d.Members = append([]ctl.Member{one("aaa", "new", edge.Ready, 0)}, d.Members...)
	m.bring(d, nil)
	if got, _ := m.selected(); got.Name != "app1" {
		t.Errorf("it is on %s", got)
	}
	for i := range 200 {
		d.Members = append(d.Members, one("many", fmt.Sprintf("m%03d", i), edge.Ready, 0))
	}
	m.bring(d, nil)
	press(m, "G")
	if text := drawn(t, m, 80, 24); !strings.Contains(text, "app10") || strings.Contains(text, "aaa/new") {
		t.Errorf("the end isn't shown:\n%s", text)
	}
	m.press(key{name: keyPgUp})
	press(m, "g")
	if text := drawn(t, m, 80, 24); !strings.Contains(text, "aaa/new") {
		t.Errorf("nor the beginning:\n%s", text)
	}
	d.Members = d.Members[:2]
	m.bring(d, nil)
	press(m, "G")
	d.Members = d.Members[:1]
	m.bring(d, nil) // the row under the cursor is gone
	if got, ok := m.selected(); !ok || got.Name != "new" {
		t.Errorf("it is on %s, %v", got, ok)
	}
	d.Members = nil
	m.bring(d, nil)
	drawn(t, m, 80, 24)
	press(m, "jkD\r")
	if text := drawn(t, m, 80, 24); !strings.Contains(text, "go to a member first") && !strings.Contains(text, "nothing here") {
		t.Errorf("without rows:\n%s", text)
	}
}

func TestEverySizeIsDrawn(t *testing.T) {
	for _, keys := range []string{"", "2", "3", "4", "?", "jj\r", "/x", "DDisk", "Dlong reason\r"} {
		for width := 0; width < 130; width += 7 {
			for height := range 30 {
				for _, failed := range []error{nil, errors.New("connection refused")} {
					m := shown(t)
					m.bring(Data{}, failed)
					m.notice = strings.Repeat("said ", 40)
					press(m, keys)
					drawn(t, m, width, height) // finds what is drawn beyond it
				}
			}
		}
	}
}

func TestWithoutAnAnswerTheAgeIsTold(t *testing.T) {
	m := newModel("http://127.0.0.1:11011", true, false, true)
	m.bring(Data{}, errors.New("connection\nrefused"))
	if text := drawn(t, m, 80, 24); !strings.Contains(text, "NO ANSWER for 0s: connection refused") || !strings.Contains(text, "waiting for") {
		t.Errorf("before the first look:\n%s", text)
	}
	m = shown(t)
	m.bring(Data{}, errors.New("connection refused"))
	m.failing, m.now = start.Add(4*time.Second), start.Add(14*time.Second)
	if text := drawn(t, m, 80, 24); !strings.Contains(text, "NO ANSWER for 10s, what is shown is 12s old: connection refused") || !strings.Contains(text, "app10") {
		t.Errorf("later:\n%s", text)
	}
	press(m, "D")
	if text := drawn(t, m, 80, 24); !strings.Contains(text, "what is shown is old") {
		t.Errorf("an order on what is old:\n%s", text)
	}
	m.bring(some(start.Add(20*time.Second), 200), nil)
	if text := drawn(t, m, 80, 24); strings.Contains(text, "NO ANSWER") {
		t.Errorf("it is back:\n%s", text)
	}
}

// I23: a step is asked for once more, with a reason, and never by a key alone.
func TestAStepWantsAReasonAndAYes(t *testing.T) {
	var done []order
	m := shown(t, func(m *model) { m.do = func(o order) { done = append(done, o) } })
	for _, keys := range []string{"D", "D\r", "D \r", "Dx\x1by", "Dx\rn", "Dx\r\r", "Dx\r\x1b", "Dx\rjy"} {
		press(m, keys)
		m.asking = askNothing
	}
	if len(done) != 0 {
		t.Fatalf("done: %+v", done)
	}
	press(m, "g")
	for keys, to := range map[string]edge.Admin{"D": edge.Drain, "M": edge.Maint, "R": edge.Ready} {
		done = nil
		press(m, keys+" because q?/1 \ry")
		if want := (order{edge.Member{Device: "edge1", Pool: "mail", Name: "мэйл"}, to, "because q?/1"}); len(done) != 1 || done[0] != want {
			t.Errorf("%s: %+v", keys, done)
		}
		press(m, "Dagain\ry")
		if len(done) != 1 {
			t.Error("a second one while the first is under way")
		}
		m.asking = askNothing
		m.tell(done[0], "applied", nil)
	}
	m.tell(order{}, "", errors.New("refused by guard min_serving"))
	if text := drawn(t, m, 80, 24); !strings.Contains(text, "refused by guard min_serving") {
		t.Errorf("the refusal isn't told:\n%s", text)
	}

	done = nil
	m = shown(t, func(m *model) { m.orders, m.do = false, func(o order) { done = append(done, o) } })
	press(m, "Dx\ry")
	if len(done) != 0 {
		t.Error("a screen that only looks gave an order (I23)")
	}
	m = shown(t)
	press(m, "2")
	press(m, "D")
	if m.asking != askNothing {
		t.Error("a step on a pool is asked for")
	}
}

// I21: what a device or an alert says is text, whatever a terminal would make of it.
func TestTextsCannotSteerTheTerminal(t *testing.T) {
	m := shown(t)
	m.data.Members[0].Set = &ctl.SetBy{Actor: "\x1b[2J\x07evil\u202e", Reason: "a\nb\tc"}
	m.data.Members[0].Op = "\x9b31m"
	m.data.Freezes = []journal.Freeze{{Reason: "\x1b]0;x\x07", Actor: "\u200bann", At: start}}
	for _, keys := range []string{"", "j\r"} {
		press(m, keys)
		p := new(paper)
		m.width, m.height = 140, 40
		m.draw(p)
		for at, r := range p.cells {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' || r == '\u200b' {
				t.Errorf("%U is drawn at %v", r, at)
			}
		}
	}
}

func TestWithoutColourOrUTF8NothingIsLost(t *testing.T) {
	m := newModel("http://127.0.0.1:11011", false, true, false)
	d := some(start, 1)
	d.Members[2] = one("mail", "mail1", edge.Maint, 0)
	d.Holds[0].Member = d.Members[2].Member
	m.bring(d, nil)
	p := new(paper)
	for _, keys := range []string{"", "2", "3", "?", "1\r"} {
		press(m, keys)
		for _, r := range drawn(t, m, 100, 40) {
			if r > '~' {
				t.Errorf("%q after %q", r, keys)
			}
		}
		m.draw(p)
		for at, s := range p.styles {
			if fg, bg, _ := s.Decompose(); fg != tcell.ColorDefault || bg != tcell.ColorDefault {
				t.Errorf("a colour at %v after %q", at, keys)
			}
		}
	}
}

func TestTheLocale(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "LANG=C": false, "LANG=en_US.UTF-8": true, "LANG=ru_RU.utf8": true, "LC_ALL=C LANG=en_US.UTF-8": false,
		"LC_CTYPE=de_DE.UTF-8 LANG=C": true, "LANG=ru_RU.KOI8-R": false,
	} {
		env := map[string]string{}
		for _, f := range strings.Fields(text) {
			name, v, _ := strings.Cut(f, "=")
			env[name] = v
		}
		if got := utf8Locale(func(name string) string { return env[name] }); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// a source that the test steers.
type fake struct {
	looks  chan looked
	orders chan order
	free   chan struct{}
}

func (f fake) Look(ctx context.Context) (Data, error) {
	select {
	case l := <-f.looks:
		return l.data, l.err
	case <-ctx.Done():
		return Data{}, ctx.Err()
	}
}

func (f fake) History(context.Context, edge.Member) ([]journal.Entry, error) {
	return []journal.Entry{{Event: "order", Admin: "drain", Actor: "ann", Detail: "a new disk"}}, nil
}

func (f fake) Order(_ context.Context, m edge.Member, to edge.Admin, reason string) (string, error) {
	f.orders <- order{m, to, reason}
	<-f.free
	return "applied", nil
}

// I10: who leaves while a step is under way waits for what becomes of it.
func TestLeavingWaitsForAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := tcell.NewSimulationScreen("UTF-8")
		if err := screen.Init(); err != nil {
			t.Fatal(err)
		}
		defer screen.Fini()
		screen.SetSize(100, 30)
		f := fake{make(chan looked, 1), make(chan order), make(chan struct{})}
		f.looks <- looked{data: some(start, 1)}
		m := newModel("http://127.0.0.1:11011", true, false, true)
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ready := make(chan struct{})
		go func() { done <- loop(ctx, watched{screen, ready}, m, f, time.Hour) }()
		<-ready
		for _, r := range "Dx" {
			screen.InjectKey(tcell.KeyRune, r, tcell.ModNone)
		}
		screen.InjectKey(tcell.KeyEnter, 0, tcell.ModNone)
		screen.InjectKey(tcell.KeyRune, 'y', tcell.ModNone)
		o := <-f.orders
		if o.to != edge.Drain || o.reason != "x" {
			t.Errorf("ordered: %+v", o)
		}
		cancel()
		defer close(f.free)
		synctest.Wait() // whoever doesn't wait for the step has left by now
		select {
		case err := <-done:
			t.Fatalf("it left before the step's outcome was known: %v", err)
		default:
		}
		f.free <- struct{}{}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !strings.Contains(m.notice, "applied") {
			t.Errorf("it was told %q", m.notice)
		}
	})
}

// watched tells once the members are on the screen.
type watched struct {
	tcell.Screen
	ready chan struct{}
}

func (w watched) SetContent(x, y int, r rune, comb []rune, s tcell.Style) {
	w.Screen.SetContent(x, y, r, comb, s)
	if r == '◐' {
		select {
		case <-w.ready:
		default:
			close(w.ready)
		}
	}
}

func TestABackupStandsBy(t *testing.T) {
	for want, s := range map[string]edge.State{
		"standby": {Backup: true}, "serving": {Backup: true, Serving: true}, "down": {Backup: true, Check: edge.No}, "out": {Backup: true, Admin: edge.Maint},
	} {
		if got := stateOf(ctl.Member{State: s}); got != want {
			t.Errorf("%+v: %s, want %s", s, got, want)
		}
	}
}
