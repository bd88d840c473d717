package ctl

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

func TestWhatAMemberLacks(t *testing.T) {
	drain, ready := edge.Drain, edge.Ready
	out := edge.State{Admin: edge.Drain, Sessions: 2}
	for _, tt := range []struct {
		name string
		want Condition
		is   edge.State
		lack string
	}{
		{"few sessions left", Condition{Sessions: 2}, out, ""},
		{"too many sessions left", Condition{Sessions: 1}, out, "it has 2 sessions"},
		{"none left, and one waits", Condition{Sessions: 0}, edge.State{Admin: edge.Maint, Queue: 1}, "1 requests wait for it"},
		{"none for the moment", Condition{Sessions: 0}, edge.State{}, "it is ready, and takes new sessions"},
		{"in another state", Condition{Sessions: -1, State: &drain}, edge.State{Admin: edge.Maint}, "it is in maint"},
		{"in the one that on and off know", Condition{Sessions: -1, State: &drain}, edge.State{Admin: edge.Maint, OnOff: true}, ""},
		{"ready and serving", Condition{Sessions: -1, State: &ready, Serving: true}, edge.State{Serving: true, Sessions: 9}, ""},
		{"ready and down", Condition{Sessions: -1, State: &ready, Serving: true}, edge.State{Check: edge.No}, "it isn't serving: down"},
	} {
		if got := tt.want.lacks(Member{State: tt.is}); got != tt.lack {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.lack)
		}
	}
}

func TestWaitingEnds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*pool)
		want   Condition
		err    error
		text   string // of the error, or of the result
	}{
		{"when it is as wanted", func(p *pool) {
			p.members[0].Admin, p.members[0].Sessions = edge.Drain, 3
			p.looked = func(p *pool, _ int) { p.members[0].Sessions = max(0, p.members[0].Sessions-1) }
		}, Condition{}, nil, "edge1/shop/a: at most 0 sessions, after "},
		{"although the first look is older than the drain", func(p *pool) {
			p.looked = func(p *pool, look int) {
				if look == patience+1 {
					p.members[0].Admin = edge.Drain
				}
			}
		}, Condition{}, nil, "edge1/shop/a: at most 0 sessions, after "},
		{"when it takes too long", func(p *pool) { p.members[0].Serving = false }, Condition{Sessions: -1, Serving: true}, ErrTimeout, "edge1/shop/a: wait for serving: not in time: after 20ms it isn't serving: not serving"},
		{"when it is of no use", nil, Condition{}, errUseless, "it is ready and takes new sessions: drain it first"},
		{"when nobody counts", func(p *pool) { p.members[0].OnOff = true }, Condition{}, errUseless, "the device doesn't tell how many sessions"},
		{"when it is gone", func(p *pool) {
			p.looked = func(p *pool, look int) {
				if look == 3 {
					p.members = nil
				}
			}
		}, Condition{Sessions: -1, State: new(edge.Maint)}, ErrNoMember, "no such member"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool("a")
			if tt.change != nil {
				tt.change(p)
			}
			within := time.Minute
			if errors.Is(tt.err, ErrTimeout) {
				within = 20 * time.Millisecond
			}
			var out strings.Builder
			s := &Session{Client: client(t, p.ServeHTTP), Out: &out, Err: &out, Output: "table", every: time.Millisecond}
			err := s.Wait(t.Context(), "edge1/shop/a", tt.want, within)
			if !errors.Is(err, tt.err) || !strings.Contains(out.String()+text(err), tt.text) {
				t.Errorf("%v, %s; want %s", err, &out, tt.text)
			}
		})
	}
}

// A device or a remediator that gives no answer for a while is no reason to give up;
// one that says no is.
func TestWaitingGoesOnWhileNobodyCanLook(t *testing.T) {
	p, asked := newPool("a"), 0
	said := []string{`{"devices":[{"device":"edge1","error":"no answer"}],"members":[]}`, "503", "500"}
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch {
		case asked > len(said):
			p.ServeHTTP(w, r)
		case asked == 1:
			answer(w, 200, said[0])
		default:
			answer(w, 503, "null")
		}
	})
	var out strings.Builder
	s := &Session{Client: c, Out: &out, Err: &out, Output: "table", every: time.Millisecond}
	if err := s.Wait(t.Context(), "edge1/shop/a", Condition{Sessions: -1, Serving: true}, time.Minute); err != nil || asked != 4 {
		t.Errorf("%v after %d looks", err, asked)
	}
	s.Client = client(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, "null") })
	if err := s.Wait(t.Context(), "edge1/shop/a", Condition{Sessions: -1, Serving: true}, time.Minute); ExitCode(err) != ExitDenied {
		t.Error(err)
	}
}

// One look that hangs ends with the wait, and not a minute later.
func TestWaitingIsNotHeldUpByALookThatHangs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	looks := 0
	p := newPool("a")
	p.members[0].Serving = false
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if looks++; looks == 1 {
			p.ServeHTTP(w, r)
			return
		}
		<-r.Context().Done() // until who asks goes
	})
	var out strings.Builder
	s := &Session{Client: c, Out: &out, Err: &out, Output: "table", every: time.Millisecond}
	err := s.Wait(ctx, "edge1/shop/a", Condition{Sessions: -1, Serving: true}, 100*time.Millisecond)
	if !errors.Is(err, ErrTimeout) || !strings.Contains(text(err), "after 100ms it isn't serving: not serving") {
		t.Error(err)
	}
}
