package events

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	aliveEvery = 15 * time.Second
	writeTime  = 10 * time.Second // until what is written once is taken
	listenFor  = 15 * time.Minute // then it asks anew, and is asked anew who it is
)

// ServeHTTP answers GET /api/v1/events: server-sent events, until the listener goes.
// Its only parameter is after, the seq of the last entry that is known; the header
// Last-Event-ID, which a browser sends when it comes back, is stronger. Without both
// entries are told from now on. 503: there are 64 listeners already, or the journal
// can't be read.
//
//	event: changed
//	data: {"what": ["devices", "members", "holds", "freeze", "maintenance", "claims"]}
//
// tells which lists to ask for again; it is the first event of each connection, with
// all of these, since nobody knows what was missed: read what is to be shown after
// it. what has steps, too, when entries behind after may have been pruned, and when the
// journal isn't the one that after is of: then
// entries are told from now on.
//
//	id: 17
//	event: step
//	data: {"seq": 17, "at": "2026-01-02T15:04:05Z", "event": "step", ... as GET /steps has it}
//
// is one entry of the journal; with after, all behind it are told, each once and in
// order. Entries without a member are for who sees everything.
//
//	event: member
//	data: {"member": {...}, "admin": "drain", ... as GET /members has it}
//
// is one member that has changed, or that is new. While anybody listens, devices are
// looked at every 2 seconds; the first look at a device may tell all of its members.
// Counts that only grow (chosen, answers, errors) are no change.
//
// A comment comes every 15 seconds. A listener that doesn't keep up is cut off, and
// each after 15 minutes: come back with Last-Event-ID.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		control.Reply(w, nil, control.Problem(http.StatusMethodNotAllowed, nil, errors.New("method "+r.Method+": use GET")))
		return
	}
	who := access.From(r.Context())
	var after uint64
	resumes, err := false, who.CheckSomewhere(access.View)
	if err == nil {
		after, resumes, err = place(r)
	}
	if err != nil {
		control.Reply(w, nil, err)
		return
	}
	unavailable := func(err error) {
		if errors.Is(err, errFull) {
			w.Header().Set("Retry-After", "10")
		}
		control.Reply(w, nil, control.Problem(http.StatusServiceUnavailable, nil, err))
	}
	l, f, err := h.join()
	if err != nil {
		unavailable(err)
		return
	}
	defer h.leave(f, l)
	newest := l.upto
	if resumes && after > newest { // told by another replica, perhaps, before this one has read it
		if newest, err = h.journal.Newest(); err != nil {
			unavailable(err)
			return
		}
	}
	var pruned uint64
	if resumes {
		if pruned, err = h.journal.Pruned(); err != nil {
			unavailable(err)
			return
		}
	}
	s := &stream{w: w, rc: http.NewResponseController(w), sees: func(p edge.Pool) bool { return who.May(access.View, p) }}
	s.open()
	what := []string{"devices", "members", "holds", "freeze", "maintenance", "claims"}
	if resumes && (after > newest || after < pruned) {
		what = append(what, "steps")
	}
	if !resumes || after > newest {
		after = l.upto
	}
	s.after = after
	hello := append([]byte("retry: 2000\nid: "+strconv.FormatUint(after, 10)+"\n"), changedFrame(what...).text...)
	if s.write([]frame{{open: true, text: hello}}) != nil {
		return
	}
	if h.catchUp(r.Context(), s, l, after) != nil {
		return
	}
	s.follow(r.Context(), l, who.Still)
}

// place reads from where on somebody wants to hear.
func place(r *http.Request) (after uint64, resumes bool, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return 0, false, control.BadRequest(errors.New("query can't be read"))
	}
	for name, vs := range values {
		if name != "after" || len(vs) != 1 {
			return 0, false, control.BadRequest(errors.New("want no parameter but after, once"))
		}
	}
	text, resumes := values.Get("after"), values.Has("after")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		text, resumes = last, true
	}
	if !resumes {
		return 0, false, nil
	}
	if after, err = strconv.ParseUint(text, 10, 64); err != nil {
		return 0, false, control.BadRequest(errors.New("after, or Last-Event-ID: want the seq of a step"))
	}
	return after, true, nil
}

// catchUp writes the entries that were there before the listener came.
func (h *Hub) catchUp(ctx context.Context, s *stream, l *listener, after uint64) error {
	for after < l.upto {
		es, next, err := h.journal.Page(journal.Page{From: after, Query: journal.Query{Limit: pageEntries}, MaxBytes: pageBytes})
		if err != nil {
			return err
		}
		var frames []frame
		for i := range es {
			if es[i].Seq <= l.upto {
				es[i].Before, es[i].After = nil, nil
				frames = append(frames, entryFrame(&es[i]))
			}
		}
		if err := s.write(frames); err != nil {
			return err
		}
		if next == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.cut:
			return errFull
		case <-l.end:
			return errEnding
		default:
		}
		after = next
	}
	return nil
}

// A stream is a connection to one listener.
type stream struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	sees  func(edge.Pool) bool
	after uint64 // seq up to which entries are known already
}

// open begins the answer.
func (s *stream) open() {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx keeps an answer back otherwise. Source: ngx_http_proxy_module, proxy_buffering
	s.w.WriteHeader(http.StatusOK)
}

// write sends the frames that are for this listener, all at once. The server's own
// time limit is for answers that end: each write has one of its own instead.
func (s *stream) write(frames []frame) error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	sent := false
	for _, f := range frames {
		if !f.open && !s.sees(f.pool) || f.seq > 0 && f.seq <= s.after {
			continue
		}
		sent = true
		if _, err := s.w.Write(f.text); err != nil {
			return err
		}
	}
	if !sent {
		return nil
	}
	return s.rc.Flush()
}

// follow writes what is handed out, until somebody ends it.
func (s *stream) follow(ctx context.Context, l *listener, still func() bool) {
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	over := time.NewTimer(listenFor)
	defer over.Stop()
	for {
		var frames []frame
		select {
		case <-ctx.Done():
			return
		case <-l.cut:
			return
		case <-l.end:
			return
		case <-over.C:
			return
		case <-alive.C:
			if !still() {
				return // a token or role that was taken away: who comes again is asked again
			}
			frames = []frame{{open: true, text: []byte(": still here\n\n")}}
		case frames = <-l.frames:
		}
		if s.write(frames) != nil {
			return
		}
	}
}
