package control

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
)

// Bounds on a window that is made by the API.
const (
	maxWindow     = 4 << 10 // bytes of all its texts
	maxWindowName = 100     // characters
)

// A Selector selects members by anchored regular expressions; one that is empty is
// any.
type Selector struct {
	Device string `json:"device,omitempty"`
	Pool   string `json:"pool,omitempty"`
	Member string `json:"member,omitempty"`
}

// Scope is what somebody must be allowed to stop: a pool or device where the selector
// names one and no other, or else everything.
func (s Selector) Scope() edge.Pool {
	device, pool := literal(s.Device), literal(s.Pool)
	switch {
	case device != "" && pool != "":
		return edge.Pool{Device: device, Name: pool}
	case device != "":
		return edge.Pool{Device: device}
	}
	return edge.Pool{}
}

// literal is the one name that an expression matches, such as shop\.v2 does; empty:
// there may be others.
func literal(text string) string {
	name := unescape.Replace(text)
	if regexp.QuoteMeta(name) != text {
		return ""
	}
	return name
}

// unescape takes off what [regexp.QuoteMeta] puts before these.
var unescape = func() *strings.Replacer {
	var pairs []string
	for _, c := range `\.+*?()|[]{}^$` {
		pairs = append(pairs, `\`+string(c), string(c))
	}
	return strings.NewReplacer(pairs...)
}()

// A WindowSpec says when a maintenance window is, and for whom: the keys of an entry
// of the configuration's "maintenance", as text.
type WindowSpec struct {
	Name     string   `json:"name"`
	Members  Selector `json:"members"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
	Days     []string `json:"days,omitempty"`
	Start    string   `json:"start,omitempty"`
	End      string   `json:"end,omitempty"`
	Cron     string   `json:"cron,omitempty"`
	Duration string   `json:"duration,omitempty"`
	Zone     string   `json:"zone,omitempty"`
	Reason   string   `json:"reason,omitempty"`
}

// Where a window stands.
const (
	FromConfig = "config"
	FromAPI    = "api"
)

// A Window is one maintenance window as it is now.
type Window struct {
	WindowSpec
	Source  string    `json:"source"`          // FromConfig or FromAPI
	Actor   string    `json:"actor,omitempty"` // who made it by the API, and when
	At      time.Time `json:"at,omitzero"`
	Active  bool      `json:"active"`
	Until   time.Time `json:"until,omitzero"`    // end of the run that is in force
	Next    time.Time `json:"next,omitzero"`     // when it comes into force next
	Problem string    `json:"problem,omitempty"` // why it can't be read, and so is in force for everything
}

// SeenBy says whether somebody may see the window: one of everything, or of a device
// or pool of theirs. Another may name what they may not see, for names in it are
// expressions.
func (w Window) SeenBy(i access.Identity) bool {
	s := w.Members
	if on := s.Scope(); s == (Selector{}) || on.Device != "" && s.Pool == "" && s.Member == "" && i.MayOnDevice(access.View, on.Device) {
		return i.MaySomewhere(access.View)
	}
	return i.May(access.View, s.Scope())
}

// windows answers GET /api/v1/maintenance.
func (o Options) windows(r *http.Request) (any, error) {
	if err := permitSomewhere(r, access.View); err != nil {
		return nil, err
	}
	all, err := o.Engine.Windows()
	if err != nil {
		return nil, err
	}
	who := access.From(r.Context())
	all = slices.DeleteFunc(slices.Clone(all), func(w Window) bool { return !w.SeenBy(who) })
	return map[string]any{"windows": append([]Window{}, all...), "count": len(all)}, nil
}

// addWindow answers POST /api/v1/maintenance, which takes the keys of an entry of the
// configuration's "maintenance". The window is in the journal when the answer goes
// out: it lasts over reloads and restarts, on all replicas.
func (o Options) addWindow(r *http.Request) (any, error) {
	var in WindowSpec
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if err := permit(r, access.Freeze, in.Members.Scope()); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	w, err := o.Engine.AddWindow(in, o.somebody(r))
	if err != nil {
		return nil, err
	}
	o.Engine.Wake()
	return w, nil
}

// check is about texts alone: what they mean is the engine's to say.
func (w *WindowSpec) check() (err error) {
	w.Name = strings.TrimSpace(w.Name)
	size := 0
	for _, text := range append([]string{
		w.Name, w.Members.Device, w.Members.Pool, w.Members.Member, w.From, w.To, w.Start, w.End, w.Cron, w.Duration, w.Zone, w.Reason,
	}, w.Days...) {
		size += len(text) + 1
	}
	switch {
	case size > maxWindow:
		return problem(http.StatusBadRequest, "a window has at most %d bytes of text", maxWindow)
	case utf8.RuneCountInString(w.Name) > maxWindowName, strings.ContainsFunc(w.Name, func(c rune) bool { return !unicode.IsPrint(c) }):
		return problem(http.StatusBadRequest, "name: one line of printable text, of at most %d characters", maxWindowName)
	case w.Reason != "":
		w.Reason, err = oneLine(w.Reason)
	}
	return err
}

// dropWindow answers DELETE /api/v1/maintenance/{name}, which takes away what was made
// by the API. The configuration's windows are changed there.
func (o Options) dropWindow(r *http.Request) (any, error) {
	if err := permitSomewhere(r, access.Freeze); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	all, err := o.Engine.Windows()
	if err != nil {
		return nil, err
	}
	why := problem(http.StatusNotFound, "no maintenance window %q", cut(name))
	for _, w := range all {
		switch {
		case w.Name != name:
			continue
		case w.Source == FromConfig:
			why = problem(http.StatusConflict, "maintenance window %q stands in the configuration: take it away there", cut(name))
			continue
		}
		if err := permit(r, access.Freeze, w.Members.Scope()); err != nil {
			return nil, err
		}
		if err := o.Engine.DropWindow(name, o.somebody(r)); err != nil {
			return nil, err
		}
		o.Engine.Wake()
		return map[string]string{"name": name, "status": "dropped"}, nil
	}
	return nil, why
}
