package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/mattn/go-runewidth"

	"github.com/sluice-project/sluice/ctl"
)

// glyphs are the signs that are drawn.
type glyphs struct {
	moods [5]string // by mood; never the only sign of anything
	more  string    // what was cut off
	none  string    // a number that isn't known
}

var (
	utf8Glyphs  = glyphs{[5]string{calm: " ", well: "●", leaving: "◐", gone: "○", failing: "✖"}, "…", "–"}
	asciiGlyphs = glyphs{[5]string{calm: " ", well: "+", leaving: "~", gone: "-", failing: "!"}, ">", "-"}
)

// least is the smallest screen on which anything can be read.
const (
	leastWidth  = 40
	leastHeight = 8
)

// chrome is how many lines the lists don't get: two above, the header, and two below.
const chrome = 5

// listed is how many rows fit.
func (m *model) listed() int { return max(1, m.height-chrome) }

// style is how something looks: by colours where there are any, and so that it
// can be told without.
func (m *model) style(of mood) tcell.Style {
	s := tcell.StyleDefault
	if !m.colour {
		return s.Bold(of == failing)
	}
	switch of {
	case well:
		return s.Foreground(tcell.ColorGreen)
	case leaving:
		return s.Foreground(tcell.ColorYellow)
	case gone:
		return s.Foreground(tcell.ColorBlue)
	case failing:
		return s.Foreground(tcell.ColorRed).Bold(true)
	}
	return s
}

func (m *model) loud() tcell.Style {
	s := tcell.StyleDefault.Reverse(true).Bold(true)
	if m.colour {
		s = s.Foreground(tcell.ColorRed)
	}
	return s
}

// A canvas is where a model is drawn; it is a [tcell.Screen].
type canvas interface {
	Fill(r rune, style tcell.Style)
	SetContent(x, y int, main rune, comb []rune, style tcell.Style)
	Show()
}

// draw draws everything anew; what is the same isn't sent again.
func (m *model) draw(c canvas) {
	c.Fill(' ', tcell.StyleDefault) // Clear would have all of it sent again
	defer c.Show()
	if m.width < leastWidth || m.height < leastHeight {
		m.put(c, 0, 0, m.width, fmt.Sprintf("too small: want %dx%d", leastWidth, leastHeight), tcell.StyleDefault)
		return
	}
	m.drawTop(c)
	switch {
	case m.view == viewHelp:
		m.drawText(c, m.help())
	case !m.looked:
		m.put(c, 1, 3, m.width-1, "waiting for the remediator"+m.glyphs.more, tcell.StyleDefault)
	case m.view == viewDetail:
		m.drawText(c, m.detail())
	default:
		m.drawList(c)
	}
	m.drawBottom(c)
}

// drawTop says what is looked at, and what stops automation or us.
func (m *model) drawTop(c canvas) {
	serving, silent := 0, []string{}
	for _, one := range m.data.Members {
		if one.Serving {
			serving++
		}
	}
	for _, d := range m.data.Devices {
		if d.Error != "" {
			silent = append(silent, d.Device)
		}
	}
	head := fmt.Sprintf("sluice %s  %d devices  %d/%d serving  %d held", m.url, len(m.data.Devices), serving, len(m.data.Members), len(m.data.Holds))
	if m.data.Waiting > 0 {
		head += fmt.Sprintf("  %d to approve", m.data.Waiting)
	}
	m.put(c, 0, 0, m.width, head, tcell.StyleDefault.Bold(true))
	clock := m.now.Format("15:04:05")
	m.put(c, m.width-len(clock)-1, 0, len(clock)+1, " "+clock, tcell.StyleDefault.Bold(true))

	switch {
	case m.failed != "" && m.looked:
		m.fill(c, 1, m.loud())
		m.put(c, 0, 1, m.width, fmt.Sprintf("NO ANSWER for %s, what is shown is %s old: %s", age(m.now.Sub(m.failing)), age(m.now.Sub(m.data.At)), m.failed), m.loud())
	case m.failed != "":
		m.fill(c, 1, m.loud())
		m.put(c, 0, 1, m.width, fmt.Sprintf("NO ANSWER for %s: %s", age(m.now.Sub(m.failing)), m.failed), m.loud())
	case len(silent) > 0:
		m.put(c, 0, 1, m.width, "CAN'T BE READ: "+strings.Join(silent, ", ")+m.frozenToo(), m.style(failing))
	case len(m.data.Freezes) > 0:
		m.put(c, 0, 1, m.width, m.frozen(), m.style(leaving).Bold(true))
	case len(m.data.Without) > 0:
		m.put(c, 0, 1, m.width, "not shown: "+strings.Join(m.data.Without, "; "), m.style(leaving))
	}
}

