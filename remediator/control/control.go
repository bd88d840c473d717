// Package control is the part of the HTTP API by which people steer the
// remediator: freeze it, see what it holds and did, ask what it would do, approve
// a step that waits for that, make it give a member back, and put members in a
// state themselves. But for members and restore, nothing here waits for a device or for the
// engine's turn: a freeze is in the journal when the answer goes out, also while
// a device hangs (SAFETY.md I19).
//
// Every answer is {"success": true, "status_code": 200, "data": {...}}, or
// {"success": false, "status_code": 4xx, "error": "one line"}; what guards said of a
// step that wasn't taken comes as data beside the error.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// maxBody bounds a request, in bytes. The largest is a set of labels to explain.
const maxBody = 64 << 10

// maxObject bounds a stored object that is put back, in bytes.
const maxObject = 4 << 20

// A Journal is the [journal.Journal], as far as people reach it.
type Journal interface {
	Freeze() (*journal.Freeze, error)
	Thaw(actor string) error
	Barriers() (journal.Barriers, error)
	SetFreeze(f journal.Freeze) error
	ThawScope(p edge.Pool, actor string) error
	Holds() ([]journal.Hold, error)
	Candidates() ([]journal.Hold, error)
	Entries(q journal.Query) ([]journal.Entry, error)
	Page(p journal.Page) (es []journal.Entry, next uint64, err error)
}

// An Engine does what the journal alone can't.
type Engine interface {
	// Wake makes the engine look again soon. It doesn't wait.
	Wake()
	// Knows says whether there is such a device, pool or member, as far as that can be
	// known without waiting for long; an empty part is any. [NotFound] says that not.
	Knows(ctx context.Context, m edge.Member) error
	// Claim makes a member a person's: automation takes no step on it. It is durable
	// when it returns, and holds of ours on it are handed over.
	Claim(ctx context.Context, c journal.Claimed) error
	// Unclaim gives it back to automation. [NotFound] says that nobody has claimed it.
	Unclaim(ctx context.Context, m edge.Member, actor, reason string) error
	// Windows are the maintenance windows of the configuration and of people.
	Windows() ([]Window, error)
	// AddWindow makes one, durable when it returns. [BadRequest] says what is wrong with it.
	AddWindow(w WindowSpec, actor string) (Window, error)
	// DropWindow takes one away that people made. [NotFound] says that there is none.
	DropWindow(name, actor string) error
	// Release asks for one hold to be given back, whatever evidence and freeze
	// say: a person wants it. It is durable when it returns, and not yet done.
	// [journal.ErrNoHold] says that the member isn't held.
	Release(ctx context.Context, m edge.Member, actor, reason string) error
	// Answer is a person's word on the step that waits for one. It is durable when
	// it returns. [NotFound] says that no step on the member waits.
	Answer(ctx context.Context, m edge.Member, yes bool, actor, note string) error
	// AnswerTTL is how long such a word is worth something.
	AnswerTTL(policy string, m edge.Member) time.Duration
	// Explain says what would be done now for an alert with these labels. The
	// answer goes out as JSON. It changes nothing.
	Explain(ctx context.Context, labels map[string]string) (any, error)
	// Restore puts a stored object of a pool back, through guards and journal, and
	// says what came of it. The answer goes out as JSON.
	Restore(ctx context.Context, p edge.Pool, object []byte, actor, reason string) (any, error)
	// Order carries out a person's step on a member, through guards and journal,
	// and says what came of it. It waits for the member's device, within limits.
	// The answer goes out as JSON.
	Order(ctx context.Context, o Order) (any, error)
	// Members looks at a device and its pools and members, ordered by name, each
	// member with who set its state; an empty name is all of them.
	Members(ctx context.Context, device, pool string) (Roster, error)
}

// Options of [Handler].
type Options struct {
	Journal Journal
	Engine  Engine
	Drills  Drills // nil: none can be made
	// Actor names who sent a request, for the journal. Nil: the name of the
	// request's [access.Identity], or else the remote host.
	Actor func(*http.Request) string
}

