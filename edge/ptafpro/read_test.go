package ptafpro_test

import (
	"encoding/json"
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

// alike compares readings by what they tell.
var alike = []cmp.Option{
	cmpopts.IgnoreFields(ptafpro.Reading{}, "At"),
	cmpopts.IgnoreUnexported(ptafpro.Reading{}, ptafpro.Backend{}, ptafpro.Profile{}, ptafpro.Application{}),
}

func TestAReadingHasProfilesBackendsAndApplications(t *testing.T) {
	const (
		b1, b2, b3, b4 = "0f5b2a4e-0000-4000-8000-000000000001", "0f5b2a4e-0000-4000-8000-000000000002", "0f5b2a4e-0000-4000-8000-000000000003", "0f5b2a4e-0000-4000-8000-000000000004"
		public, other  = "0f5b2a4e-0000-4000-8000-0000000a0001", "0f5b2a4e-0000-4000-8000-0000000a0002"
	)
	sim := ptafprotest.New(world())
	got := read(t, dial(t, sim, looksOnly))
	versions := got.Versions
	got.Versions = nil
	want := ptafpro.Reading{
		Tenant: ptafprotest.DefaultTenant,
		Backends: []ptafpro.Backend{
			{ID: b1, Name: one, Address: "192.0.2.21", Port: 8443, Protocol: "HTTPS", Enabled: edge.Yes, Profiles: []string{public, other}},
			{ID: b2, Name: two, Address: "192.0.2.22", Port: 8443, Protocol: "HTTPS", Enabled: edge.Yes, Profiles: []string{public}},
			{ID: b3, Name: three, Address: "192.0.2.23", Port: 8443, Protocol: "HTTPS", Enabled: edge.No, Profiles: []string{public}},
			{ID: b4, Name: "[2001:db8::9]:80", Address: "2001:db8::9", Port: 80, Protocol: "HTTP", Enabled: edge.Yes},
		},
		Profiles: []ptafpro.Profile{
			{ID: "0f5b2a4e-0000-4000-8000-0000000a0003", Name: "empty", Balancer: "INTERNAL_BALANCER", ListenPort: 443, Protocol: "HTTPS"},
			{ID: other, Name: "partners", Balancer: "EXTERNAL_BALANCER", ListenPort: 8443, Protocol: "HTTPS", Backends: []ptafpro.Entry{{ID: b1}}},
			{
				ID: public, Name: "public-443", Balancer: "STATIC_BALANCER", ListenPort: 443, Protocol: "HTTPS",
				Backends: []ptafpro.Entry{{ID: b1, Weight: ptr(3), MaxFails: ptr(1)}, {ID: b2}, {ID: b3}},
			},
		},
		Applications: []ptafpro.Application{
			{ID: "0f5b2a4e-0000-4000-8000-0000000c0002", Name: "blog", ProtectionMode: ptafpro.ActiveDetection, Hosts: []string{"blog.example.com"}, Profiles: []string{public}},
			{ID: "0f5b2a4e-0000-4000-8000-0000000c0001", Name: "shop", ProtectionMode: ptafpro.ActivePrevention, Hosts: []string{"shop.example.com"}, Profiles: []string{public, other}},
		},
		Refused:  map[string]string{},
		ReadOnly: "not asked to act",
	}
	if d := cmp.Diff(want, got, append(alike, cmpopts.EquateEmpty())...); d != "" {
		t.Errorf("reading (-want +got):\n%s", d)
	}
	if len(versions) != 3 {
		t.Errorf("versions %v", versions)
	}
	if len(sim.Writes()) > 0 {
		t.Error("nobody asked for a write")
	}
}

func TestAReadingIsTheSameWhateverTheShapeOfLists(t *testing.T) {
	want := read(t, dial(t, ptafprotest.New(world()), looksOnly))
	for _, faults := range [][]ptafprotest.Fault{
		{ptafprotest.BareLists},
		{ptafprotest.ThinLists},
		{ptafprotest.BareLists, ptafprotest.ThinLists},
		{ptafprotest.ExtraFields},
		{ptafprotest.ListsOnly},
		{ptafprotest.StringBooleans},
		{ptafprotest.Slow},
	} {
		t.Run(fmt.Sprint(faults), func(t *testing.T) {
			sim := ptafprotest.New(world())
			for _, f := range faults {
				times := -1
				if f == ptafprotest.Slow {
					times = 1
				}
				sim.Misbehave(f, times)
			}
			if d := cmp.Diff(want, read(t, dial(t, sim, looksOnly)), alike...); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	t.Run("reversed", func(t *testing.T) {
		sim := ptafprotest.New(world())
		sim.Reverse()
		if d := cmp.Diff(want, read(t, dial(t, sim, looksOnly)), alike...); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestAListThatIsThinEvenByIDStillTellsWhoIsInAPool(t *testing.T) {
	o := world()
	sim := ptafprotest.New(o)
	hidden := tap(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "/traffic_profiles/") {
			r.URL.Path = "/nowhere"
		}
		return wire{sim}.RoundTrip(r)
	})
	sim.Misbehave(ptafprotest.ThinLists, -1)
	r := read(t, dial(t, sim, func(o *ptafpro.Options) { o.HTTP, o.Write = &http.Client{Transport: hidden}, false }))
	got := members(r.Snapshot("waf").States)
	if d := cmp.Diff([]string{"partners/" + one, "public-443/" + one, "public-443/" + two, "public-443/" + three}, got); d != "" {
		t.Errorf("members (-want +got):\n%s", d)
	}
}

func members(states map[edge.Member]edge.State) (out []string) {
	for m := range states {
		out = append(out, m.Pool+"/"+m.Name)
	}
	slices.Sort(out)
	return out
}

func TestProfilesAreSelectedByNameOrID(t *testing.T) {
	sim := ptafprotest.New(world())
	r := read(t, dial(t, sim, func(o *ptafpro.Options) {
		o.Profiles = []string{"partners", "0f5b2a4e-0000-4000-8000-0000000a0003", "nope"}
	}))
	s := r.Snapshot("waf")
	if d := cmp.Diff([]string{"partners/" + one}, members(s.States)); d != "" {
		t.Errorf("members (-want +got):\n%s", d)
	}
	if len(r.Versions) != 2 || len(r.Backends) != 1 || len(r.Applications) != 1 {
		t.Errorf("%d versions, %d backends, %d applications", len(r.Versions), len(r.Backends), len(r.Applications))
	}
	if d := cmp.Diff(map[string]string{"nope": "the tenant has no such traffic profile"}, r.Refused); d != "" {
		t.Error(d)
	}
	// Whoever acts on the one pool must know that the other one's member moves too.
	if d := cmp.Diff([]edge.Member{member("public-443", one)}, s.Along[member("partners", one)]); d != "" {
		t.Errorf("along (-want +got):\n%s", d)
	}
}

func TestAProfileNameThatOccursTwiceIsAnErrorOfThatPoolOnly(t *testing.T) {
	o := world()
	o.Profiles = append(o.Profiles, ptafprotest.Profile{Name: "partners", Backends: []ptafprotest.Entry{{Backend: two}}})
	o.Applications = append(o.Applications, ptafprotest.Application{Name: "blog", Profiles: []string{"public-443"}})
	r := read(t, dial(t, ptafprotest.New(o), looksOnly))
	s := r.Snapshot("waf")
	if d := cmp.Diff([]string{"public-443/" + one, "public-443/" + two, "public-443/" + three}, members(s.States)); d != "" {
		t.Errorf("members (-want +got):\n%s", d)
	}
	if !strings.Contains(r.Refused["partners"], "2 traffic profiles") || !strings.Contains(r.Refused["application:blog"], "rename") {
		t.Errorf("refused %v", r.Refused)
	}
	if d := cmp.Diff([]string{"public-443/application:shop"}, members(s.Switches)); d != "" {
		t.Errorf("switches (-want +got):\n%s", d)
	}
	if _, ok := r.Application(member("public-443", "application:blog")); ok {
		t.Error("nobody can say which blog is meant")
	}
}

func TestASnapshotHasTheSharedWords(t *testing.T) {
	r := read(t, dial(t, ptafprotest.New(world()), nil))
	got := r.Snapshot("waf")
	st := func(pool, name string, s edge.State) edge.State {
		s.Member, s.OnOff = member(pool, name), !strings.HasPrefix(name, "application:")
		if s.OnOff {
			s.Address = name
		}
		return s
	}
	want := edge.Snapshot{
		Device: "waf", At: r.At, Versions: r.Versions,
		States: map[edge.Member]edge.State{
			member("public-443", one):   st("public-443", one, edge.State{Serving: true, Weight: 3, Share: 3}),
			member("public-443", two):   st("public-443", two, edge.State{Serving: true, Weight: 1, Share: 1}),
			member("public-443", three): st("public-443", three, edge.State{Admin: edge.Maint, Marks: "DOWN", Weight: 1, Share: 1}),
			member("partners", one):     st("partners", one, edge.State{Serving: true, Weight: 1, Share: 1}),
		},
		Switches: map[edge.Member]edge.State{
			member("public-443", "application:shop"): st("public-443", "application:shop", edge.State{Marks: "ACTIVE_PREVENTION"}),
			member("public-443", "application:blog"): st("public-443", "application:blog", edge.State{Marks: "ACTIVE_DETECTION"}),
			member("partners", "application:shop"):   st("partners", "application:shop", edge.State{Marks: "ACTIVE_PREVENTION"}),
		},
		Along: map[edge.Member][]edge.Member{
			member("public-443", one):                {member("partners", one)},
			member("partners", one):                  {member("public-443", one)},
			member("public-443", "application:shop"): {member("partners", "application:shop")},
			member("partners", "application:shop"):   {member("public-443", "application:shop")},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("snapshot (-want +got):\n%s", d)
	}
	for m := range got.States {
		if _, ok := r.Backend(m); !ok {
			t.Errorf("no backend behind %s", m)
		}
	}
	for m := range got.Switches {
		if _, ok := r.Application(m); !ok {
			t.Errorf("no application behind %s", m)
		}
	}
	if _, ok := r.Backend(member("partners", two)); ok {
		t.Error("a backend of another pool was found")
	}
}

// A profile may list a backend a second time: it is one member, which moves along
// with each other pool once.
func TestABackendThatAProfileListsTwiceIsOneMember(t *testing.T) {
	o := world()
	o.Profiles[1].Backends = append(o.Profiles[1].Backends, ptafprotest.Entry{Backend: one, Weight: ptr(9)})
	s := read(t, dial(t, ptafprotest.New(o), looksOnly)).Snapshot("waf")
	if st := s.States[member("partners", one)]; st.Share != 1 {
		t.Errorf("%+v", st) // the first entry counts
	}
	if d := cmp.Diff([]edge.Member{member("public-443", one)}, s.Along[member("partners", one)]); d != "" {
		t.Error(d)
	}
}

func TestTwinsAreNumberedByTheirIDsWhateverTheOrder(t *testing.T) {
	o := world()
	o.Backends = append(o.Backends, ptafprotest.Backend{Address: "192.0.2.21", Port: 8443, Protocol: "HTTP"})
	o.Profiles[1].Backends = append(o.Profiles[1].Backends, ptafprotest.Entry{Backend: "0f5b2a4e-0000-4000-8000-000000000005"})
	sim := ptafprotest.New(o)
	c := dial(t, sim, looksOnly)
	for range 2 {
		r := read(t, c)
		if id := backendID(t, r, "partners", one+"#2"); !strings.HasSuffix(id, "5") {
			t.Errorf("the twin is %s", id)
		}
		if id := backendID(t, r, "public-443", one); !strings.HasSuffix(id, "1") {
			t.Errorf("the first is %s", id)
		}
		s := r.Snapshot("waf")
		if st := s.States[member("partners", one+"#2")]; st.Address != one {
			t.Errorf("the twin's address is %q", st.Address)
		}
		if len(s.Along[member("partners", one+"#2")]) != 0 || len(s.Along[member("partners", one)]) != 1 {
			t.Errorf("along %v", s.Along)
		}
		sim.Reverse()
	}
}

func TestWhatOneObjectLacksIsNoErrorOfTheOthers(t *testing.T) {
	sim := ptafprotest.New(world())
	sim.Set("backend", three, "enabled", "perhaps")
	sim.Set("backend", two, "port", nil)
	sim.Set("profile", "partners", "backends", []any{map[string]any{"weight": 1}})
	sim.Set("application", "shop", "name", "")
	r := read(t, dial(t, sim, looksOnly))
	s := r.Snapshot("waf")
	if d := cmp.Diff([]string{"public-443/" + one, "public-443/" + three}, members(s.States)); d != "" {
		t.Errorf("members (-want +got):\n%s", d)
	}
	if st := s.States[member("public-443", three)]; st.Admin != edge.Ready || !st.Serving {
		t.Errorf("a backend that doesn't say whether it is out: %+v", st)
	}
	if len(r.Refused) != 3 {
		t.Errorf("refused %v", r.Refused)
	}
}

func TestApplicationsThatMayNotBeSeenAreLeftOut(t *testing.T) {
	sim := ptafprotest.New(world())
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		r := read(t, dial(t, sim, func(o *ptafpro.Options) {
			o.HTTP = &http.Client{Transport: &parrot{next: wire{sim}, status: status, on: "/config/applications", kind: "no"}}
		}))
		if len(r.Profiles) != 3 || len(r.Applications) != 0 || r.Refused["applications"] == "" {
			t.Errorf("%d: %d profiles, %d applications, refused %v", status, len(r.Profiles), len(r.Applications), r.Refused)
		}
	}
}

func TestWhatGoesWrongIsOneLineWithTheWordsThatHelp(t *testing.T) {
	for _, c := range []struct {
		fault ptafprotest.Fault
		want  error
		words string
	}{
		{ptafprotest.Unauthorized, ptafpro.ErrCredentials, "HTTP status 401: InvalidToken, Token is invalid"},
		{ptafprotest.NotFound, ptafpro.ErrNotFound, "reference_not_exist"},
		{ptafprotest.HTMLPage, ptafpro.ErrAnswer, `"Sign in Sign in": not what the API answers: check the URL`},
		{ptafprotest.EmptyBody, ptafpro.ErrAnswer, "an empty answer"},
		{ptafprotest.ErrorShapes, nil, "this can't be done"},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			sim := ptafprotest.New(world())
			client := dial(t, sim, nil)
			read(t, client)
			sim.Misbehave(c.fault, -1)
			for range 7 {
				_, err := client.Read(t.Context())
				if err == nil {
					t.Fatal("no error")
				}
				if c.want != nil {
					wantErr(t, err, c.want)
				}
				if text := err.Error(); !strings.Contains(text, c.words) || strings.ContainsAny(text, "\n<{") {
					t.Errorf("the error is %q", text)
				}
				wantSecret(t, sim, err.Error())
			}
			sim.Behave()
			read(t, client)
		})
	}
}

func TestReadsAreTriedAgainAfterWhatPasses(t *testing.T) {
	for _, f := range []ptafprotest.Fault{ptafprotest.Error500Once, ptafprotest.RateLimited} {
		sim := ptafprotest.New(world())
		sim.Misbehave(f, -1)
		read(t, dial(t, sim, looksOnly))
		sim.Misbehave(f, -1)
		_, err := dial(t, sim, func(o *ptafpro.Options) { o.Retries = -1 }).Read(t.Context())
		if err == nil {
			t.Errorf("%s: there was to be one try", f)
		}
	}
	sim := ptafprotest.New(world())
	c := dial(t, sim, func(o *ptafpro.Options) { o.URL, o.HTTP = sim.Start(t), nil })
	sim.Misbehave(ptafprotest.CutBody, 1)
	read(t, c)
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// I2
// Clients that failed together don't come back together.
func TestTriesArePartedByChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 20 {
			sim := ptafprotest.New(world())
			c := dial(t, sim, looksOnly)
			read(t, c)
			sim.Misbehave(ptafprotest.RateLimited, 1)
			start := time.Now()
			read(t, c)
			wait := time.Since(start)
			if wait < 100*time.Millisecond || wait > 300*time.Millisecond {
				t.Errorf("waited %s", wait)
			}
			waits[wait] = true
		}
		if len(waits) < 5 {
			t.Errorf("20 clients waited %v", waits)
		}
	})
}

func TestAListIsNotEmptyBecauseItIsMissing(t *testing.T) {
	for _, body := range []string{`{}`, `{"items": null}`, `{"items": {}}`, `null`, `"x"`, `7`, `{"message": "gone"}`, `[`, `[1]`, `[{}]`} {
		if b, _, err := ptafpro.ParseBackends([]byte(body)); err == nil {
			t.Errorf("%s is %d backends", body, len(b))
		}
	}
	for _, body := range []string{`[]`, `{"items": []}`, ` {"items":[ ]} `} {
		if b, _, err := ptafpro.ParseBackends([]byte(body)); err != nil || len(b) != 0 {
			t.Errorf("%s: %d backends, %v", body, len(b), err)
		}
	}
}

func TestGetGivesAnObjectByteForByte(t *testing.T) {
	sim := ptafprotest.New(world())
	sim.Misbehave(ptafprotest.ExtraFields, -1)
	c := dial(t, sim, nil)
	for _, o := range []struct{ kind, name string }{
		{ptafpro.KindBackend, one},
		{ptafpro.KindBackend, "0f5b2a4e-0000-4000-8000-000000000002"},
		{ptafpro.KindApplication, "shop"},
		{ptafpro.KindProfile, "public-443"},
	} {
		got, err := c.Get(t.Context(), o.kind, o.name)
		if err != nil {
			t.Fatal(err)
		}
		if want := sim.Object(o.kind, o.name); string(got.Raw) != string(want) || !json.Valid(want) {
			t.Errorf("%s %s is\n%s\nwant\n%s", o.kind, o.name, got.Raw, want)
		}
	}
	_, err := c.Get(t.Context(), ptafpro.KindProfile, "nope")
	wantErr(t, err, ptafpro.ErrNotFound)
	if _, err := c.Get(t.Context(), "policy", "x"); err == nil {
		t.Error("there is no such kind")
	}
}