func (m *model) frozenToo() string {
	if len(m.data.Freezes) == 0 {
		return ""
	}
	return "; " + m.frozen()
}

// frozen says what is frozen, by whom and why.
func (m *model) frozen() string {
	var parts []string
	for _, f := range m.data.Freezes {
		what := "everything"
		switch {
		case f.Pool != "":
			what = f.Device + "/" + f.Pool
		case f.Device != "":
			what = f.Device
		}
		text := fmt.Sprintf("%s by %s for %s: %s", what, f.Actor, age(m.now.Sub(f.At)), f.Reason)
		if !f.Until.IsZero() {
			text += ", " + age(f.Until.Sub(m.now)) + " left"
		}
		parts = append(parts, text)
	}
	return "FROZEN: " + strings.Join(parts, "; ")
}

// drawBottom is what is typed, or was said, and below it which keys there are.
func (m *model) drawBottom(c canvas) {
	y := m.height - 2
	cursor := "_"
	if m.asking != askNothing {
		m.drawNotice(c, y-1)
	}
	switch m.asking {
	case askFilter:
		m.put(c, 0, y, m.width, "filter: "+string(m.typed)+cursor, tcell.StyleDefault.Bold(true))
	case askReason:
		m.asked(c, y, fmt.Sprintf("%s %s, why? ", m.pending.to, ctl.Name(m.pending.member)), string(m.typed)+cursor)
	case askConfirm:
		m.asked(c, y, fmt.Sprintf("%s %s? y: do it, any other key: no  ", m.pending.to, ctl.Name(m.pending.member)), m.pending.reason)
	default:
		m.drawNotice(c, y)
	}
	keys := " 1-4 views  / filter  s sort  Enter more  ? help  q quit"
	if m.orders {
		keys = " D drain  M maint  R ready " + keys
	}
	if m.view >= viewDetail {
		keys = " q back  Up Down scroll  ? help"
		if m.orders && m.view == viewDetail {
			keys += "  D drain  M maint  R ready"
		}
	}
	m.fill(c, m.height-1, tcell.StyleDefault.Reverse(true))
	m.put(c, 0, m.height-1, m.width, keys, tcell.StyleDefault.Reverse(true))
	right := m.place()
	m.put(c, m.width-runewidth.StringWidth(right), m.height-1, m.width, right, tcell.StyleDefault.Reverse(true))
}

// mostNotice bounds how many lines a notice takes: it stands over the last rows, and
// is gone with the next key.
const mostNotice = 4

// drawNotice writes what was said, ending at a line.
func (m *model) drawNotice(c canvas, y int) {
	if m.notice == "" {
		return
	}
	s := tcell.StyleDefault.Bold(true)
	if m.bad {
		s = m.style(failing)
	}
	lines := wrapped(m.notice, m.width)
	lines = lines[:min(len(lines), mostNotice)]
	for i, line := range lines {
		at := y - len(lines) + 1 + i
		m.fill(c, at, s)
		m.put(c, 0, at, m.width, line, s)
	}
}

// asked is a question with what is typed behind it, of which the end is seen.
func (m *model) asked(c canvas, y int, question, typed string) {
	s := m.style(leaving).Bold(true)
	m.fill(c, y, s)
	room := max(10, m.width-runewidth.StringWidth(question))
	if over := runewidth.StringWidth(typed) - room; over > 0 && m.asking == askReason {
		typed = runewidth.TruncateLeft(typed, over, "")
	}
	m.put(c, 0, y, m.width, question+typed, s)
}

// place is where in the list one is, and how it is filtered and sorted.
func (m *model) place() string {
	if m.view >= viewDetail || !m.looked {
		return " " + viewNames[m.view] + " "
	}
	out := " " + viewNames[m.view]
	if m.filter != "" {
		out += " /" + runewidth.Truncate(m.filter, 16, m.glyphs.more)
	}
	if m.view != viewRefusals {
		out += " by " + sorts[m.sort]
		if m.reverse {
			out += " reversed"
		}
	}
	return out + fmt.Sprintf(" %d/%d ", m.at()+1, len(m.rows()))
}

