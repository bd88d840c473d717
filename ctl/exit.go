package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
)

// Exit codes of "sluice ctl", which scripts may rely on. 2 isn't used: other
// commands of sluice end with it when two answers differ.
const (
	ExitDone        = 0
	ExitError       = 1   // a wrong command line, no answer, and whatever isn't below
	ExitRefused     = 3   // a guard said no; nothing was done
	ExitNotFound    = 4   // there is no such device, pool, member or hold
	ExitTimeout     = 5   // what was waited for didn't come in time
	ExitDenied      = 6   // the remediator wants to know who asks, or doesn't allow them to
	ExitCommand     = 7   // the command of a rolling restart ended badly
	ExitUnsettled   = 8   // the device didn't take the step, or nobody knows whether it did
	ExitInterrupted = 130 // by a signal, such as Ctrl-C
)

// ExitCodes is the list above for --help and the man page.
const ExitCodes = "Exit codes: 0 done, 1 error or wrong command line, 3 refused by a guard (nothing was done), 4 no such device, pool, member or hold, " +
	"5 what was waited for didn't come in time, 6 not logged in or not allowed, 7 the command of rolling-restart failed, " +
	"8 the device didn't take the step or nobody knows whether it did, 130 interrupted."

var (
	// ErrTimeout says that what was waited for didn't come.
	ErrTimeout = errors.New("not in time")
	// ErrCommand says that an operator's command ended badly.
	ErrCommand = errors.New("the command failed")
	// ErrInterrupted says that a signal ended it.
	ErrInterrupted = errors.New("interrupted")
	// ErrUnsettled says that a step wasn't taken, or that nobody knows.
	ErrUnsettled = errors.New("not applied")
	// ErrSaid says that the output has told already why the exit code isn't 0.
	ErrSaid = errors.New("the output says it")
)

// ExitCode is what a command ends with that ended with err.
func ExitCode(err error) int {
	answer := (*Error)(nil)
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.Is(err, ErrTimeout):
		return ExitTimeout
	case errors.Is(err, ErrCommand):
		return ExitCommand
	case errors.Is(err, ErrNoMember):
		return ExitNotFound
	case errors.Is(err, ErrUnsettled):
		return ExitUnsettled
	case !errors.As(err, &answer):
		return ExitError
	}
	switch {
	case answer.Code == http.StatusUnauthorized, answer.Code == http.StatusForbidden:
		return ExitDenied
	case answer.Code == http.StatusNotFound:
		return ExitNotFound
	case answer.Refusal() != nil:
		return ExitRefused
	case answer.Code == http.StatusBadGateway, answer.unsettled():
		return ExitUnsettled
	}
	return ExitError
}

// unsettled says whether the answer is of a step whose outcome isn't known, or
// isn't what was asked for.
func (e *Error) unsettled() bool {
	var data struct{ Result string }
	return e.Data != nil && json.Unmarshal(e.Data, &data) == nil && (data.Result == "indeterminate" || data.Result == "failed" || data.Result == "superseded")
}

// A stepError is why a step wasn't taken, for people.
type stepError struct {
	text  string
	cause *Error
}

func (e *stepError) Error() string { return e.text }
func (e *stepError) Unwrap() error { return e.cause }

// told says why a step on m wasn't taken: a guard's no with its name, reason and
// detail, and how to take it upon oneself where that can be.
func told(m edge.Member, what string, err error) error {
	answer := (*Error)(nil)
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s to %s: %w", Name(m), what, err)
	}
	no := answer.Refusal()
	if no == nil || answer.Code == http.StatusNotFound {
		// The remediator's own errors begin with the member, too.
		text := strings.TrimPrefix(answer.short(), fmt.Sprintf("%s to %s: ", m, strings.Fields(what)[0]))
		return &stepError{fmt.Sprintf("%s to %s: %s", Name(m), what, text), answer}
	}
	text := fmt.Sprintf("%s to %s: refused by guard %s (%s): %s", Name(m), what, no.Guard, no.Reason, Line(no.Detail))
	return &stepError{text + overrides(answer), answer}
}

// overrides says how the guards that said no can be overridden, if all of them can.
func overrides(e *Error) string {
	var data struct{ Decision guard.Decision }
	if json.Unmarshal(e.Data, &data) != nil {
		return ""
	}
	var flags, also []string
	for _, f := range data.Decision.Findings {
		if f.OK || f.Overridden {
			continue
		}
		if guard.Bearings[f.Guard] != guard.Soft {
			return "; guard " + f.Guard + " can't be overridden"
		}
		if f.Guard != data.Decision.Refusal.Guard {
			also = append(also, fmt.Sprintf("; so does %s (%s): %s", f.Guard, f.Reason, Line(f.Detail)))
		}
		flags = append(flags, "--override "+f.Guard)
	}
	if len(flags) == 0 {
		return "" // it doesn't tell what the guards said
	}
	return strings.Join(also, "") + "; to take that upon yourself: " + strings.Join(flags, " ") + " --reason WHY"
}

// short is the text without where it came from.
func (e *Error) short() string {
	switch e.Code {
	case http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest:
		return e.Text
	}
	return e.Error()
}
