package ptafpro_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptafpro"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

// bodies are the writes that came, after the probe if there was one.
func bodies(sim *ptafprotest.Sim, from int) (out []string) {
	for _, w := range sim.Writes()[from:] {
		out = append(out, fmt.Sprintf("%s %s %d", w.Kind, w.Body, w.Status))
	}
	return out
}

// ready makes a client that has read, with a probe behind it.
func ready(t *testing.T, sim *ptafprotest.Sim) (*ptafpro.Client, ptafpro.Reading) {
	t.Helper()
	c := dial(t, sim, func(o *ptafpro.Options) { o.Timeout, o.Retries = time.Second, -1 })
	r := read(t, c)
	if r.ReadOnly != "" {
		t.Fatal(r.ReadOnly)
	}
	return c, r
}

// I12
func TestABackendIsTakenOutAndGivenBack(t *testing.T) {
	sim := ptafprotest.New(world())
	sim.Misbehave(ptafprotest.ExtraFields, -1)
	c, r := ready(t, sim)
	id, before := backendID(t, r, "public-443", one), sim.Object("backend", one)
	for _, enabled := range []bool{false, true} {
		r = read(t, c)
		asRead := sim.Object("backend", one)
		var saved []byte
		receipt, err := c.SetEnabled(t.Context(), id, enabled, ptafpro.Write{
			Version: r.Versions["public-443"],
			Save:    func(o []byte) error { saved = o; return nil },
		})
		if err != nil || !receipt.Written {
			t.Fatalf("%+v, %v", receipt, err)
		}
		if string(saved) != string(asRead) || string(receipt.Before) != string(asRead) || string(receipt.After) != string(sim.Object("backend", one)) {
			t.Errorf("saved %s\nbefore %s\nafter %s", saved, receipt.Before, receipt.After)
		}
		for _, pool := range []string{"public-443", "partners"} { // it is one object
			if st := read(t, c).Snapshot("waf").States[member(pool, one)]; st.Is(edge.Ready) != enabled || st.Serving != enabled {
				t.Errorf("%+v", st)
			}
		}
	}
	if string(sim.Object("backend", one)) != string(before) {
		t.Errorf("out and back it is\n%s\nit was\n%s", sim.Object("backend", one), before)
	}
	if d := cmp.Diff([]string{`backend {"enabled":false} 200`, `backend {"enabled":true} 200`}, bodies(sim, 1)); d != "" {
		t.Errorf("writes (-want +got):\n%s", d)
	}
}

