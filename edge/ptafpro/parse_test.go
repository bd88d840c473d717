package ptafpro_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptafpro"
)

func TestEnabledIsReadInEveryFormAndNeverGuessed(t *testing.T) {
	for in, want := range map[string]edge.Answer{
		`true`: edge.Yes, `"true"`: edge.Yes, `"True"`: edge.Yes, `1`: edge.Yes,
		`false`: edge.No, `"False"`: edge.No, `0`: edge.No, `"0"`: edge.No,
		`null`: edge.Unknown, `"on"`: edge.Unknown, `2`: edge.Unknown, `{}`: edge.Unknown, `""`: edge.Unknown,
	} {
		b, refused, err := ptafpro.ParseBackends([]byte(`[{"id": "x", "address": "192.0.2.1", "port": "80", "ENABLED": true, "enabled": ` + in + `}]`))
		if err != nil || len(refused) > 0 || len(b) != 1 || b[0].Enabled != want || b[0].Name != "192.0.2.1:80" {
			t.Errorf("%s is %+v, want %s; %v %v", in, b, want, refused, err)
		}
	}
	if b, _, _ := ptafpro.ParseBackends([]byte(`[{"id": "x", "address": "a", "port": 80}]`)); b[0].Enabled != edge.Unknown {
		t.Error("what isn't there was read")
	}
}

func TestLinksAreReadAsIDsAndAsObjects(t *testing.T) {
	b, _, err := ptafpro.ParseBackends([]byte(`[{"id": "x", "address": "a", "port": 80, "traffic_profiles": ["p2", {"id": "p1", "name": "n"}, 7, "p2", ""]}]`))
	if err != nil || !slices.Equal(b[0].Profiles, []string{"p2", "p1"}) {
		t.Errorf("%+v, %v", b, err)
	}
	p, err := ptafpro.ParseProfile([]byte(`{"id": "p", "name": "n", "backends": ["x", {"id": "y", "weight": "5", "max_fails": null}]}`))
	if d := cmp.Diff([]ptafpro.Entry{{ID: "x"}, {ID: "y", Weight: ptr(5)}}, p.Backends); d != "" || err != nil {
		t.Errorf("(-want +got): %s %v", d, err)
	}
}

func TestAnIDThatIsListedTwiceIsNoAnswer(t *testing.T) {
	_, _, err := ptafpro.ParseBackends([]byte(`[{"id": "x", "address": "a", "port": 80}, {"id": "x", "address": "b", "port": 80}]`))
	wantErr(t, err, ptafpro.ErrAnswer)
}

func FuzzParseBackends(f *testing.F) {
	f.Add([]byte(`{"items": [{"id": "1", "address": "192.0.2.21", "port": 8443, "protocol": "HTTPS", "enabled": true, "traffic_profiles": ["a"]}]}`))
	f.Add([]byte(`[{"id": "2", "address": "::1", "port": "80", "enabled": "False"}, {"id": "1", "address": "::1", "port": 80}, {"id": "3"}]`))
	f.Add([]byte(`[{"id": "1", "address": "a\u0000b", "port": 1e1}, null]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		backends, refused, err := ptafpro.ParseBackends(in)
		if err != nil {
			if len(backends) > 0 {
				t.Error("an error and backends")
			}
			return
		}
		names := map[string]bool{}
		again := []json.RawMessage{}
		for _, b := range backends {
			if b.ID == "" || b.Address == "" || b.Port < 1 || b.Port > 65535 || names[b.Name] || strings.ContainsAny(b.Name, "\n\x00") {
				t.Errorf("%+v", b)
			}
			names[b.Name] = true
			again = append(again, b.Raw())
		}
		for name, why := range refused {
			if name == "" || why == "" {
				t.Errorf("refused %q: %q", name, why)
			}
		}
		slices.Reverse(again)
		raw, err := json.Marshal(map[string]any{"items": again})
		if err != nil {
			t.Fatal(err)
		}
		same, more, err := ptafpro.ParseBackends(raw)
		if d := cmp.Diff(backends, same, cmpopts.IgnoreUnexported(ptafpro.Backend{}), cmpopts.EquateEmpty()); d != "" || err != nil || len(more) > 0 {
			t.Errorf("in another order (-want +got):\n%s%v %v", d, more, err)
		}
	})
}

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(`{"id": "a", "name": "public-443", "balancer": {"type": "STATIC_BALANCER", "listen_port": 443, "vips": [], "protocol_options": {"type": "HTTPS"}}, "backends": [{"id": "1", "weight": 1, "max_fails": 1}]}`))
	f.Add([]byte(`{"id": "a", "name": "n", "balancer": null, "backends": ["x", {"id": "y", "weight": "-5"}]}`))
	f.Add([]byte(`{"id": "a", "name": "n", "backends": [{}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := ptafpro.ParseProfile(in)
		if err != nil {
			if p.ID != "" || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%+v, %v", p, err)
			}
			return
		}
		if p.ID == "" || p.Name == "" || p.ListenPort < 0 {
			t.Errorf("%+v", p)
		}
		for _, e := range p.Backends {
			if e.ID == "" {
				t.Errorf("an entry of nobody in %+v", p)
			}
		}
		same, err := ptafpro.ParseProfile(p.Raw())
		if d := cmp.Diff(p, same, cmpopts.IgnoreUnexported(ptafpro.Profile{})); d != "" || err != nil {
			t.Errorf("again (-want +got):\n%s%v", d, err)
		}
		r := ptafpro.Reading{Profiles: []ptafpro.Profile{p}}
		for _, e := range p.Backends {
			r.Backends = append(r.Backends, ptafpro.Backend{ID: e.ID, Name: e.ID, Enabled: edge.Yes})
		}
		for m, st := range r.Snapshot("waf").States {
			if m.Name == "" || m.Pool == "" || st.Weight < 0 || st.Serving && st.Weight == 0 {
				t.Errorf("%+v", st)
			}
		}
	})
}