// Handler answers everything below /api/v1/ that this package knows: freeze,
// holds, candidates, approvals, members, steps, drills, explain and restore. Requests that a
// browser sends for another site's page are refused.
func Handler(o Options) http.Handler {
	if o.Actor == nil {
		o.Actor = actor
	}
	if o.Drills == nil {
		o.Drills = noDrills{}
	}
	mux := http.NewServeMux()
	for path, methods := range o.routes() {
		mux.Handle(path, methods)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		Reply(w, nil, problem(http.StatusNotFound, "no such path: want devices, pools, members, holds, steps, candidates, approvals, drills, claimed, freeze or explain below /api/v1/"))
	})
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		Reply(w, nil, problem(http.StatusForbidden, "this request comes from another site's page"))
	}))
	return guard.Handler(mux)
}

// routes are all that there is, as the document of the API has them.
func (o Options) routes() map[string]methods {
	return map[string]methods{
		"/api/v1/freeze":                                   {"GET": o.frozen, "POST": o.freeze, "DELETE": o.thaw},
		"/api/v1/maintenance":                              {"GET": o.windows, "POST": o.addWindow},
		"/api/v1/maintenance/{name}":                       {"DELETE": o.dropWindow},
		"/api/v1/claimed":                                  {"GET": o.claimed},
		"/api/v1/members/{device}/{pool}/{member}/claim":   {"POST": o.claim},
		"/api/v1/members/{device}/{pool}/{member}/release": {"POST": o.unclaim},
		"/api/v1/holds":                                    {"GET": o.holds},
		"/api/v1/holds/{device}/{pool}/{member}/release":   {"POST": o.release},
		"/api/v1/candidates":                               {"GET": o.candidates},
		"/api/v1/approvals":                                {"GET": o.approvals},
		"/api/v1/approvals/{device}/{pool}/{member}":       {"POST": o.answer},
		"/api/v1/steps":                                    {"GET": o.steps},
		"/api/v1/refusals":                                 {"GET": o.refusals},
		"/api/v1/devices":                                  {"GET": o.devices},
		"/api/v1/pools":                                    {"GET": o.pools},
		"/api/v1/members":                                  {"GET": o.members},
		"/api/v1/members/{device}/{pool}/{member}":         {"GET": o.member},
		"/api/v1/members/{device}/{pool}/{member}/drain":   {"POST": o.order(edge.Drain)},
		"/api/v1/members/{device}/{pool}/{member}/maint":   {"POST": o.order(edge.Maint)},
		"/api/v1/members/{device}/{pool}/{member}/ready":   {"POST": o.order(edge.Ready)},
		"/api/v1/members/{device}/{pool}/{member}/weight":  {"POST": o.weigh},
		"/api/v1/whoami":                                   {"GET": whoami},
		"/api/v1/explain":                                  {"POST": o.explain},
		"/api/v1/pools/{device}/{pool}/restore":            {"POST": o.restore},
		"/api/v1/drills":                                   {"GET": o.drills, "POST": o.announce},
		"/api/v1/drills/{id}":                              {"GET": o.drill, "DELETE": o.endDrill},
	}
}

// methods are the ways to use one path.
type methods map[string]func(*http.Request) (any, error)

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if strings.ContainsRune(r.URL.Path, 0) || !utf8.ValidString(r.URL.Path) {
		Reply(w, nil, problem(http.StatusBadRequest, "path: no name has a NUL, or anything but UTF-8"))
		return
	}
	serve, ok := m[method]
	if !ok {
		var allow []string
		for name := range m {
			allow = append(allow, name)
		}
		slices.Sort(allow)
		w.Header().Set("Allow", strings.Join(allow, ", "))
		Reply(w, nil, problem(http.StatusMethodNotAllowed, "method %s: use %s", r.Method, strings.Join(allow, " or ")))
		return
	}
	limit := int64(maxBody)
	if strings.HasSuffix(r.URL.Path, "/restore") {
		limit = maxObject
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	data, err := serve(r)
	Reply(w, data, err)
}

