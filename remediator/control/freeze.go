package control

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// maxReason bounds a reason, in characters: it is shown in one line.
const maxReason = 300

// freezeAnswer is the state after the request: of everything, and of all scopes.
type freezeAnswer struct {
	Frozen bool `json:"frozen"`
	*journal.Freeze
	Freezes []journal.Freeze `json:"freezes"` // that of everything too, without a device
}

// frozen answers GET /api/v1/freeze.
func (o Options) frozen(r *http.Request) (any, error) {
	if err := permitSomewhere(r, access.View); err != nil {
		return nil, err
	}
	return o.freezes(r)
}

// freezes are those that the caller may see. That of everything is for everybody.
func (o Options) freezes(r *http.Request) (any, error) {
	b, err := o.Journal.Barriers()
	if err != nil {
		return nil, unavailable(err)
	}
	f := b.Frozen()
	out := freezeAnswer{Frozen: f != nil, Freeze: f, Freezes: []journal.Freeze{}}
	who := access.From(r.Context())
	for _, f := range b.Freezes {
		if f.Device == "" || f.Pool == "" && who.MayOnDevice(access.View, f.Device) || f.Pool != "" && who.May(access.View, f.Scope()) {
			out.Freezes = append(out.Freezes, f)
		}
	}
	return out, nil
}

// freeze answers POST /api/v1/freeze, which takes
// {"reason": "...", "until": "2026-01-02T15:04:05Z"} or "for": "2h", or neither:
// then the freeze lasts until it is lifted. With "device", or with "device" and "pool",
// only steps that move members there are frozen. It replaces a freeze of the same scope.
func (o Options) freeze(r *http.Request) (any, error) {
	var in struct {
		Device string    `json:"device"`
		Pool   string    `json:"pool"`
		Reason string    `json:"reason"`
		Until  time.Time `json:"until"`
		For    string    `json:"for"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	scope, err := scopeOf(in.Device, in.Pool)
	if err != nil {
		return nil, err
	}
	if err := permit(r, access.Freeze, scope); err != nil {
		return nil, err
	}
	reason, err := oneLine(in.Reason)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	f := journal.Freeze{Device: scope.Device, Pool: scope.Name, Reason: reason, Actor: o.Actor(r), At: now}
	if f.Until, err = end(in.Until, in.For, now); err != nil {
		return nil, err
	}
	if scope.Device != "" { // to freeze everything nobody has to be asked
		if err := o.Engine.Knows(r.Context(), edge.Member{Device: scope.Device, Pool: scope.Name}); err != nil {
			return nil, err
		}
	}
	err = o.Journal.SetFreeze(f)
	switch {
	case errors.Is(err, journal.ErrTooMany):
		return nil, problem(http.StatusConflict, "%s", line(err))
	case err != nil:
		return nil, unavailable(err)
	}
	o.Engine.Wake()
	return o.freezes(r)
}

// thaw answers DELETE /api/v1/freeze, of a scope with ?device= and ?pool=. Each freeze
// is lifted by itself. To lift what isn't there is no mistake.
func (o Options) thaw(r *http.Request) (any, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem(http.StatusBadRequest, "query can't be read")
	}
	for name, vs := range values {
		if name != "device" && name != "pool" || len(vs) != 1 {
			return nil, problem(http.StatusBadRequest, "%q: want device or pool, once", cut(name))
		}
	}
	scope, err := scopeOf(values.Get("device"), values.Get("pool"))
	if err != nil {
		return nil, err
	}
	if err := permit(r, access.Freeze, scope); err != nil {
		return nil, err
	}
	if err := o.Journal.ThawScope(scope, o.Actor(r)); err != nil {
		return nil, unavailable(err)
	}
	o.Engine.Wake()
	return o.freezes(r)
}

// permit says that the caller may do this to a pool, or answers 403 with the role that
// is missing. An empty name is all of them.
func permit(r *http.Request, v access.Verb, p edge.Pool) error {
	if err := access.From(r.Context()).Check(v, p); err != nil {
		return problem(http.StatusForbidden, "%s", line(err))
	}
	return nil
}

// permitSomewhere is permit for what is cut to what the caller may see.
func permitSomewhere(r *http.Request, v access.Verb) error {
	if err := access.From(r.Context()).CheckSomewhere(v); err != nil {
		return problem(http.StatusForbidden, "%s", line(err))
	}
	return nil
}

// scopeOf is everything, a device or a pool.
func scopeOf(device, pool string) (edge.Pool, error) {
	if pool != "" && device == "" {
		return edge.Pool{}, problem(http.StatusBadRequest, "pool: name its device, too")
	}
	for _, name := range []string{device, pool} {
		if strings.ContainsRune(name, 0) {
			return edge.Pool{}, problem(http.StatusBadRequest, "device and pool: no name holds NUL")
		}
	}
	return edge.Pool{Device: device, Name: pool}, nil
}

// end is when something ends that lasts until a time, or for one; zero is until
// somebody ends it.
func end(until time.Time, text string, now time.Time) (time.Time, error) {
	switch {
	case text != "" && !until.IsZero():
		return until, problem(http.StatusBadRequest, "until and for: give one of them")
	case text != "":
		d, err := model.ParseDuration(text)
		if err != nil || d <= 0 {
			return until, problem(http.StatusBadRequest, "for: %q is no length of time: want 30m, 2h, 1d", cut(text))
		}
		return now.Add(time.Duration(d)), nil
	case !until.IsZero() && !now.Before(until):
		return until, problem(http.StatusBadRequest, "until: %s is over already", until.Format(time.RFC3339))
	}
	return until, nil
}

// oneLine checks a reason, which people will read in one line, in logs too.
func oneLine(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", problem(http.StatusBadRequest, "reason is missing: say why, for those who come after")
	case utf8.RuneCountInString(s) > maxReason:
		return "", problem(http.StatusBadRequest, "reason: at most %d characters", maxReason)
	case strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }):
		return "", problem(http.StatusBadRequest, "reason: one line of printable text, please")
	}
	return s, nil
}

// cut shortens a text of the caller's that an error repeats.
func cut(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}
