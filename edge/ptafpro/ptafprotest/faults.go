package ptafprotest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Fault is a way to misbehave. Several may be on at once.
type Fault int

// The faults. Those that refuse change nothing. Log-in and tokens are
// touched by Slow, Hang, HTMLPage, EmptyBody, CutBody, Error500Once, RateLimited
// and SpentRefresh alone.
const (
	None              Fault = iota
	Unauthorized            // 401 with InvalidToken
	Forbidden               // 403 on writes: a user without the right
	NotFound                // 404 with reference_not_exist on all
	Unprocessable           // 422 on writes
	HTMLPage                // 200 with a page for people, as a log-in form would be
	EmptyBody               // an empty 200; a write is done
	EmptyWriteAnswer        // 204 on writes only, which are done
	Slow                    // the answer comes half a second after all was done
	Hang                    // takes the call, does nothing and never answers
	CutBody                 // the answer ends in its middle; a write is done
	ConcurrentEdit          // somebody changes another field of the same object just before a write is applied
	EditBetweenGets         // somebody changes the object after a GET of it
	StringBooleans          // enabled is given out as "True" and "False"
	ExtraFields             // objects have fields that nobody knows
	ReorderedBackends       // each GET has backends, and those of a profile, in another order
	Error500Once            // 500, then good again
	RateLimited             // 429, once when nothing else is said
	NotKept                 // 200 and the changed object, but nothing is kept
	ErrorShapes             // errors have another shape each time; 400 where no other fault has a status
	BareLists               // lists come without {"items": ...}
	ThinLists               // entries of lists have hardly more than id and name
	ListsOnly               // a backend can't be read by its id: 404
	ExpiredToken            // the access token in hand expires: 401
	SpentRefresh            // the refresh token in hand is spent: 422 with invalid_token
	lastFault
)

var faultNames = [lastFault]string{
	None: "none", Unauthorized: "unauthorized", Forbidden: "forbidden", NotFound: "not-found",
	Unprocessable: "unprocessable", HTMLPage: "html-page", EmptyBody: "empty-body",
	EmptyWriteAnswer: "empty-write-answer", Slow: "slow", Hang: "hang", CutBody: "cut-body",
	ConcurrentEdit: "concurrent-edit", EditBetweenGets: "edit-between-gets",
	StringBooleans: "string-booleans", ExtraFields: "extra-fields", ReorderedBackends: "reordered-backends",
	Error500Once: "error-500-once", RateLimited: "rate-limited", NotKept: "not-kept", ErrorShapes: "error-shapes",
	BareLists: "bare-lists", ThinLists: "thin-lists", ListsOnly: "lists-only",
	ExpiredToken: "expired-token", SpentRefresh: "spent-refresh",
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

// trouble is a fault, for all calls or for writes alone.
type trouble struct {
	fault  Fault
	writes bool
}

// Misbehave switches a fault on for so many calls that it concerns, or until
// [Sim.Behave] when times is negative; [Error500Once] and [RateLimited] are then once.
func (s *Sim) Misbehave(f Fault, times int) { s.misbehave(trouble{f, false}, times) }

// MisbehaveOnWrites is [Sim.Misbehave] for writes alone: a GET is answered well.
func (s *Sim) MisbehaveOnWrites(f Fault, times int) { s.misbehave(trouble{f, true}, times) }

func (s *Sim) misbehave(t trouble, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if (t.fault == Error500Once || t.fault == RateLimited) && times < 0 {
		times = 1
	}
	s.faults[t] = times
}

// Behave ends all faults. What they changed stays changed.
func (s *Sim) Behave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// hit says whether a fault is on for this call, and counts it.
func (s *Sim) hit(q query, f Fault) bool {
	for _, t := range []trouble{{f, false}, {f, true}} {
		n := s.faults[t]
		if n == 0 || t.writes && !q.write {
			continue
		}
		if n > 0 {
			s.faults[t]--
		}
		return true
	}
	return false
}

// refused is the answer of a fault that does so, if one is on.
func (s *Sim) refused(q query) (answer, bool) {
	object := !q.auth
	for _, f := range []struct {
		fault  Fault
		on     bool
		status int
		text   string
	}{
		{Error500Once, true, http.StatusInternalServerError, "internal error"},
		{RateLimited, true, http.StatusTooManyRequests, "too many requests"},
		{Unauthorized, object, http.StatusUnauthorized, "InvalidToken"},
		{NotFound, object, http.StatusNotFound, "reference_not_exist"},
		{Forbidden, q.write, http.StatusForbidden, "Forbidden"},
		{Unprocessable, q.write, http.StatusUnprocessableEntity, "not valid"},
	} {
		if f.on && s.hit(q, f.fault) {
			return s.shaped(q, f.status, f.text), true
		}
	}
	if object && s.on(ErrorShapes, q) {
		return s.shaped(q, http.StatusBadRequest, "this can't be done"), true
	}
	if s.hit(q, HTMLPage) {
		return answer{http.StatusOK, "text/html; charset=utf-8", []byte(page("Sign in"))}, true
	}
	return answer{}, false
}

// on says whether a fault is on for this call, without counting.
func (s *Sim) on(f Fault, q query) bool {
	return s.faults[trouble{f, false}] != 0 || q.write && s.faults[trouble{f, true}] != 0
}

func page(title string) string {
	return "<!DOCTYPE html>\n<html><head><title>" + title + "</title><style>p{color:red}</style></head>\n<body><h1>" + title + "</h1></body></html>\n"
}

// refuse makes an error. That the body may hold message, error, errors or detail
// is known; which of them holds the word is a guess, as is all beside it.
func (s *Sim) refuse(status int, word string) answer {
	body := object{{"error", encode(word)}, {"message", encode(explained[word])}}
	if explained[word] == "" {
		body = object{{"message", encode(word)}}
	}
	return answer{status, "application/json", body.encode()}
}

var explained = map[string]string{
	"invalid_token":         "Token is invalid or expired",
	"InvalidToken":          "Token is invalid or expired",
	"incorrect_credentials": "Incorrect username or password",
	"reference_not_exist":   "Object does not exist",
}

// shaped is refuse, in another shape each time where [ErrorShapes] is on.
func (s *Sim) shaped(q query, status int, why string) answer {
	const asJSON = "application/json"
	if !s.hit(q, ErrorShapes) {
		return s.refuse(status, why)
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
		return one("errors", map[string][]string{"enabled": {why}})
	case 3:
		return one("errors", []string{why})
	case 4:
		return one("detail", why)
	case 5:
		return answer{status, "text/plain; charset=utf-8", []byte(why + "\n")}
	}
	return answer{status, "text/html; charset=utf-8", []byte(page(why))}
}