// A problemError is an answer that says what the caller did wrong, or what we
// lack. All other errors are 500.
type problemError struct {
	code int
	text string
	data any // what there is to tell besides; may be nil
}

func (e *problemError) Error() string { return e.text }

func problem(code int, format string, args ...any) error {
	return &problemError{code: code, text: fmt.Sprintf(format, args...)}
}

// NotFound says that what was asked for is not there.
func NotFound(err error) error { return problem(http.StatusNotFound, "%s", line(err)) }

// BadRequest says that what was asked for is wrong.
func BadRequest(err error) error { return problem(http.StatusBadRequest, "%s", line(err)) }

// Problem is an answer with another code than 200, and with data that say more
// than the error.
func Problem(code int, data any, err error) error { return &problemError{code, line(err), data} }

type envelope struct {
	Success    bool   `json:"success"`
	StatusCode int    `json:"status_code"`
	Data       any    `json:"data,omitempty"`
	Error      string `json:"error,omitempty"`
}

// Reply answers with data, or with an error and the code that it is worth.
func Reply(w http.ResponseWriter, data any, err error) {
	e := envelope{Success: true, StatusCode: http.StatusOK, Data: data}
	if err != nil {
		e = envelope{StatusCode: http.StatusInternalServerError, Error: line(err)}
		if p := (*problemError)(nil); errors.As(err, &p) {
			e.StatusCode, e.Data = p.code, p.data
		}
		if no := (*access.ForbiddenError)(nil); errors.As(err, &no) {
			e.StatusCode = http.StatusForbidden
		}
	}
	body, err := json.Marshal(e)
	if err != nil {
		e = envelope{StatusCode: http.StatusInternalServerError, Error: "the answer can't be written as JSON: " + line(err)}
		body, _ = json.Marshal(e) // two texts and a number can be written
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.StatusCode)
	w.Write(append(body, '\n')) // a caller that is gone needs no answer
}

// mostLine bounds an error's text, in characters: names of callers stand in it.
const mostLine = 600

// line is an error on one line, short and printable: a name that somebody sent may
// stand in it.
func line(err error) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "?")), " ")
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
	if r := []rune(s); len(r) > mostLine {
		s = string(r[:mostLine]) + "..."
	}
	return s
}

// read decodes a JSON body strictly: one object, known fields only.
func read(r *http.Request, to any) error {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return problem(http.StatusBadRequest, "content encoding %.20q: send the body plain", e)
	}
	if t := r.Header.Get("Content-Type"); !isJSON(t) {
		return problem(http.StatusUnsupportedMediaType, "content type %.60q: send JSON with the header Content-Type: application/json", t)
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(to)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the end")
			if more != nil {
				err = more
			}
		}
	}
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return problem(http.StatusRequestEntityTooLarge, "body: at most %d bytes", tooBig.Limit)
	}
	if errors.Is(err, io.EOF) {
		return problem(http.StatusBadRequest, "body is empty: want JSON")
	}
	if err != nil {
		return problem(http.StatusBadRequest, "body: %s", strings.TrimPrefix(line(err), "json: "))
	}
	return nil
}

// isJSON says whether a body may be JSON by its type. None at all is taken, and what
// "curl -d" says of a body unasked: a page of another site, which could send a form,
// is turned away before this.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "application/x-www-form-urlencoded")
}

// unavailable says that the journal couldn't be read or written.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return problem(http.StatusServiceUnavailable, "%v", err)
}

func actor(r *http.Request) string {
	if i := access.From(r.Context()); i.Name != "" {
		return i.Name
	}
	if user, _, ok := r.BasicAuth(); ok && user != "" {
		return user
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a unix socket has no port
	}
	return host
}