// I8, I12
func TestProtectionModeGoesThereAndBack(t *testing.T) {
	sim := ptafprotest.New(world())
	sim.Misbehave(ptafprotest.EmptyWriteAnswer, -1)
	c, r := ready(t, sim)
	m := member("public-443", "application:shop")
	id, ok := r.Application(m)
	if !ok {
		t.Fatal("no such application")
	}
	before := sim.Object("application", "shop")
	for _, mode := range []string{ptafpro.Passive, ptafpro.ActivePrevention} {
		r = read(t, c)
		if _, err := c.SetProtectionMode(t.Context(), id, mode, ptafpro.Write{Version: r.Versions["public-443"]}); err != nil {
			t.Fatal(err)
		}
		if st, _ := read(t, c).Snapshot("waf").State(m); st.Marks != mode || st.Serving {
			t.Errorf("%+v", st)
		}
	}
	if string(sim.Object("application", "shop")) != string(before) {
		t.Errorf("there and back it is %s", sim.Object("application", "shop"))
	}
	if d := cmp.Diff([]string{`application {"protection_mode":"PASSIVE"} 204`, `application {"protection_mode":"ACTIVE_PREVENTION"} 204`}, bodies(sim, 1)); d != "" {
		t.Errorf("writes (-want +got):\n%s", d)
	}
	for _, wrong := range []string{"", "passive", "PASSIVE\n", strings.Repeat("A", 99)} {
		if _, err := c.SetProtectionMode(t.Context(), id, wrong, ptafpro.Write{}); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func TestAModeThatIsNoneIsNotSent(t *testing.T) {
	sim := ptafprotest.New(world())
	c, r := ready(t, sim)
	shop, _ := r.Application(member("partners", "application:shop"))
	for _, mode := range []string{"", "passive", "PASSIVE ", "PASSIVE\n", "PASSIVE\"", strings.Repeat("A", 65)} {
		receipt, err := c.SetProtectionMode(t.Context(), shop, mode, ptafpro.Write{})
		if err == nil || receipt.Written || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v, %v", mode, receipt, err)
		}
	}
	if len(sim.Writes()) != 1 { // the probe
		t.Errorf("writes %v", bodies(sim, 1))
	}
}

func TestWhatIsAsWantedIsNotWritten(t *testing.T) {
	sim := ptafprotest.New(world())
	c, r := ready(t, sim)
	saves := 0
	w := ptafpro.Write{Version: "whatever", Save: func([]byte) error { saves++; return nil }}
	receipt, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", three), false, w)
	if err != nil || receipt.Written || saves > 0 || len(sim.Writes()) != 1 {
		t.Errorf("%+v, %v, %d saves, writes %v", receipt, err, saves, bodies(sim, 1))
	}
}

// I7
func TestAPoolThatChangedSinceTheDecisionIsNotWritten(t *testing.T) {
	for name, edit := range map[string]func(*ptafprotest.Sim){
		"the backend itself":       func(s *ptafprotest.Sim) { s.Set("backend", two, "protocol", "HTTP") },
		"another backend of it":    func(s *ptafprotest.Sim) { s.Edit(one, false) },
		"the profile":              func(s *ptafprotest.Sim) { s.Set("profile", "public-443", "backends", []any{}) },
		"an application on it":     func(s *ptafprotest.Sim) { s.SetMode("blog", "PASSIVE") },
		"the profile's place":      func(s *ptafprotest.Sim) { s.Remove("profile", "public-443") },
		"a backend, which is gone": func(s *ptafprotest.Sim) { s.Remove("backend", one) },
		"a weight": func(s *ptafprotest.Sim) {
			s.Set("profile", "public-443", "backends", []any{map[string]any{"id": "x", "weight": 2}})
		},
		"who shares a backend of it": func(s *ptafprotest.Sim) { s.Set("profile", "partners", "backends", []any{}) },
	} {
		t.Run(name, func(t *testing.T) {
			sim := ptafprotest.New(world())
			c, r := ready(t, sim)
			id := backendID(t, r, "public-443", two)
			edit(sim)
			receipt, err := c.SetEnabled(t.Context(), id, false, ptafpro.Write{Version: r.Versions["public-443"]})
			wantErr(t, err, edge.ErrChanged)
			if receipt.Written || len(sim.Writes()) != 1 {
				t.Errorf("%+v, writes %v", receipt, bodies(sim, 1))
			}
			r, err = c.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if v := r.Versions["public-443"]; v != "" { // planned again
				if _, err := c.SetEnabled(t.Context(), id, false, ptafpro.Write{Version: v}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestAChangeInAnotherPoolIsNoHindrance(t *testing.T) {
	for _, thin := range []bool{false, true} {
		sim := ptafprotest.New(world())
		if thin {
			sim.Misbehave(ptafprotest.ThinLists, -1)
		}
		c, r := ready(t, sim)
		sim.Set("profile", "empty", "name", "renamed")
		sim.Edit("[2001:db8::9]:80", false)
		sim.Misbehave(ptafprotest.ExtraFields, -1) // nobody knows them, nobody can lose them
		sim.Reverse()
		if _, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", two), false, ptafpro.Write{Version: r.Versions["public-443"]}); err != nil {
			t.Error(err)
		}
	}
}

func TestAVersionOfAnotherKindIsRefused(t *testing.T) {
	sim := ptafprotest.New(world())
	c, r := ready(t, sim)
	_, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", two), false, ptafpro.Write{Version: "0123456789abcdef"})
	if err == nil || len(sim.Writes()) != 1 {
		t.Errorf("error %v, writes %v", err, bodies(sim, 1))
	}
}

// I7
func TestAnEditBetweenTheTwoLooksStopsTheWrite(t *testing.T) {
	sim := ptafprotest.New(world())
	c, r := ready(t, sim)
	shop, _ := r.Application(member("partners", "application:shop"))
	for name, set := range map[string]func() (edge.Receipt, error){
		"backend": func() (edge.Receipt, error) {
			return c.SetEnabled(t.Context(), backendID(t, r, "public-443", two), false, ptafpro.Write{})
		},
		"application": func() (edge.Receipt, error) {
			return c.SetProtectionMode(t.Context(), shop, ptafpro.Passive, ptafpro.Write{})
		},
	} {
		sim.Misbehave(ptafprotest.EditBetweenGets, 1)
		receipt, err := set()
		wantErr(t, err, edge.ErrChanged)
		if receipt.Written || len(sim.Writes()) != 1 {
			t.Errorf("%s: %+v, writes %v", name, receipt, bodies(sim, 1))
		}
	}
}

// I11
func TestWhatCannotBeSavedIsNotWritten(t *testing.T) {
	sim := ptafprotest.New(world())
	c, r := ready(t, sim)
	full := errors.New("no space left on device")
	_, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", two), false, ptafpro.Write{Save: func([]byte) error { return full }})
	wantErr(t, err, full)
	if len(sim.Writes()) != 1 {
		t.Errorf("writes %v", bodies(sim, 1))
	}
}

// I17: what stops a step is asked about behind both looks.
func TestTheLastWordIsAskedRightBeforeTheWrite(t *testing.T) {
	frozen := errors.New("frozen")
	for name, set := range map[string]func(*ptafpro.Client, ptafpro.Reading, ptafpro.Write) (edge.Receipt, error){
		"backend": func(c *ptafpro.Client, r ptafpro.Reading, w ptafpro.Write) (edge.Receipt, error) {
			return c.SetEnabled(t.Context(), backendID(t, r, "public-443", two), false, w)
		},
		"application": func(c *ptafpro.Client, r ptafpro.Reading, w ptafpro.Write) (edge.Receipt, error) {
			shop, _ := r.Application(member("partners", "application:shop"))
			return c.SetProtectionMode(t.Context(), shop, ptafpro.Passive, w)
		},
	} {
		for _, c := range []struct {
			edited bool
			want   error
			said   []string
		}{
			{false, frozen, []string{"save", "last"}},
			{true, edge.ErrChanged, []string{"save"}}, // the looks come before
		} {
			sim := ptafprotest.New(world())
			client, r := ready(t, sim)
			if c.edited {
				sim.Misbehave(ptafprotest.EditBetweenGets, 1)
			}
			var said []string
			receipt, err := set(client, r, ptafpro.Write{
				Save: func([]byte) error { said = append(said, "save"); return nil },
				Last: func() error { said = append(said, "last"); return frozen },
			})
			wantErr(t, err, c.want)
			if receipt.Written || len(sim.Writes()) != 1 || !slices.Equal(said, c.said) {
				t.Errorf("%s: %+v, asked %v, writes %v", name, receipt, said, bodies(sim, 1))
			}
		}
	}
}

func TestEachFaultOfAWriteIsTold(t *testing.T) {
	for _, c := range []struct {
		fault   ptafprotest.Fault
		want    error
		words   string
		written bool // something was sent, or may have been
		done    bool // and the device did it
	}{
		{ptafprotest.Forbidden, ptafpro.ErrForbidden, "HTTP status 403: Forbidden", true, false},
		{ptafprotest.NotFound, ptafpro.ErrNotFound, "reference_not_exist", true, false},
		{ptafprotest.Unprocessable, nil, "HTTP status 422: not valid", true, false},
		{ptafprotest.Unauthorized, ptafpro.ErrCredentials, "401", false, false},
		{ptafprotest.Error500Once, nil, "HTTP status 500", true, false},
		{ptafprotest.RateLimited, nil, "HTTP status 429", true, false},
		{ptafprotest.HTMLPage, edge.ErrNotKept, "enabled is yes", true, false},
		{ptafprotest.Hang, ptafpro.ErrTimeout, "PATCH", true, false},
		{ptafprotest.CutBody, nil, "breaks off", true, true},
		{ptafprotest.NotKept, edge.ErrNotKept, "enabled is yes", true, false},
		{ptafprotest.ConcurrentEdit, edge.ErrNotKept, "it is as wanted, and port changed with it", true, true},
		{ptafprotest.ErrorShapes, nil, "HTTP status 400", true, false},
		{ptafprotest.EmptyBody, nil, "", true, true},
		{ptafprotest.EmptyWriteAnswer, nil, "", true, true},
		{ptafprotest.Slow, nil, "", true, true},
		{ptafprotest.ExpiredToken, nil, "", true, true},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			sim := ptafprotest.New(world())
			client := dial(t, sim, func(o *ptafpro.Options) {
				o.Timeout = 700 * time.Millisecond
				if c.fault == ptafprotest.CutBody { // a recorder doesn't cut
					o.URL, o.HTTP = sim.Start(t), nil
				}
			})
			defer client.Close(context.Background())
			id := backendID(t, read(t, client), "public-443", two)
			times := -1
			if c.fault == ptafprotest.ExpiredToken {
				times = 1
			}
			sim.MisbehaveOnWrites(c.fault, times)
			receipt, err := client.SetEnabled(t.Context(), id, false, ptafpro.Write{})
			sim.Behave()
			if c.want != nil {
				wantErr(t, err, c.want)
			}
			if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
				t.Errorf("error %v, want words %q", err, c.words)
			}
			if err != nil {
				wantSecret(t, sim, err.Error())
			}
			r := read(t, client)
			i := slices.IndexFunc(r.Backends, func(b ptafpro.Backend) bool { return b.ID == id })
			if done := r.Backends[i].Enabled == edge.No; done != c.done || receipt.Written != c.written {
				t.Errorf("done %v, receipt %+v", done, receipt)
			}
			sent := 0
			for _, w := range sim.Writes() {
				if string(w.Body) == `{"enabled":false}` && w.Status != http.StatusUnauthorized {
					sent++
				}
			}
			if sent > 1 {
				t.Errorf("a write was sent %d times", sent)
			}
		})
	}
}

// A device that words and orders its answers in another way is the same device: the
// decision holds, nothing counts as an edit, and what is written is a boolean.
func TestStringsAndAnotherOrderAreNoChange(t *testing.T) {
	for _, fault := range []ptafprotest.Fault{ptafprotest.StringBooleans, ptafprotest.ReorderedBackends} {
		t.Run(fault.String(), func(t *testing.T) {
			sim := ptafprotest.New(world())
			before := string(sim.Object("backend", two))
			c, plain := ready(t, sim)
			sim.Misbehave(fault, -1)
			for range 3 { // the order is another each time
				if d := cmp.Diff(plain.Snapshot("waf"), read(t, c).Snapshot("waf"), cmpopts.IgnoreFields(edge.Snapshot{}, "At")); d != "" {
					t.Errorf("another picture (-plain +now):\n%s", d)
				}
			}
			for _, on := range []bool{false, true} {
				r := read(t, c)
				_, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", two), on, ptafpro.Write{Version: r.Versions["public-443"]})
				wantErr(t, err, nil)
			}
			if got := string(sim.Object("backend", two)); got != before {
				t.Errorf("there and back: %s, was %s", got, before)
			}
			if d := cmp.Diff([]string{`backend {"enabled":false} 200`, `backend {"enabled":true} 200`}, bodies(sim, 1)); d != "" {
				t.Error(d)
			}
		})
	}
}

// I10
func TestAWriteThatCannotBeReadBackSaysSo(t *testing.T) {
	sim := ptafprotest.New(world())
	o := tap(func(r *http.Request) (*http.Response, error) {
		resp, err := wire{sim}.RoundTrip(r)
		if r.Method == http.MethodPatch && len(sim.Writes()) > 1 {
			sim.Misbehave(ptafprotest.HTMLPage, -1)
		}
		return resp, err
	})
	c := dial(t, sim, func(p *ptafpro.Options) { p.HTTP = &http.Client{Transport: o} })
	receipt, err := c.SetEnabled(t.Context(), backendID(t, read(t, c), "public-443", two), false, ptafpro.Write{})
	wantErr(t, err, ptafpro.ErrAnswer)
	if !receipt.Written || receipt.After != nil || !strings.Contains(err.Error(), "read back") {
		t.Errorf("%+v, %v", receipt, err)
	}
}

func TestTheGapBetweenLookAndWriteIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := ptafprotest.New(world())
		late := tap(func(r *http.Request) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			return wire{sim}.RoundTrip(r)
		})
		c := dial(t, sim, func(p *ptafpro.Options) { p.HTTP = &http.Client{Transport: late} })
		r := read(t, c)
		slow := func([]byte) error { time.Sleep(time.Minute); return nil } // as a disk may be
		receipt, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", two), false, ptafpro.Write{Version: r.Versions["public-443"], Save: slow})
		if err != nil || receipt.Gap != 0 {
			t.Errorf("gap %s, %v: nothing is done between the last look and the write", receipt.Gap, err)
		}
	})
}