// drawList draws the rows around the cursor.
func (m *model) drawList(c canvas) {
	cols := m.fitting()
	x := 2
	for _, col := range cols {
		m.cell(c, x, 2, col, col.name, tcell.StyleDefault.Underline(true))
		x += col.width + 1
	}
	rows, at := m.rows(), m.at()
	if len(rows) == 0 {
		none := "nothing here"
		if m.filter != "" {
			none = "nothing matches the filter; Esc takes it away"
		}
		m.put(c, 2, 4, m.width-2, none, tcell.StyleDefault)
		return
	}
	m.cursor[m.view] = rows[at].key
	n := m.listed()
	off := min(m.offset[m.view], max(0, len(rows)-n))
	off = min(off, at)
	off = max(off, at-n+1)
	m.offset[m.view] = off
	for i := range min(n, len(rows)-off) {
		r, y := rows[off+i], 3+i
		s := m.style(r.mood)
		if m.failed != "" {
			s = tcell.StyleDefault.Dim(true) // old
		}
		plain := tcell.StyleDefault
		if off+i == at {
			s, plain = s.Reverse(true), plain.Reverse(true)
			m.fill(c, y, plain)
		}
		m.put(c, 0, y, 1, m.glyphs.moods[r.mood], s)
		x := 2
		for j, col := range cols {
			use := plain
			if j <= 2 {
				use = s
			}
			text := r.cells[col.name]
			if over := runewidth.StringWidth(text) - col.width; j == 0 && over > 0 {
				text = runewidth.TruncateLeft(text, over+1, m.glyphs.more) // the end of a name tells more
			}
			m.cell(c, x, y, col, text, use)
			x += col.width + 1
		}
	}
}

// fitting are the columns that the screen has room for, the worthiest ones, with
// what is left over given to those that stretch.
func (m *model) fitting() []column {
	cols := slices.Clone(columns[m.view])
	longest := map[string]int{}
	for _, r := range m.rows() {
		for name, text := range r.cells {
			longest[name] = max(longest[name], runewidth.StringWidth(text))
		}
	}
	for i, c := range cols {
		if c.stretch { // no more than it needs, and then of what is left
			cols[i].width = min(c.width, max(len(c.name), longest[c.name]))
		}
	}
	need := func() int {
		n := 1
		for _, c := range cols {
			n += c.width + 1
		}
		return n
	}
	for need() > m.width && len(cols) > 1 {
		least := 0
		for i, c := range cols {
			if c.worth < cols[least].worth {
				least = i
			}
		}
		cols = slices.Delete(cols, least, least+1)
	}
	left := m.width - need()
	for i := range cols {
		if cols[i].stretch && left > 0 {
			more := min(left, max(0, longest[cols[i].name]-cols[i].width))
			cols[i].width += more
			left -= more
		}
	}
	return cols
}

// cell puts a text in a column, and says when it was cut off.
func (m *model) cell(c canvas, x, y int, col column, text string, s tcell.Style) {
	text = runewidth.Truncate(ctl.Printable(text), col.width, m.glyphs.more)
	if col.right {
		x += col.width - runewidth.StringWidth(text)
	}
	m.put(c, x, y, col.width, text, s)
}

// drawText draws lines that can be scrolled.
func (m *model) drawText(c canvas, lines []string) {
	var all []string
	for _, line := range lines {
		all = append(all, wrapped(ctl.Printable(line), m.width-2)...)
	}
	n := m.height - 4
	off := min(m.offset[m.view], max(0, len(all)-n))
	m.offset[m.view] = off
	for i, line := range all[off:min(len(all), off+n)] {
		m.put(c, 1, 2+i, m.width-1, line, tcell.StyleDefault)
	}
}

// wrapped breaks a text at spaces; a word that is longer than a line is broken too.
// What follows is indented as the first line is.
func wrapped(text string, width int) (out []string) {
	rest := strings.TrimLeft(text, " ")
	indent := text[:min(len(text)-len(rest), max(0, width/2))]
	for {
		room := max(1, width-len(indent))
		if runewidth.StringWidth(rest) <= room {
			return append(out, indent+rest)
		}
		head := runewidth.Truncate(rest, room, "")
		if head == "" { // not even one rune fits
			return out
		}
		if i := strings.LastIndexByte(head, ' '); i > 0 && rest[len(head)] != ' ' {
			head = head[:i]
		}
		out = append(out, indent+strings.TrimRight(head, " "))
		rest = strings.TrimLeft(rest[len(head):], " ")
	}
}

// put writes text at a place, and nothing beyond the width. Runes without a width,
// some of which turn a line's direction round, aren't written.
func (m *model) put(c canvas, x, y, width int, text string, s tcell.Style) {
	end := min(x+width, m.width)
	for _, r := range ctl.Printable(text) {
		w := runewidth.RuneWidth(r)
		if w == 0 {
			continue
		}
		if x < 0 || x+w > end || y < 0 || y >= m.height {
			return
		}
		c.SetContent(x, y, r, nil, s)
		x += w
	}
}

func (m *model) fill(c canvas, y int, s tcell.Style) {
	if y < 0 || y >= m.height {
		return
	}
	for x := range m.width {
		c.SetContent(x, y, ' ', nil, s)
	}
}

// since is a time and how long ago it was.
func (m *model) since(t time.Time) string {
	if t.IsZero() {
		return "not known"
	}
	return t.Local().Format("2006-01-02 15:04:05") + ", " + age(m.now.Sub(t)) + " ago"
}
