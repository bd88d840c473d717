package ptafprotest

import (
	"fmt"
	"slices"
	"strings"
)

// A Fault is a way to misbehave. Several may be on at once.
type Fault int

// The faults. Those that refuse change nothing. Log-in and tokens are touched by
// Slow, Hang, HTMLPage, EmptyBody, CutBody, Error500Once, RateLimited and SpentRefresh alone.
const (
	None             Fault = iota
	Unauthorized           // 401 with InvalidToken
	Forbidden              // 403 on writes: a user without the right
	NotFound               // 404 with reference_not_exist on all
	Unprocessable          // 422 on writes
	HTMLPage               // 200 with a page for people, as a log-in form would be
	EmptyBody              // an empty 200; a write is done
	EmptyWriteAnswer       // 204 on writes only, which are done
	Slow                   // the answer comes half a second after all was done
	Hang                   // takes the call, does nothing and never answers
	CutBody                // the answer ends in its middle; a write is done
	ConcurrentEdit         // somebody changes another field of the same object just before a write is applied
	EditBetweenGets        // somebody changes the object after a GET of it
	ExtraFields            // objects have fields that nobody knows
	Error500Once           // 500, then good again
	RateLimited            // 429, once when nothing else is said
	NotKept                // 200 and the changed object, but nothing is kept
	ErrorShapes            // errors have another shape each time; 400 where no other fault has a status
	BareLists              // lists come without {"items": ...}
	ThinLists              // entries of lists have hardly more than id and name
	ListsOnly              // a backend can't be read by its id: 404
	ExpiredToken           // the access token in hand expires: 401
	SpentRefresh           // the refresh token in hand is spent: 422 with invalid_token
	lastFault
)

var faultNames = [lastFault]string{
	None: "none", Unauthorized: "unauthorized", Forbidden: "forbidden", NotFound: "not-found",
	Unprocessable: "unprocessable", HTMLPage: "html-page", EmptyBody: "empty-body",
	EmptyWriteAnswer: "empty-write-answer", Slow: "slow", Hang: "hang", CutBody: "cut-body",
	ConcurrentEdit: "concurrent-edit", EditBetweenGets: "edit-between-gets", ExtraFields: "extra-fields",
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

// Misbehave switches a fault on for so many calls that it concerns, or until
// [Sim.Behave] when times is negative; [Error500Once] and [RateLimited] are then once.
func (s *Sim) Misbehave(Fault, int) {}

// MisbehaveOnWrites is [Sim.Misbehave] for writes alone: a GET is answered well.
func (s *Sim) MisbehaveOnWrites(Fault, int) {}

// Behave ends all faults. What they changed stays changed.
func (s *Sim) Behave() {}
