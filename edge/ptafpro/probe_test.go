package ptafpro_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-project/sluice/edge/ptafpro"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

func wantReadOnly(t *testing.T, r ptafpro.Reading, words string) {
	t.Helper()
	if words == "" && r.ReadOnly != "" || !strings.Contains(r.ReadOnly, words) || r.Snapshot("waf").ReadOnly != r.ReadOnly {
		t.Fatalf("read-only is %q, want %q", r.ReadOnly, words)
	}
}

func TestTheProbeWritesOnceWhatABackendHas(t *testing.T) {
	sim := ptafprotest.New(world())
	c := dial(t, sim, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if r, err := c.Read(t.Context()); err != nil || r.ReadOnly != "" {
				t.Errorf("%q, %v", r.ReadOnly, err)
			}
		})
	}
	wg.Wait()
	w := sim.Writes()
	if len(w) != 1 || string(w[0].Body) != `{"enabled":true}` || !strings.HasSuffix(w[0].ID, "1") {
		t.Errorf("writes %s", bodies(sim, 0))
	}
}

func TestTheProbeKeepsToTheSelectedProfiles(t *testing.T) {
	o := world()
	o.Profiles = append(o.Profiles, ptafprotest.Profile{Name: "zoo", Backends: []ptafprotest.Entry{{Backend: three}}})
	sim := ptafprotest.New(o)
	wantReadOnly(t, read(t, dial(t, sim, func(o *ptafpro.Options) { o.Profiles = []string{"zoo"} })), "")
	if w := sim.Writes(); len(w) != 1 || string(w[0].Body) != `{"enabled":false}` || !strings.HasSuffix(w[0].ID, "3") {
		t.Errorf("writes %s", bodies(sim, 0))
	}
	wantReadOnly(t, read(t, dial(t, sim, func(o *ptafpro.Options) { o.Profiles = []string{"empty"} })), "shows whether it is enabled")
	if len(sim.Writes()) != 1 {
		t.Error("a backend of nobody's was written")
	}
}

func TestABackendThatNoTrafficComesToIsNotProbed(t *testing.T) {
	o := world()
	o.Backends = append(o.Backends, ptafprotest.Backend{Address: "192.0.2.1", Port: 80}) // the first by its name, in no profile
	sim := ptafprotest.New(o)
	if r := read(t, dial(t, sim, nil)); r.ReadOnly != "" || len(r.Backends) != 5 {
		t.Errorf("%+v", r)
	}
	if w := sim.Writes(); len(w) != 1 || w[0].ID != "0f5b2a4e-0000-4000-8000-000000000001" {
		t.Errorf("probed %+v", w)
	}
}

func TestWhoIsNotAskedToActNeverWrites(t *testing.T) {
	sim := ptafprotest.New(world())
	c := dial(t, sim, looksOnly)
	r := read(t, c)
	wantReadOnly(t, r, "not asked to act")
	_, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", one), false, ptafpro.Write{})
	wantErr(t, err, ptafpro.ErrReadOnly)
	id, _ := r.Application(member("public-443", "application:shop"))
	_, err = c.SetProtectionMode(t.Context(), id, ptafpro.Passive, ptafpro.Write{})
	wantErr(t, err, ptafpro.ErrReadOnly)
	if len(sim.Writes()) != 0 {
		t.Errorf("writes %s", bodies(sim, 0))
	}
}

func TestWhereEnabledCannotBeWrittenNothingIsForTenMinutes(t *testing.T) {
	for name, c := range map[string]struct {
		make  func(*ptafprotest.Sim)
		words string
	}{
		"the field is read-only": {func(s *ptafprotest.Sim) { s.AllowEnabled(false) }, "HTTP status 422: Validation error, enabled: unknown_field"},
		"the right is missing":   {func(s *ptafprotest.Sim) { s.MisbehaveOnWrites(ptafprotest.Forbidden, -1) }, "configuration.backends.update"},
		"there is no such call":  {func(s *ptafprotest.Sim) { s.MisbehaveOnWrites(ptafprotest.NotFound, -1) }, "HTTP status 404"},
		"whatever it says":       {func(s *ptafprotest.Sim) { s.MisbehaveOnWrites(ptafprotest.ErrorShapes, -1) }, "HTTP status 400"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := ptafprotest.New(world())
				c.make(sim)
				client := dial(t, sim, nil)
				r := read(t, client)
				id := backendID(t, r, "public-443", one)
				for range 9 {
					wantReadOnly(t, read(t, client), c.words)
					_, err := client.SetEnabled(t.Context(), id, false, ptafpro.Write{})
					wantErr(t, err, ptafpro.ErrReadOnly)
					time.Sleep(time.Minute)
				}
				if len(sim.Writes()) != 1 {
					t.Errorf("writes %s", bodies(sim, 0))
				}
				sim.Behave()
				sim.AllowEnabled(true)
				wantReadOnly(t, read(t, client), c.words) // not asked yet
				time.Sleep(time.Minute + time.Second)
				wantReadOnly(t, read(t, client), "")
				if len(sim.Writes()) != 2 {
					t.Errorf("writes %s", bodies(sim, 0))
				}
			})
		})
	}
}

func TestAProbeWithoutAnAnswerIsNoYesAndIsMadeAgainAMinuteLater(t *testing.T) {
	for _, f := range []ptafprotest.Fault{ptafprotest.Error500Once, ptafprotest.RateLimited, ptafprotest.Hang, ptafprotest.ConcurrentEdit} {
		t.Run(f.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := ptafprotest.New(world())
				sim.MisbehaveOnWrites(f, 1)
				c := dial(t, sim, nil)
				wantReadOnly(t, read(t, c), "isn't known")
				time.Sleep(50 * time.Second)
				wantReadOnly(t, read(t, c), "isn't known")
				time.Sleep(11 * time.Second)
				wantReadOnly(t, read(t, c), "")
				if len(sim.Writes()) != 2 {
					t.Errorf("writes %s", bodies(sim, 0))
				}
			})
		})
	}
}

func TestARefusedWriteAsksAgainWhetherWritesAreTaken(t *testing.T) {
	sim := ptafprotest.New(world())
	c, r := ready(t, sim)
	sim.AllowEnabled(false) // somebody took the right away
	_, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", one), false, ptafpro.Write{})
	if err == nil {
		t.Fatal("no error")
	}
	wantReadOnly(t, read(t, c), "can't be written")
}

func TestADeviceThatDoesNotShowEnabledIsReadOnly(t *testing.T) {
	o := world()
	o.NoEnabled = true
	sim := ptafprotest.New(o)
	c := dial(t, sim, nil)
	r := read(t, c)
	wantReadOnly(t, r, "shows whether it is enabled")
	_, err := c.SetEnabled(t.Context(), backendID(t, r, "public-443", one), false, ptafpro.Write{})
	wantErr(t, err, ptafpro.ErrReadOnly)
	if len(sim.Writes()) != 0 {
		t.Errorf("writes %s", bodies(sim, 0))
	}
}
