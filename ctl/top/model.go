package top

import (
	"strings"
	"time"
	"unicode"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A view is one of the lists, or what covers it.
type view int

const (
	viewMembers view = iota
	viewPools
	viewHolds
	viewRefusals
	viewDetail
	viewHelp
)

var viewNames = [...]string{"members", "pools", "holds", "refusals", "member", "help"}

// An asking is what is typed now.
type asking int

const (
	askNothing asking = iota
	askFilter
	askReason
	askConfirm
)

// An order is a step that a person is about to ask for.
type order struct {
	member edge.Member
	to     edge.Admin
	reason string
}

// A model is all that the screen shows. It is changed by keys, by what looks
// bring and by the time, and does nothing by itself: what is to be done is handed
// to the functions that it was given.
type model struct {
	url    string
	orders bool // steps may be asked for
	glyphs glyphs
	colour bool

	now     time.Time
	width   int
	height  int
	data    Data
	rates   map[edge.Member]float64
	looked  bool      // there are data
	failed  string    // why the last look brought none; empty when it did
	failing time.Time // since when

	view    view
	under   view // what a member's page covers
	beside  view // what the help covers
	sort    int
	reverse bool
	filter  string
	cursor  map[view]string // the key of the row
	offset  map[view]int

	asking  asking
	typed   []rune
	pending order
	busy    bool // a step is under way
	notice  string
	bad     bool

	history   []journal.Entry
	historyOf edge.Member
	told      string // why there is no history

	quit bool

	do    func(order)       // carries out a step
	about func(edge.Member) // asks for a member's history
}

func newModel(url string, orders, ascii, colour bool) *model {
	m := &model{
		url: url, orders: orders, glyphs: utf8Glyphs, colour: colour, now: time.Now(),
		cursor: map[view]string{}, offset: map[view]int{}, rates: map[edge.Member]float64{},
		do: func(order) {}, about: func(edge.Member) {},
	}
	if ascii {
		m.glyphs = asciiGlyphs
	}
	return m
}

// bring takes in what a look brought.
func (m *model) bring(d Data, err error) {
	m.now = time.Now()
	if err != nil {
		if m.failed == "" {
			m.failing = m.now
		}
		m.failed = ctl.Line(err.Error())
		return
	}
	if m.looked {
		m.rates = rates(m.data, d)
	}
	m.data, m.looked, m.failed = d, true, ""
}

// tell takes in what became of a step.
func (m *model) tell(o order, said string, err error) {
	m.busy, m.bad = false, err != nil
	if err != nil {
		said = err.Error()
	}
	m.notice = ctl.Printable(ctl.Name(o.member) + " to " + o.to.String() + ": " + said)
}

// A key is what was pressed: a rune, or one of the names below.
type key struct {
	name string
	r    rune
}

// Names of keys that aren't runes.
const (
	keyUp     = "up"
	keyDown   = "down"
	keyPgUp   = "pgup"
	keyPgDn   = "pgdn"
	keyHome   = "home"
	keyEnd    = "end"
	keyEnter  = "enter"
	keyEsc    = "esc"
	keyTab    = "tab"
	keyDelete = "backspace"
	keyKill   = "kill" // Ctrl-U: what was typed
)

// mostTyped bounds a filter and a reason, in characters; the API takes 300.
const mostTyped = 300

// press takes in a key.
func (m *model) press(k key) {
	switch m.asking {
	case askFilter, askReason:
		m.typing(k)
	case askConfirm:
		m.confirm(k)
	default:
		m.steer(k)
	}
}

func (m *model) typing(k key) {
	switch k.name {
	case keyEsc:
		if m.asking == askFilter {
			m.filter = ""
		}
		m.asking, m.typed = askNothing, nil
	case keyEnter:
		text := strings.TrimSpace(string(m.typed))
		switch {
		case m.asking == askFilter:
			m.filter, m.asking, m.typed = text, askNothing, nil
		case text == "":
			m.say("a reason, please: those who come after want to know why; Esc leaves it", true)
		default:
			m.pending.reason, m.asking, m.typed = text, askConfirm, nil
		}
	case keyDelete:
		if len(m.typed) > 0 {
			m.typed = m.typed[:len(m.typed)-1]
		}
	case keyKill:
		m.typed = nil
	case "":
		if len(m.typed) < mostTyped && unicode.IsPrint(k.r) {
			m.typed = append(m.typed, k.r)
		}
	}
	if m.asking == askFilter {
		m.filter = strings.TrimSpace(string(m.typed)) // seen as it is typed
	}
}

// confirm goes on only for a y: whatever else is pressed is a no.
func (m *model) confirm(k key) {
	m.asking = askNothing
	if k.r != 'y' && k.r != 'Y' {
		m.say("nothing was done", false)
		return
	}
	m.busy = true
	m.say(m.pending.to.String()+" "+ctl.Name(m.pending.member)+m.glyphs.more, false)
	m.do(m.pending)
}

func (m *model) say(text string, bad bool) { m.notice, m.bad = text, bad }

// steer takes in a key while nothing is typed.
func (m *model) steer(k key) {
	m.notice, m.bad = "", false
	switch k.name {
	case keyUp, keyDown, keyPgUp, keyPgDn, keyHome, keyEnd:
		m.move(k.name)
	case keyEnter:
		m.open()
	case keyEsc:
		m.back()
	case keyTab:
		if m.view < viewDetail {
			m.view = (m.view + 1) % viewDetail
		}
	}
	switch k.r {
	case 'q':
		if m.view >= viewDetail {
			m.back()
		} else {
			m.quit = true
		}
	case 'k':
		m.move(keyUp)
	case 'j':
		m.move(keyDown)
	case 'g':
		m.move(keyHome)
	case 'G':
		m.move(keyEnd)
	case '1', 'a':
		m.view = viewMembers
	case '2', 'p':
		m.view = viewPools
	case '3', 'h':
		m.view = viewHolds
	case '4', 'x':
		m.view = viewRefusals
	case '/':
		m.asking, m.typed = askFilter, []rune(m.filter)
	case 's':
		m.sort = (m.sort + 1) % len(sorts)
	case 'S':
		m.reverse = !m.reverse
	case '?':
		if m.view != viewHelp {
			m.beside, m.view = m.view, viewHelp
		}
	case 'D':
		m.ask(edge.Drain)
	case 'M':
		m.ask(edge.Maint)
	case 'R':
		m.ask(edge.Ready)
	}
}

// open shows what the row at the cursor is about.
func (m *model) open() {
	switch m.view {
	case viewPools:
		if i := m.at(); i >= 0 {
			r := m.rows()[i]
			m.view, m.filter = viewMembers, ctl.PoolName(r.member.In())+"/"
		}
	case viewMembers, viewHolds, viewRefusals:
		one, ok := m.selected()
		if !ok {
			return
		}
		m.under, m.view = m.view, viewDetail
		m.offset[viewDetail] = 0
		m.historyOf, m.history, m.told = one, nil, "asked for"+m.glyphs.more
		m.about(one)
	}
}

func (m *model) back() {
	switch {
	case m.view == viewHelp:
		m.view = m.beside
	case m.view == viewDetail:
		m.view = m.under
	case m.filter != "":
		m.filter = ""
	}
}

// selected is the member that the cursor, or the detail, is on.
func (m *model) selected() (edge.Member, bool) {
	if m.view == viewDetail {
		return m.historyOf, true
	}
	i := m.at()
	if i < 0 || m.view == viewPools {
		return edge.Member{}, false
	}
	one := m.rows()[i].member
	return one, one.Name != ""
}

// ask begins a step of a person.
func (m *model) ask(to edge.Admin) {
	one, ok := m.selected()
	switch {
	case !m.orders:
		m.say("this screen only looks: sluice ctl top --allow-orders takes steps", true)
	case !ok:
		m.say("go to a member first", true)
	case m.busy:
		m.say("a step is under way", true)
	case m.failed != "":
		m.say("the remediator gives no answer: what is shown is old", true)
	default:
		m.pending, m.asking, m.typed = order{member: one, to: to}, askReason, nil
	}
}

// at is the index of the cursor's row among those shown; -1 without rows. A row
// that is gone leaves the cursor at its place.
func (m *model) at() int {
	rows := m.rows()
	for i, r := range rows {
		if r.key == m.cursor[m.view] {
			return i
		}
	}
	if len(rows) == 0 {
		return -1
	}
	i := min(m.offset[m.view], len(rows)-1)
	if m.cursor[m.view] == "" {
		i = 0
	}
	return i
}

func (m *model) move(name string) {
	page := max(1, m.listed()-1)
	by := map[string]int{keyUp: -1, keyDown: 1, keyPgUp: -page, keyPgDn: page, keyHome: -1 << 30, keyEnd: 1 << 30}[name]
	if m.view >= viewDetail { // text that is scrolled
		m.offset[m.view] = max(0, m.offset[m.view]+by)
		return
	}
	rows := m.rows()
	if len(rows) == 0 {
		return
	}
	m.cursor[m.view] = rows[min(max(0, m.at()+by), len(rows)-1)].key
}