func TestABackendThatIsNotThereIsToldSo(t *testing.T) {
	sim := ptafprotest.New(world())
	c, _ := ready(t, sim)
	_, err := c.SetEnabled(t.Context(), "0f5b2a4e-0000-4000-8000-00000000dead", false, ptafpro.Write{})
	wantErr(t, err, ptafpro.ErrNotFound)
	calls := sim.Calls()
	for _, id := range []string{"", "..", "../applications/x", "a/b", "x?y", "x\r\ny", strings.Repeat("a", 99)} {
		if _, err := c.SetEnabled(t.Context(), id, false, ptafpro.Write{}); err == nil {
			t.Errorf("id %q was taken", id)
		}
	}
	if sim.Calls() != calls {
		t.Error("a path was made of what is no id")
	}
}

func TestABackendIsWrittenWhereItCanOnlyBeListed(t *testing.T) {
	sim := ptafprotest.New(world())
	sim.Misbehave(ptafprotest.ListsOnly, -1)
	c, r := ready(t, sim)
	if receipt, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", two), false, ptafpro.Write{Version: r.Versions["public-443"]}); err != nil || !receipt.Written {
		t.Errorf("%+v, %v", receipt, err)
	}
	var b struct{ Enabled *bool }
	if err := json.Unmarshal(sim.Object("backend", two), &b); err != nil || b.Enabled == nil || *b.Enabled {
		t.Errorf("it is %s", sim.Object("backend", two))
	}
}
