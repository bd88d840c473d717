package ptaftest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Fault is a way to misbehave. Several may be on at once.
type Fault int

// The faults. Those that refuse change nothing.
const (
	None              Fault = iota
	Unauthorized            // 401 to everybody
	Forbidden               // 403 on writes: a user without can_edit
	NotFound                // 404 on all
	Unprocessable           // 422 on writes
	HTMLPage                // 200 with a page for people, as a log-in form would be
	EmptyBody               // an empty 200; a write is done
	EmptyWriteAnswer        // an empty 200 on writes only, which are done
	Slow                    // the answer comes half a second after all was done
	Hang                    // takes the call, does nothing and never answers
	CutBody                 // the answer ends in its middle; a write is done
	ConcurrentEdit          // somebody changes another backend just before a write is applied
	EditBetweenGets         // somebody changes the last backend after a GET of an upstream
	EditAfterWrite          // somebody changes another backend just after a write
	StringBooleans          // down is given out as "True" and "False"
	ExtraFields             // objects have fields that nobody knows: from now on, whatever the times
	ReorderedBackends       // each GET has the backends in another order
	Error500Once            // 500, then good again
	NotKept                 // 200 and the changed object, but nothing is kept
	ReadOnlyField           // 400 when a write names id, addresses or last_modified; else they are ignored
	ErrorShapes             // errors have another shape each time; 400 where no other fault has a status
	lastFault
)

var faultNames = [lastFault]string{
	None: "none", Unauthorized: "unauthorized", Forbidden: "forbidden", NotFound: "not-found",
	Unprocessable: "unprocessable", HTMLPage: "html-page", EmptyBody: "empty-body",
	EmptyWriteAnswer: "empty-write-answer", Slow: "slow", Hang: "hang", CutBody: "cut-body",
	ConcurrentEdit: "concurrent-edit", EditBetweenGets: "edit-between-gets", EditAfterWrite: "edit-after-write",
	StringBooleans: "string-booleans", ExtraFields: "extra-fields", ReorderedBackends: "reordered-backends",
	Error500Once: "error-500-once", NotKept: "not-kept", ReadOnlyField: "read-only-field", ErrorShapes: "error-shapes",
}

// String returns the name of the fault, such as "cut-body".
func (f Fault) String() string {
	if f >= 0 && f < lastFault {
		return faultNames[f]
	}
	return fmt.Sprintf("fault(%d)", int(f))
}

// Faults returns the names of all faults.
func Faults() []string { return slices.Clone(faultNames[:]) }

// ParseFault is the inverse of [Fault.String].
func ParseFault(name string) (Fault, error) {
	if i := slices.Index(faultNames[:], name); i >= 0 {
		return Fault(i), nil
	}
	return None, fmt.Errorf("fault %q: want one of %s", name, strings.Join(faultNames[:], ", "))
}

// Misbehave switches a fault on for so many calls that it concerns, or until
// [Sim.Behave] when times is negative; [Error500Once] is then once.
func (s *Sim) Misbehave(f Fault, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == Error500Once && times < 0 {
		times = 1
	}
	if s.faults[f] = times; f == ExtraFields {
		for _, u := range s.upstreams {
			u.extend()
		}
	}
}

// Behave ends all faults. What they changed stays changed.
func (s *Sim) Behave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// hit says whether a fault is on, and counts the call.
func (s *Sim) hit(f Fault) bool {
	n := s.faults[f]
	if n > 0 {
		s.faults[f]--
	}
	return n != 0
}

// refused is the answer of a fault that does so, if one is on.
func (s *Sim) refused(write bool) (answer, bool) {
	for _, f := range []struct {
		fault  Fault
		on     bool
		status int
		text   string
	}{
		{Unauthorized, true, http.StatusUnauthorized, "authentication is required"},
		{Error500Once, true, http.StatusInternalServerError, "internal error"},
		{NotFound, true, http.StatusNotFound, "no such object"},
		{Forbidden, write, http.StatusForbidden, "you have no right can_edit on Upstreams"},
		{Unprocessable, write, http.StatusUnprocessableEntity, "backends: not valid"},
	} {
		if f.on && s.hit(f.fault) {
			return s.refuse(f.status, f.text), true
		}
	}
	if s.hit(HTMLPage) {
		return answer{http.StatusOK, "text/html; charset=utf-8", []byte(page("Sign in"))}, true
	}
	if s.faults[ErrorShapes] != 0 {
		return s.refuse(http.StatusBadRequest, "this can't be done"), true
	}
	return answer{}, false
}

func page(title string) string {
	return "<!DOCTYPE html>\n<html><head><title>" + title + "</title></head>\n<body><h1>" + title + "</h1></body></html>\n"
}

// refuse makes an error. No client reads the body of one, so its shape is a
// guess; [ErrorShapes] goes through all that other versions are known for.
func (s *Sim) refuse(status int, why string) answer {
	const asJSON = "application/json"
	if !s.hit(ErrorShapes) {
		return answer{status, asJSON, object{{"message", encode(why)}}.encode()}
	}
	s.shape++
	one := func(name string, v any) answer {
		return answer{status, asJSON, object{{name, encode(v)}}.encode()}
	}
	switch (s.shape - 1) % 7 {
	case 0:
		return one("message", why)
	case 1:
		return one("error", why)
	case 2:
		return one("errors", map[string][]string{"backends": {why}})
	case 3:
		return one("errors", []string{why})
	case 4:
		return one("detail", why)
	case 5:
		return answer{status, "text/plain; charset=utf-8", []byte(why + "\n")}
	}
	return answer{status, "text/html; charset=utf-8", []byte(page(why))}
}

// another changes a backend that is the same in both lists but for its order,
// which is one that a write doesn't mean; with none, the last one.
func (u *upstream) another(before, after []object) {
	wanted, names := map[string]bool{}, identities(after)
	for i, b := range after {
		wanted[names[i]] = is(b, "down")
	}
	names = identities(before)
	for i, b := range before {
		if down, ok := wanted[names[i]]; ok && down == is(b, "down") {
			u.flip(names[i])
			return
		}
	}
	u.flip("")
}

// flip turns one backend's down; an unknown name means the last one.
func (u *upstream) flip(name string) {
	if len(u.backends) == 0 {
		return
	}
	i := slices.Index(identities(u.backends), name)
	if i < 0 {
		i = len(u.backends) - 1
	}
	b := slices.Clone(u.backends[i])
	b.set("down", encode(!is(b, "down")))
	u.backends = slices.Clone(u.backends)
	u.backends[i] = b
	u.changed()
}

// extend adds fields that a later version may have. They are state like any
// other: who leaves them out of a write loses them. Their values are such that
// decoding and encoding them would show.
func (u *upstream) extend() {
	u.fields = with(u.fields, field{"x_site", json.RawMessage(`{"b": 1, "a": [ 1.50, 1e3 ]}`)})
	for i := range u.backends {
		u.backends[i] = with(u.backends[i],
			field{"slow_start", json.RawMessage(`1.50`)},
			field{"x_note", json.RawMessage(`"rack \u0031 <&> \/"`)},
			field{"x_tags", json.RawMessage(`{"z":null, "a":[ 12345678901234567890 ]}`)})
	}
}

func with(o object, more ...field) object {
	o = slices.Clone(o)
	for _, f := range more {
		if _, ok := o.get(f.name); !ok {
			o = append(o, f)
		}
	}
	return o
}
