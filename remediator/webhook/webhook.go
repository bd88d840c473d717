// Package webhook takes in Alertmanager's messages. A message is a hint that
// the world has changed, never an order: it is checked, handed to a [Sink] that
// makes it durable, and answered, without waiting for anything that it causes.
//
// The answer judges the envelope alone, because Alertmanager reads any 4xx as
// "never again in this flush": 400 not a message of version 4, 413 too
// big, 503 not durable (it tries again), and 200 for all else, whatever
// the single alerts say (SAFETY.md I24). It is never a redirect: after one
// Alertmanager repeats the request as a GET without body and calls it delivered.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Defaults of [Options]. A message of Alertmanager has about 1 KiB for each
// alert. A message that is refused as too big isn't sent again, so the bounds are
// far above what anybody means: 20,000 alerts in one group.
const (
	DefaultMaxBytes  = 24 << 20
	DefaultMaxAlerts = 20_000
)

// Bounds on one alert. An alert beyond them is invalid; the others stand.
const (
	maxLabels     = 128
	maxLabelName  = 1 << 10
	maxLabelValue = 8 << 10
	maxNesting    = 32
)

// discardTimes is how many times its limit a body that is too big may have in
// all, for its sender still to be told.
const discardTimes = 15

// maxAtOnce bounds the memory that messages take while they are read. Others
// wait for their turn, and get 503 when it doesn't come: they are sent again.
const (
	maxAtOnce   = 4
	waitForTurn = 3 * time.Second
	readWithin  = 10 * time.Second
)

// A Message is what one request said.
type Message struct {
	Receiver  string // quoted as for a regular expression: web.hook arrives as web\.hook
	GroupKey  string
	Truncated int64   // alerts that max_alerts cut off: the message is incomplete
	Alerts    []Alert // in the order of the message, each judged by itself
}

// A Result is what became of one alert in a message.
type Result string

const (
	Wanted  Result = "wanted"  // asks for something, or ends such a request
	Ignored Result = "ignored" // no business of ours
	Drill   Result = "drill"   // wanted but for its mark: it shows that the way is open, and asks for nothing
	Invalid Result = "invalid" // not to be understood; Problem says why
)

// An Alert is one alert of a message. Only its labels select; all else in it is
// for people. When Result is [Invalid] only Problem is sure to be filled.
type Alert struct {
	Result   Result
	Problem  string // one line, without text from the alert beyond short quoted names
	Firing   bool   // its own status; the message's status is another thing
	Labels   map[string]string
	StartsAt time.Time // may move while an alert fires
	EndsAt   time.Time // zero while firing
}

// A Sink makes a message durable and wakes the engine. An error means that it
// could not be made durable, and is answered with 503. It must not wait for
// devices.
type Sink interface {
	Hint(ctx context.Context, m Message) error
}

// Options of [Handler].
type Options struct {
	Sink Sink

	// Wants says whether labels are any business of ours. Nil: those that carry
	// the label "remediation" are.
	Wants func(labels map[string]string) bool

	MaxBytes  int64 // of a body; DefaultMaxBytes when 0
	MaxAlerts int   // in a body; DefaultMaxAlerts when 0

	// Observe is called after each request with the answer, the message as far
	// as it was understood, and why it was refused, if it was. May be nil.
	Observe func(r *http.Request, code int, m Message, err error)
}

// errTooBig is the one refusal that is 413 and not 400.
var errTooBig = errors.New("too big")

// Handler answers POST /webhook.
func Handler(o Options) http.Handler {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxAlerts == 0 {
		o.MaxAlerts = DefaultMaxAlerts
	}
	if o.Wants == nil {
		o.Wants = asks
	}
	slots := make(chan struct{}, maxAtOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, m, err := o.serve(w, r, slots)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(code)
		answer := "ok"
		switch {
		case code == http.StatusServiceUnavailable:
			answer = "not taken in now: send it again" // the cause names files of ours; it is for Observe
		case err != nil:
			answer = err.Error()
		}
		fmt.Fprintln(w, answer) // a sender that is gone needs no answer
		if o.Observe != nil {
			o.Observe(r, code, m, err)
		}
	})
}

func (o Options) serve(w http.ResponseWriter, r *http.Request, slots chan struct{}) (int, Message, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed, Message{}, fmt.Errorf("method %s: use POST", r.Method)
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return http.StatusBadRequest, Message{}, fmt.Errorf("content encoding %.20q: send the body plain", e)
	}
	turn, cancel := context.WithTimeout(r.Context(), waitForTurn)
	defer cancel()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-turn.Done():
		return http.StatusServiceUnavailable, Message{}, errors.New("too many messages at once")
	}
	// A sender that dribbles must not keep its slot. Where there is no connection
	// to set a deadline on (a test's recorder), nothing dribbles.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readWithin))
	body, err := io.ReadAll(io.LimitReader(r.Body, o.MaxBytes+1))
	if int64(len(body)) > o.MaxBytes {
		// A sender that is cut off while it writes sees a reset and not the answer,
		// and would try again for ever: let it finish, within reason.
		_, _ = io.CopyN(io.Discard, r.Body, discardTimes*o.MaxBytes)
		return http.StatusRequestEntityTooLarge, Message{}, fmt.Errorf("body: %w: at most %d bytes", errTooBig, o.MaxBytes)
	}
	if err != nil {
		return http.StatusServiceUnavailable, Message{}, fmt.Errorf("body: %w", err) // the network's fault: the next try may do
	}
	m, err := parse(body, o.MaxAlerts, o.Wants)
	switch {
	case errors.Is(err, errTooBig):
		return http.StatusRequestEntityTooLarge, Message{}, err
	case err != nil:
		return http.StatusBadRequest, Message{}, err
	}
	if err := o.Sink.Hint(r.Context(), m); err != nil {
		return http.StatusServiceUnavailable, m, fmt.Errorf("make the message durable: %w", err)
	}
	return http.StatusOK, m, nil
}
