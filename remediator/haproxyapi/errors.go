package haproxyapi

import (
	"errors"
	"fmt"
	"math"
	"net/http"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/access/session"
)

// A NotFoundError says that there is no such instance, backend or server: 404.
type NotFoundError struct {
	Kind string // instance, backend or server
	Name string // of a server "backend/server"
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("no such %s: %s", e.Kind, e.Name) }

// A RefusedError says that HAProxy answered, and with a refusal or with
// something that is no answer: 502.
type RefusedError struct {
	Instance string
	Err      error
}

func (e *RefusedError) Error() string { return e.Instance + " refused: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// An UnreachableError says that HAProxy could not be asked, or did not answer in
// time: 503.
type UnreachableError struct {
	Instance string
	Err      error
}

func (e *UnreachableError) Error() string { return e.Instance + " is out of reach: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// An OutcomeError says that a command was sent and nobody knows whether HAProxy
// obeyed: 503. To order the same again does no harm.
type OutcomeError struct {
	Instance string
	Err      error
}

func (e *OutcomeError) Error() string {
	return e.Instance + ": sent, outcome unknown: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *OutcomeError) Unwrap() error { return e.Err }

// A GuardError says that a guard refused: 409. Nothing was sent.
type GuardError struct {
	Guard, Reason, Detail string
	Soft                  bool // a person may pass it over by name
}

func (e *GuardError) Error() string { return e.Guard + "/" + e.Reason + ": " + e.Detail }

// An OverrideError says that an order passes over what is no guard, or none that
// a person may pass over: 400. Nothing was sent.
type OverrideError struct{ Guard, Detail string }

func (e *OverrideError) Error() string { return "override " + e.Guard + ": " + e.Detail }

// An UnavailableError says that nothing can be done for a reason of ours, such as
// a journal that takes no record, and that nothing was sent: 503.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return "nothing was done: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// ErrDryRun says that the remediator as a whole is in mode dry_run, in which
// nothing is ever sent: 409.
var ErrDryRun = errors.New("mode dry_run: nothing is sent")

// A problemError is an answer other than success.
type problemError struct {
	code int
	text text
	args []any
}

func (e *problemError) Error() string { return english.say(e.text, e.args...) }

func problem(code int, t text, args ...any) *problemError { return &problemError{code, t, args} }

// problemOf says how an error is answered. The first that fits decides: an error
// may wrap another of these.
func problemOf(err error) *problemError {
	var (
		ready       *problemError
		notFound    *NotFoundError
		refused     *RefusedError
		unreachable *UnreachableError
		outcome     *OutcomeError
		guard       *GuardError
		override    *OverrideError
		unavailable *UnavailableError
		locked      *access.LockedError
		forbidden   *access.ForbiddenError
	)
	switch {
	case errors.As(err, &ready):
		return ready
	case errors.As(err, &notFound):
		return problem(http.StatusNotFound, noSuch, word(notFound.Kind), cut(notFound.Name))
	case errors.As(err, &guard):
		t := guardRefused
		if guard.Soft {
			t = guardSoft
		}
		return problem(http.StatusConflict, t, guard.Guard, oneLine(guard.Detail))
	case errors.Is(err, ErrDryRun):
		return problem(http.StatusConflict, dryRun)
	case errors.As(err, &override):
		return problem(http.StatusBadRequest, badOverride, cut(override.Guard), oneLine(override.Detail))
	case errors.As(err, &outcome):
		return problem(http.StatusServiceUnavailable, outcomeUnknown, outcome.Instance, oneLine(outcome.Err.Error()))
	case errors.As(err, &refused):
		return problem(http.StatusBadGateway, haproxyRefused, refused.Instance, oneLine(refused.Err.Error()))
	case errors.As(err, &unreachable):
		return problem(http.StatusServiceUnavailable, haproxyAway, unreachable.Instance, oneLine(unreachable.Err.Error()))
	case errors.As(err, &forbidden):
		return problem(http.StatusForbidden, mayNot, forbidden.Error())
	case errors.As(err, &locked):
		return problem(http.StatusTooManyRequests, lockedOut, int(math.Ceil(locked.For.Seconds())))
	case errors.Is(err, access.ErrExpired):
		return problem(http.StatusUnauthorized, expired)
	case errors.Is(err, session.ErrToken), errors.Is(err, session.ErrForm):
		return problem(http.StatusForbidden, noPageToken)
	case errors.Is(err, access.ErrForged):
		return problem(http.StatusForbidden, crossOrigin)
	case errors.Is(err, access.ErrBusy):
		return problem(http.StatusServiceUnavailable, manyLogins)
	case errors.As(err, &unavailable):
		return problem(http.StatusServiceUnavailable, notNow, oneLine(unavailable.Err.Error()))
	}
	return problem(http.StatusInternalServerError, internal, oneLine(err.Error()))
}

// Deny answers somebody who isn't let in, in the caller's language.
func Deny(w http.ResponseWriter, r *http.Request, err error) {
	switch access.Code(err) {
	case http.StatusUnauthorized:
		if !errors.Is(err, access.ErrExpired) {
			err = problem(http.StatusUnauthorized, unauthorized)
		}
	case http.StatusServiceUnavailable:
		if !errors.Is(err, access.ErrBusy) {
			err = &UnavailableError{err}
		}
	}
	reply(w, r, nil, err)
}
