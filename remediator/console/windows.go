package console

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// windowPage is the body of the page of maintenance windows.
type windowPage struct {
	List   []window
	Scopes []scope
	May    bool
	// As they were sent, when something was wrong.
	Name, Reason, For, Scope string
}

// window is one maintenance window.
type window struct {
	control.Window
	May bool // take it away
}

// When is its time in one line, as it is configured.
func (w window) When() string {
	var parts []string
	span := func(from, to string) string { return strings.Trim(from+" – "+to, " –") }
	for _, s := range []string{span(w.From, w.To), strings.Join(w.Days, ", "), span(w.Start, w.End), w.Cron, w.Duration, w.Zone} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// newSelected is a selector in one line; empty: all members.
func newSelected(s control.Selector) string {
	part := func(text string) string {
		if text == "" {
			return "*"
		}
		return text
	}
	out := part(s.Device) + "/" + part(s.Pool) + "/" + part(s.Member)
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(out, "/*"), "/*"), "*")
}

// windowList answers GET /console/maintenance.
func (c *console) windowList(w http.ResponseWriter, r *http.Request) {
	p := c.page(r, "maintenance")
	p.Live = true
	c.writeWindows(w, r, p, http.StatusOK)
}

func (c *console) writeWindows(w http.ResponseWriter, r *http.Request, p *page, code int) {
	all, err := c.Engine.Windows()
	if err != nil {
		c.fail(w, p, http.StatusServiceUnavailable, err)
		return
	}
	b := windowPage{
		May: p.May.Freeze, Scope: r.PostFormValue("scope"), For: cut(r.PostFormValue("for"), 20),
		Name: cut(r.PostFormValue("name"), maxName), Reason: cut(r.PostFormValue("reason"), maxReason),
	}
	if b.May {
		b.Scopes = c.scopes(r)
	}
	for _, one := range all {
		if !one.SeenBy(access.From(r.Context())) {
			continue
		}
		b.List = append(b.List, window{one, one.Source == control.FromAPI && c.may(r, access.Freeze, one.Members.Scope())})
	}
	slices.SortStableFunc(b.List, func(a, b window) int { // those in force first
		switch {
		case a.Active == b.Active:
			return 0
		case a.Active:
			return -1
		}
		return 1
	})
	p.Body = b
	c.write(w, p, code, "maintenance")
}

// maxName bounds a window's name, in characters.
const maxName = 100

// window answers POST /console/maintenance: one that begins now, or the end of one.
func (c *console) window(w http.ResponseWriter, r *http.Request) {
	p := c.page(r, "maintenance")
	do := r.PostFormValue("do")
	var err error
	switch do {
	case "end":
		name := r.PostFormValue("name")
		on, known := c.madeWindow(name)
		if c.forbidden(w, r, p, access.Freeze, on) {
			return
		}
		if !known {
			err = journal.ErrNoWindow
			break
		}
		err = c.Engine.DropWindow(name, p.Who)
	case "begin":
		on, wrong := scopeOf(r.PostFormValue("scope"))
		if wrong != nil {
			err = &badFormError{p.T("bad_scope")}
			break
		}
		if c.forbidden(w, r, p, access.Freeze, on) {
			return
		}
		var spec control.WindowSpec
		if spec, err = specOf(p, r, on); err == nil {
			_, err = c.Engine.AddWindow(spec, p.Who)
		}
	default:
		err = &badFormError{p.T("bad_action")}
	}
	if err != nil {
		p.Problem = p.Cut(oneLine(err))
		c.writeWindows(w, r, p, windowCode(err))
		return
	}
	c.Engine.Wake()
	c.back(w, r, "/maintenance", do)
}

// madeWindow is what a window that people made is about.
func (c *console) madeWindow(name string) (edge.Pool, bool) {
	all, err := c.Engine.Windows()
	if err != nil {
		return edge.Pool{}, false
	}
	for _, one := range all {
		if one.Name == name && one.Source == control.FromAPI {
			return one.Members.Scope(), true
		}
	}
	return edge.Pool{}, false
}

// A badFormError says what is wrong with a form, in the reader's language.
type badFormError struct{ text string }

func (e *badFormError) Error() string { return e.text }

func windowCode(err error) int {
	if bad := (*badFormError)(nil); errors.As(err, &bad) || errors.Is(err, remediator.ErrBadWindow) {
		return http.StatusBadRequest
	}
	switch {
	case errors.Is(err, journal.ErrNoWindow):
		return http.StatusNotFound
	case errors.Is(err, journal.ErrWindow), errors.Is(err, journal.ErrTooMany):
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

// specOf reads a window that begins now.
func specOf(p *page, r *http.Request, on edge.Pool) (control.WindowSpec, error) {
	s := control.WindowSpec{
		Name:    strings.TrimSpace(r.PostFormValue("name")),
		Members: control.Selector{Device: regexp.QuoteMeta(on.Device), Pool: regexp.QuoteMeta(on.Name)},
	}
	if s.Name == "" || s.Name != cut(s.Name, maxName) {
		return s, &badFormError{p.T("bad_name", maxName)}
	}
	var err error
	if s.Reason, err = reasonOf(p, r); err != nil {
		return s, &badFormError{err.Error()}
	}
	until, err := untilOf(p, r)
	if err != nil || until.IsZero() {
		return s, &badFormError{p.T("bad_window_for")}
	}
	s.From, s.To = p.Now.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339)
	return s, nil
}
