package ptaf_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/test/serve"
)

// I17: what stops a step is asked about behind both looks, and a word that takes
// its time is followed by another look, so that the gap stays short.
func TestTheLastWordIsAskedRightBeforeTheWrite(t *testing.T) {
	const list, look, patch = "GET /upstreams", "GET /upstreams/shop", "PATCH /upstreams/shop"
	frozen := errors.New("frozen")
	for name, c := range map[string]struct {
		last func(*ptaftest.Sim) error
		want []string // calls
		err  error
	}{
		"quick": {func(*ptaftest.Sim) error { return nil }, []string{list, look, look, "last", patch, look}, nil},
		"slow": {func(*ptaftest.Sim) error {
			time.Sleep(time.Second) // virtual
			return nil
		}, []string{list, look, look, "last", look, patch, look}, nil},
		"slow, and somebody edits meanwhile": {func(s *ptaftest.Sim) error {
			time.Sleep(time.Second) // virtual
			s.Edit("shop-front", "192.0.2.13:8080", true)
			return nil
		}, []string{list, look, look, "last", look}, edge.ErrChanged},
		"it says no": {func(*ptaftest.Sim) error { return frozen }, []string{list, look, look, "last"}, frozen},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim()
				var calls *[]string
				client := inMemory(t, s, func(o *ptaf.Options) { calls = order(o.HTTP.Transport.(*transport), nil) })
				r, err := client.Change(t.Context(), "shop-front", takeOut, ptaf.Write{Last: func() error {
					*calls = append(*calls, "last")
					return c.last(s)
				}})
				wantErr(t, err, c.err)
				wantEqual(t, *calls, c.want)
				if wrote := len(s.Writes()) == 1; r.Written != (c.err == nil) || wrote != r.Written || r.Gap != 0 {
					t.Errorf("written %v, by the device %v, gap %s", r.Written, wrote, r.Gap)
				}
			})
		})
	}
}

// An order may take five seconds: a management API that is slow, and answers each
// call, gets its writes.
func TestAWriteAfterAReadingNeedsNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		var calls *[]string
		c := inMemory(t, s, func(o *ptaf.Options) {
			calls = order(o.HTTP.Transport.(*transport), func(*http.Request) { time.Sleep(1600 * time.Millisecond) }) // virtual
		})
		v := read(t, c).Upstreams[0].Version()
		*calls = nil
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, err := c.Change(ctx, "shop-front", takeOut, ptaf.Write{Version: v})
		wantErr(t, err, context.DeadlineExceeded) // it can't be read back in time, and was written
		wantText(t, err, "written, but not read back")
		wantEqual(t, r.Written, true)
		wantEqual(t, *calls, []string{"GET /upstreams/shop", "GET /upstreams/shop", "PATCH /upstreams/shop", "GET /upstreams/shop"})
		wantEqual(t, downs(read(t, c), "shop-front"), "++-")
	})
}

// What a name stood for in the last reading it need not stand for now.
func TestANameIsLookedUpAnewWhenItsObjectIsAnother(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*ptaftest.Sim)
		want error
	}{
		"renamed": {func(s *ptaftest.Sim) { s.Touch("shop-front", func(u *ptaftest.Upstream) { u.Name = "old" }) }, ptaf.ErrNoUpstream},
		"gone":    {func(s *ptaftest.Sim) { s.Remove("shop-front") }, ptaf.ErrNoUpstream},
		"renamed, and another named so": {func(s *ptaftest.Sim) {
			s.Touch("shop-front", func(u *ptaftest.Upstream) { u.Name = "old" })
			s.Touch("billing", func(u *ptaftest.Upstream) { u.Name = "shop-front" })
		}, edge.ErrChanged},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim()
			o, _ := options(t, s.Start(t))
			client := newClient(t, o)
			v := read(t, client).Upstreams[0].Version()
			c.edit(s)
			down := map[string]bool{"198.51.100.5:80": true}
			if name != "renamed, and another named so" {
				down = takeOut
			}
			r, err := client.Change(t.Context(), "shop-front", down, ptaf.Write{Version: v})
			wantErr(t, err, c.want)
			if r.Written || len(s.Writes()) > 0 {
				t.Errorf("written %v", r.Written)
			}
		})
	}
}

// I10: a connection that breaks after it was made is no answer, and 408 is no no.
func TestAWriteThatMayHaveComeThroughIsNotCalledUnsent(t *testing.T) {
	for name, how := range map[string]http.HandlerFunc{
		"the connection is reset": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(conn.(*net.TCPConn).SetLinger(0), conn.Close()); err != nil {
				t.Error(err)
			}
		},
		"408": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestTimeout) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim()
			o, _ := options(t, "http://"+serve.Handler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPatch {
					how(w, r)
					return
				}
				s.ServeHTTP(w, r)
			}), nil)+ptaftest.Base)
			r, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
			wantText(t, err, "PATCH")
			wantEqual(t, r.Written, true)
		})
	}
}

// slowToConnect takes a second for each write's connection.
type slowToConnect struct{ next http.RoundTripper }

func (s slowToConnect) RoundTrip(r *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && r.Method == http.MethodPatch {
		time.Sleep(time.Second) // virtual
		trace.GotConn(httptrace.GotConnInfo{})
	}
	return s.next.RoundTrip(r)
}

func TestTheGapLastsUntilThereIsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inMemory(t, newSim(), func(o *ptaf.Options) { o.HTTP.Transport = slowToConnect{o.HTTP.Transport} })
		r, err := c.Change(t.Context(), "shop-front", takeOut, ptaf.Write{})
		wantErr(t, err, nil)
		wantEqual(t, r.Gap, time.Second)
	})
}

func TestWhoKeepsTheObjectMayDoAsTheyLike(t *testing.T) {
	s := newSim()
	o, _ := options(t, s.Start(t))
	before := s.Object("shop-front")
	r, err := newClient(t, o).Change(t.Context(), "shop-front", takeOut, ptaf.Write{Save: func(object []byte) error {
		clear(object)
		return nil
	}})
	wantErr(t, err, nil)
	wantEqual(t, string(r.Before), string(before))
}
