package console

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A page is what every page shows, and in Body what only this one does.
type page struct {
	Lang    lang
	Theme   string // light, dark, or empty: as the system has it
	Base    string // of all links of the console: ends with "/console"
	API     string // stands before /api/v1
	Stamp   string
	Here    string // this page, to come back to
	Nav     string // which of the pages it is
	Title   string
	Token   string // that forms carry
	Now     time.Time
	Who     string
	Roles   string
	Session bool // they logged in by a form, and can log out
	Live    bool // it shows what changes by itself

	Mode      string
	Frozen    string           // why, where it isn't a person's freeze
	Freezes   []journal.Freeze // that of everything first
	claimed   []journal.Claimed
	Brake     string
	Standby   string
	Blind     []string // sources of claims that don't see
	Holds     int
	Approvals int

	May     may
	Notice  string // what was just done
	Problem string // why it wasn't
	Body    any
}

// may is what the one who looks may do somewhere.
type may struct{ Order, Approve, Freeze bool }

// page begins a page with what all of them show.
func (c *console) page(r *http.Request, nav string) *page {
	p := &page{
		Lang: languageOf(r), Theme: themeOf(r), Base: c.Base + "/console", API: c.Base, Stamp: c.stamp,
		Nav: nav, Now: time.Now(), Here: "/" + strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/console"), "/"),
	}
	if r.URL.RawQuery != "" && r.Method != http.MethodPost {
		p.Here += "?" + r.URL.RawQuery
	}
	c.identify(p, r)
	p.Title = p.T(cmp.Or(nav, "console"))
	if !access.From(r.Context()).MaySomewhere(access.View) {
		return p // of how things stand they hear nothing
	}
	st := c.Engine.Status()
	p.Mode, p.Brake, p.Standby = st.Mode, st.Brake, st.Standby
	if p.Brake != "" && !c.sees(r, edge.Pool{}) {
		p.Brake = "too many members fell sick" // it names pools
	}
	for _, h := range st.Holds {
		if c.sees(r, h.Member.In()) {
			p.Holds++
		}
	}
	for _, h := range st.Candidates {
		if h.Phase == journal.AwaitingApproval && c.sees(r, h.Member.In()) {
			p.Approvals++
		}
	}
	for _, s := range st.Sources {
		if s.Blind != "" {
			p.Blind = append(p.Blind, s.Name+": "+s.Blind)
		}
	}
	b, err := c.Journal.Barriers()
	if p.claimed = b.Claimed; err == nil {
		p.Freezes = slices.DeleteFunc(b.Freezes, func(f journal.Freeze) bool { return !c.seesScope(r, f.Scope()) })
	}
	if b.Frozen() == nil {
		p.Frozen = st.Frozen
	}
	if done := r.URL.Query().Get("done"); notices[done] {
		p.Notice = p.T("done_" + done)
	}
	return p
}

// notices are what a page may say was done before it was asked for.
var notices = map[string]bool{
	"applied": true, "unchanged": true, "dry_run": true, "release": true, "approve": true, "reject": true, "freeze": true, "thaw": true, "claim": true, "unclaim": true, "begin": true, "end": true,
}

// T is a text of ours in the page's language.
func (p *page) T(key string, args ...any) string { return p.Lang.say(key, args...) }

// Word is a word of the program's with its meaning, or the word itself.
func (p *page) Word(prefix, word string) string {
	if text, known := texts[prefix+"_"+word]; known {
		return p.Lang.of(text)
	}
	return word
}

// Cut makes a text of somebody else's safe to stand in a line of ours.
func (p *page) Cut(s string) string { return cut(s, 240) }

// Short is [page.Cut] for names.
func (p *page) Short(s string) string { return cut(s, 80) }

