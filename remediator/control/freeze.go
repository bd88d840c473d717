package control

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/remediator/journal"
)

// maxReason bounds a reason, in characters: it is shown in one line.
const maxReason = 300

// freezeAnswer is the state after the request.
type freezeAnswer struct {
	Frozen bool `json:"frozen"`
	*journal.Freeze
}

// frozen answers GET /api/v1/freeze.
func (o Options) frozen(*http.Request) (any, error) {
	f, err := o.Journal.Freeze()
	return freezeAnswer{f != nil, f}, unavailable(err)
}

// freeze answers POST /api/v1/freeze, which takes
// {"reason": "...", "until": "2026-01-02T15:04:05Z"} or "for": "2h", or neither:
// then the freeze lasts until it is lifted. It replaces a freeze in force.
func (o Options) freeze(r *http.Request) (any, error) {
	var in struct {
		Reason string    `json:"reason"`
		Until  time.Time `json:"until"`
		For    string    `json:"for"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	reason, err := oneLine(in.Reason)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	f := journal.Freeze{Reason: reason, Actor: o.Actor(r), At: now, Until: in.Until}
	switch {
	case in.For != "" && !in.Until.IsZero():
		return nil, problem(http.StatusBadRequest, "until and for: give one of them")
	case in.For != "":
		d, err := model.ParseDuration(in.For)
		if err != nil || d <= 0 {
			return nil, problem(http.StatusBadRequest, "for: %q is no length of time: want 30m, 2h, 1d", cut(in.For))
		}
		f.Until = now.Add(time.Duration(d))
	case f.Over(now):
		return nil, problem(http.StatusBadRequest, "until: %s is over already", in.Until.Format(time.RFC3339))
	}
	if err := o.Journal.SetFreeze(f); err != nil {
		return nil, unavailable(err)
	}
	o.Engine.Wake()
	return freezeAnswer{true, &f}, nil
}

// thaw answers DELETE /api/v1/freeze. To lift what isn't there is no mistake.
func (o Options) thaw(r *http.Request) (any, error) {
	if err := o.Journal.Thaw(o.Actor(r)); err != nil {
		return nil, unavailable(err)
	}
	o.Engine.Wake()
	return freezeAnswer{}, nil
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
