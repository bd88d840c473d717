package ctl

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge"
)

// What the remediator says when guards refuse.
const (
	softNo = `{"result":"refused","decision":{"findings":[{"guard":"leader","ok":true},{"guard":"min_serving","ok":false,"reason":"too_few_left","detail":"none would be left"},
		{"guard":"load","ok":false,"reason":"overload","detail":"too much"}],"refusal":{"guard":"min_serving","reason":"too_few_left","detail":"none would be left"}}}`
	hardNo = `{"result":"refused","decision":{"findings":[{"guard":"agent","ok":false,"reason":"agent_check","detail":"it would undo it"},{"guard":"load","ok":false,"reason":"overload","detail":"too much"}],
		"refusal":{"guard":"agent","reason":"agent_check","detail":"it would undo it"}}}`
	// One of the soft guards is overridden already.
	halfNo = `{"result":"refused","decision":{"findings":[{"guard":"min_serving","ok":false,"overridden":true,"reason":"too_few_left","detail":"none"},
		{"guard":"load","ok":false,"reason":"overload","detail":"too much"}],"refusal":{"guard":"load","reason":"overload","detail":"too much"}}}`
	oldNo = `{"decision":{"refusal":{"guard":"load","reason":"overload","detail":"too much"}}}`
)

func TestAStepThatWasNotTakenSaysWhyAndHasItsCode(t *testing.T) {
	m := edge.Member{Device: "edge1", Pool: "shop", Name: "a b"}
	for _, tt := range []struct {
		name string
		code int
		data string
		want string
		exit int
	}{
		{"a soft guard and another", 409, softNo, "refused by guard min_serving (too_few_left): none would be left; so does load (overload): too much; to take that upon yourself: --override min_serving --override load --reason WHY", ExitRefused},
		{"a hard guard", 409, hardNo, "refused by guard agent (agent_check): it would undo it; guard agent can't be overridden", ExitRefused},
		{"one behind another that is overridden", 409, halfNo, "refused by guard load (overload): too much; to take that upon yourself: --override load --reason WHY", ExitRefused},
		{"one that tells no findings", 409, oldNo, "refused by guard load (overload): too much", ExitRefused},
		{"no such member", 404, hardNo, "as the test says", ExitNotFound},
		{"no such device", 404, "null", "as the test says", ExitNotFound},
		{"a wrong override", 400, "null", "as the test says", ExitError},
		{"not allowed", 403, "null", "as the test says", ExitDenied},
		{"nobody", 401, "null", "the remediator at URL answered 401 Unauthorized: as the test says", ExitDenied},
		{"the device refuses", 502, `{"result":"failed"}`, "the remediator at URL answered 502 Bad Gateway: as the test says", ExitUnsettled},
		{"a proxy lost the answer", 502, "null", "the remediator at URL answered 502 Bad Gateway: as the test says", ExitUnsettled},
		{"nobody knows", 503, `{"result":"indeterminate"}`, "the remediator at URL answered 503 Service Unavailable: as the test says", ExitUnsettled},
		{"busy", 503, "null", "the remediator at URL answered 503 Service Unavailable: as the test says", ExitError},
		{"it changed", 409, `{"result":"replanned"}`, "the remediator at URL answered 409 Conflict: as the test says", ExitError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, tt.code, tt.data) })
			s := &Session{Client: c, Output: "table"}
			_, err := s.order(t.Context(), m, Ask{To: edge.Drain})
			want := "edge1/shop/a%20b to drain: " + strings.ReplaceAll(tt.want, "URL", c.URL())
			if text(err) != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if got := ExitCode(err); got != tt.exit {
				t.Errorf("exit code %d, want %d", got, tt.exit)
			}
		})
	}
}

func TestExitCodesOfOurOwn(t *testing.T) {
	for err, want := range map[error]int{
		nil:                                               ExitDone,
		errors.New("whatever"):                            ExitError,
		ErrSaid:                                           ExitError,
		fmt.Errorf("x: %w", ErrNoMember):                  ExitNotFound,
		fmt.Errorf("x: %w", ErrAmbiguous):                 ExitError,
		fmt.Errorf("x: %w", ErrTimeout):                   ExitTimeout,
		fmt.Errorf("x: %w", ErrCommand):                   ExitCommand,
		fmt.Errorf("x: %w", ErrUnsettled):                 ExitUnsettled,
		fmt.Errorf("x: %w", context.Canceled):             ExitInterrupted,
		fmt.Errorf("%w: %w", &Interruption{}, ErrCommand): ExitInterrupted,
		context.DeadlineExceeded:                          ExitError,
	} {
		if got := ExitCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

// An answer that isn't ours, of a proxy in between or of another program.
func TestAnAnswerThatIsNotOursIsToldOnOneLine(t *testing.T) {
	for body, want := range map[string]string{
		"":                                  "",
		"<html>\n<h1>Bad gateway</h1>":      "<html> <h1>Bad gateway</h1>",
		"\x1b[2Jgone\a":                     "?[2Jgone?",
		strings.Repeat("x", 500):            strings.Repeat("x", 400) + "...",
		`{"success":true,"data":"a text"}`:  `{"success":true,"data":"a text"}`,
		`{"success":true}`:                  `{"success":true}`,
		`{"success":false,"error":"a\n b"}`: "a b",
	} {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) })
		_, err := c.Members(t.Context(), "", "")
		if want = "the remediator at " + c.URL() + " answered 200 OK: " + want; text(err) != want {
			t.Errorf("%q:\ngot  %v\nwant %s", body, err, want)
		}
	}
}