// cut leaves the first n characters, none of which moves or hides others.
func cut(s string, n int) string {
	var b strings.Builder
	for i, c := range []rune(strings.ToValidUTF8(s, "�")) {
		switch {
		case i == n:
			b.WriteRune('…')
			return b.String()
		case unicode.IsSpace(c):
			b.WriteRune(' ')
		case !unicode.IsPrint(c): // control and format characters: bidirectional ones turn a line round
			b.WriteRune('�')
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// Link leads to a page of ours.
func (p *page) Link(path string, query ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		if query[i+1] != "" {
			values.Set(query[i], query[i+1])
		}
	}
	if len(values) == 0 {
		return p.Base + path
	}
	return p.Base + path + "?" + values.Encode()
}

// Member leads to a member's page.
func (p *page) Member(m edge.Member) string {
	return p.Link("/member", "device", m.Device, "pool", m.Pool, "member", m.Name)
}

// Age is how long ago something was; it goes on by itself where there is JavaScript.
func (p *page) Age(t time.Time) template.HTML { return p.time(t, "age", p.Now.Sub(t)) }

// Left is how long it is until then.
func (p *page) Left(t time.Time) template.HTML { return p.time(t, "left", t.Sub(p.Now)) }

func (p *page) time(t time.Time, what string, d time.Duration) template.HTML {
	if t.IsZero() {
		return `<span class="none">–</span>`
	}
	at := t.UTC().Format(time.RFC3339)
	// Nothing in it is anybody's but ours.
	return template.HTML(`<time datetime="` + at + `" title="` + at + `" data-` + what + `>` + p.Lang.duration(d) + `</time>`)
}

// Clock is a moment as people read it, in UTC.
func (p *page) Clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// Units are what the page's script needs to write times as we do.
func (p *page) Units() string { return p.T("units") }

// await is one thing that a hold waits for, in words.
func (p *page) await(a remediator.Await) template.HTML {
	esc := template.HTMLEscapeString
	line := template.HTML(esc(p.T("await_" + a.Word)))
	switch a.Word {
	case "evidence", "device_check":
		line = template.HTML(esc(p.T("await_"+a.Word, a.Want)))
	case "hold_down":
		line = template.HTML(esc(p.T("await_hold_down"))) + " " + p.Age(a.Since) + template.HTML(esc(p.T("await_hold_down_left"))) + " " + p.Left(a.Until)
	}
	switch {
	case a.Word == "hold_down":
	case a.Word == "claim":
		line += " " + p.Age(a.Since) + template.HTML(" "+esc(p.T("ago")))
	case !a.Until.IsZero():
		line += template.HTML(" "+esc(p.T("left"))+" ") + p.Left(a.Until)
	case !a.Since.IsZero():
		line += template.HTML(" "+esc(p.T("since"))+" ") + p.Age(a.Since)
	}
	if d := cut(strings.TrimPrefix(a.Detail, ": "), 200); d != "" {
		line += template.HTML(` <bdi class="said">` + esc(d) + `</bdi>`)
	}
	return line
}

// Cookies keep what somebody likes, for a year.
const (
	cookieLang  = "sluice_lang"
	cookieTheme = "sluice_theme"
)

func languageOf(r *http.Request) lang {
	if c, err := r.Cookie(cookieLang); err == nil && (c.Value == string(english) || c.Value == string(russian)) {
		return lang(c.Value)
	}
	return spoken(r.Header.Get("Accept-Language"))
}

func themeOf(r *http.Request) string {
	if c, err := r.Cookie(cookieTheme); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return ""
}

// preferences answers the switches of language and colours.
func (c *console) preferences(w http.ResponseWriter, r *http.Request) {
	set := func(name, value string) {
		http.SetCookie(w, &http.Cookie{
			Name: name, Value: value, Path: c.Base + "/console", MaxAge: 365 * 24 * 3600, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
		})
	}
	switch v := r.PostFormValue("lang"); v {
	case string(english), string(russian):
		set(cookieLang, v)
	}
	switch v := r.PostFormValue("theme"); v {
	case "light", "dark", "auto":
		set(cookieTheme, v)
	}
	c.back(w, r, r.PostFormValue("back"), "")
}

// back sends a browser to one of our own pages, whatever it asks for.
func (c *console) back(w http.ResponseWriter, r *http.Request, to, done string) {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.Contains(u.Path, `\`) {
		u = &url.URL{Path: "/"}
	}
	query := u.Query()
	query.Del("done")
	if done != "" {
		query.Set("done", done)
	}
	target := c.Base + "/console" + (&url.URL{Path: u.Path}).EscapedPath()
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}
