package fleet_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/test/loopback"
)

var shop = ptaftest.Upstream{ID: "64f0c0ffee0123456789abcd", Name: "shop-front", Backends: []ptaftest.Backend{
	{Address: "192.0.2.11", Port: 8080, Weight: 1},
	{Address: "192.0.2.12", Port: 8080, Weight: 2, Extra: map[string]any{"note": "kept"}},
	{Address: "192.0.2.13", Port: 8080, Backup: true},
}}

func simulated() *ptaftest.Sim {
	return ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{shop}})
}

func ptafAt(url string, f func(*fleet.PTAF)) fleet.Configs {
	c := &fleet.PTAF{URL: url}
	c.Client = promconfig.DefaultHTTPClientConfig
	c.Client.BasicAuth = &promconfig.BasicAuth{Username: "sluice", Password: "not-a-real-password"}
	if f != nil {
		f(c)
	}
	return fleet.Configs{{Name: "waf1", PTAF: c}}
}

func build(t *testing.T, c fleet.Configs, trace func(fleet.Call)) *fleet.Device {
	t.Helper()
	fl, err := fleet.New(c, fleet.Options{Trace: trace})
	if err != nil {
		t.Fatal(err)
	}
	d, ok := fl.Device("waf1")
	if !ok {
		t.Fatal("no device waf1")
	}
	return d
}

func TestAPTAFIsLookedAtAndWrittenWhole(t *testing.T) {
	sim := simulated()
	var mu sync.Mutex
	var calls []fleet.Call
	d := build(t, ptafAt(sim.Start(t), nil), func(c fleet.Call) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, c)
	})
	if every, whole := d.Whole(); !whole || every != fleet.DefaultWriteInterval {
		t.Errorf("whole pools: %v, every %v", whole, every)
	}
	before := sim.Object("shop-front")
	snap, err := d.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m1 := edge.Member{Device: "waf1", Pool: "shop-front", Name: "192.0.2.11:8080"}
	m2 := edge.Member{Device: "waf1", Pool: "shop-front", Name: "192.0.2.12:8080"}
	if st := snap.States[m2]; st.Address != "192.0.2.12:8080" || !st.Serving || st.Share != 2 || !st.OnOff {
		t.Errorf("got %+v", st)
	}
	var kept []byte
	o := edge.Order{
		Version: snap.Versions["shop-front"],
		Changes: []edge.Change{{Member: m1, To: edge.Drain}, {Member: m2, To: edge.Maint}},
		Save: func(i edge.Image) error {
			if i.Device != "waf1" || i.Pool != "shop-front" || i.Object != shop.ID {
				t.Errorf("an image of %+v", i)
			}
			kept = i.Bytes
			return nil
		},
	}
	receipt, err := d.Set(t.Context(), o)
	if err != nil || !receipt.Written || receipt.Gap <= 0 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if d := cmp.Diff(string(before), string(kept)); d != "" {
		t.Errorf("what was kept isn't what was there:\n%s", d)
	}
	if n := len(sim.Writes()); n != 1 {
		t.Errorf("%d PATCHes for two changes, want 1", n)
	}
	after, err := d.Look(t.Context())
	if err != nil || !after.States[m1].Is(edge.Drain) || !after.States[m2].Is(edge.Drain) {
		t.Errorf("%+v, %v", after.States, err)
	}
	if _, err := d.Set(t.Context(), o); err != nil {
		t.Errorf("what is so already is no error: %v", err)
	}
	o.Changes[0].To = edge.Ready
	if _, err := d.Set(t.Context(), o); !errors.Is(err, edge.ErrChanged) {
		t.Errorf("an order on an old version: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	writes := 0
	for _, c := range calls {
		if c.Write {
			writes++
		}
		if c.Device != "waf1" || c.Code == 0 || c.Method == "" || !strings.HasPrefix(c.Command, c.Method+" /api/waf/v2/") || strings.Contains(c.Command, "password") {
			t.Errorf("a call is told as %+v", c)
		}
	}
	if writes != 1 {
		t.Errorf("%d calls are told as writes, want 1", writes)
	}
}

func TestAStoredObjectIsPreviewedAndPutBack(t *testing.T) {
	sim := simulated()
	d := build(t, ptafAt(sim.Start(t), nil), nil)
	stored := sim.Object("shop-front")
	sim.Edit("shop-front", "192.0.2.12:8080", true)
	after, other, err := d.Preview("shop-front", stored)
	if err != nil || other != "" || len(after) != 3 {
		t.Fatalf("%+v, %q, %v", after, other, err)
	}
	if _, other, err := d.Preview("billing", stored); err != nil || other == "" {
		t.Errorf("another upstream's object: %q, %v", other, err)
	}
	if _, _, err := d.Preview("shop-front", []byte("<html>")); err == nil {
		t.Error("a page was taken for an object")
	}
	receipt, err := d.Restore(t.Context(), "shop-front", stored, edge.Order{})
	if err != nil || !receipt.Written {
		t.Fatalf("%+v, %v", receipt, err)
	}
	snap, err := d.Look(t.Context())
	if err != nil || snap.States[edge.Member{Device: "waf1", Pool: "shop-front", Name: "192.0.2.12:8080"}].Admin != edge.Ready {
		t.Errorf("%+v, %v", snap.States, err)
	}
}

func TestADeviceWithoutObjectsSaysSo(t *testing.T) {
	fl, err := fleet.New(fleet.Configs{haproxyAt("edge1", "/nowhere")}, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := fl.Device("edge1")
	if _, _, err := d.Preview("shop", nil); !errors.Is(err, fleet.ErrNoObjects) {
		t.Errorf("preview: %v", err)
	}
	if _, err := d.Restore(t.Context(), "shop", nil, edge.Order{}); !errors.Is(err, fleet.ErrNoObjects) {
		t.Errorf("restore: %v", err)
	}
	if d.PTAF() != nil || d.PTAFPro() != nil {
		t.Error("a HAProxy is a PTAF")
	}
}

func TestCertificates(t *testing.T) {
	sim := simulated()
	url, certPEM := sim.StartTLS(t)
	block, _ := pem.Decode(certPEM)
	sum := sha256.Sum256(block.Bytes)
	pin := hex.EncodeToString(sum[:])
	ca := filepath.Join(t.TempDir(), "waf1.pem")
	if err := os.WriteFile(ca, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		f    func(*fleet.PTAF)
		want string // in the error; empty: it works
	}{
		{"one that signed itself is refused, and what to do is said", nil, "ca_file"},
		{"with it as the CA it is taken", func(p *fleet.PTAF) { p.Client.TLSConfig.CAFile = ca }, ""},
		{"pinned it is taken", func(p *fleet.PTAF) { p.PinSHA256 = pin }, ""},
		{"pinned as openssl prints it", func(p *fleet.PTAF) { p.PinSHA256 = colons(pin) }, ""},
		{"another one pinned is refused", func(p *fleet.PTAF) { p.PinSHA256 = strings.Repeat("ab", 32) }, fleet.ErrPin.Error()},
		{"another one pinned is refused, CA or not", func(p *fleet.PTAF) {
			p.PinSHA256, p.Client.TLSConfig.CAFile = strings.Repeat("ab", 32), ca
		}, fleet.ErrPin.Error()},
		{"unverified only when asked for", func(p *fleet.PTAF) { p.Client.TLSConfig.InsecureSkipVerify = true }, ""},
		{"another server's name is refused", func(p *fleet.PTAF) {
			p.Client.TLSConfig.CAFile, p.Client.TLSConfig.ServerName = ca, "other.example.com"
		}, "server_name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := build(t, ptafAt(url, c.f), nil).Look(t.Context())
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("got %v; want one line that has %q", err, c.want)
			}
		})
	}
}

func colons(pin string) string {
	var parts []string
	for i := 0; i < len(pin); i += 2 {
		parts = append(parts, strings.ToUpper(pin[i:i+2]))
	}
	return strings.Join(parts, ":")
}

func TestWhatIsWrongWithAPTAFIsALineThatHelps(t *testing.T) {
	dead, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		wrong      error
		prepare    func(*testing.T, *ptaftest.Sim) fleet.Configs
	}{
		{"a wrong password", "401", ptaf.ErrCredentials, func(t *testing.T, s *ptaftest.Sim) fleet.Configs {
			return ptafAt(s.Start(t), func(p *fleet.PTAF) { p.Client.BasicAuth.Password = "wrong" })
		}},
		{"a wrong URL", "404", ptaf.ErrNotFound, func(t *testing.T, s *ptaftest.Sim) fleet.Configs {
			return ptafAt(s.Start(t)+"/v3", nil)
		}},
		{"nobody listens", dead, nil, func(*testing.T, *ptaftest.Sim) fleet.Configs {
			return ptafAt("http://"+dead+"/api/waf/v2", nil)
		}},
		{"a page", "not what the API answers", ptaf.ErrAnswer, func(t *testing.T, s *ptaftest.Sim) fleet.Configs {
			s.Misbehave(ptaftest.HTMLPage, -1)
			return ptafAt(s.Start(t), nil)
		}},
		{"it hangs", "", context.DeadlineExceeded, func(t *testing.T, s *ptaftest.Sim) fleet.Configs {
			s.Misbehave(ptaftest.Hang, -1)
			return ptafAt(s.Start(t), func(p *fleet.PTAF) { p.Timeout = model.Duration(50 * time.Millisecond) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := build(t, c.prepare(t, simulated()), nil).Look(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), "device waf1: ") || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "password=") {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) {
				t.Errorf("%v doesn't say %q", err, c.want)
			}
			if c.wrong != nil && !errors.Is(err, c.wrong) && !errors.Is(err, ptaf.ErrTimeout) {
				t.Errorf("%v isn't %v", err, c.wrong)
			}
		})
	}
}

func TestAWrongIdLeavesTheOthersServed(t *testing.T) {
	sim := simulated()
	d := build(t, ptafAt(sim.Start(t), func(p *fleet.PTAF) {
		p.Upstreams = []string{"shop-front", "ffffffffffffffffffffffff"}
	}), nil)
	snap, err := d.Look(t.Context())
	if err != nil || len(snap.States) != 3 {
		t.Errorf("%d members, %v", len(snap.States), err)
	}
}

func TestMistakesInPTAFSectionsHaveTheirPlace(t *testing.T) {
	for text, paths := range map[string][]string{
		`{}`:                                   {"[0].ptaf.url"},
		`{url: "192.0.2.1:8443"}`:              {"[0].ptaf.url"},
		`{url: "https://u:p@192.0.2.1/api"}`:   {"[0].ptaf.url"},
		`{url: "https://192.0.2.1/?x=1"}`:      {"[0].ptaf.url"},
		`{url: "https://a/x", urls: ["ftp:"]}`: {"[0].ptaf.urls", "[0].ptaf.urls[0]"},
		`{urls: ["https://a/x", "https://b/x"], gateways: [one]}`:                                                        {"[0].ptaf.gateways"},
		`{url: "https://a/x", upstreams: [""], timeout: 2m}`:                                                             {"[0].ptaf.upstreams[0]", "[0].ptaf.timeout"},
		`{url: "https://a/x", pin_sha256: "abc"}`:                                                                        {"[0].ptaf.pin_sha256"},
		`{url: "https://a/x", pin_sha256: "` + strings.Repeat("ab", 32) + `", tls_config: {insecure_skip_verify: true}}`: {"[0].ptaf.tls_config.insecure_skip_verify"},
		`{url: "https://a/x", basic_auth: {username: a, password: b, password_file: c}}`:                                 {"[0].ptaf"},
		`{url: "https://:8443/x"}`:                                                                                       {"[0].ptaf.url"},
		`{url: "https://a:0/x"}`:                                                                                         {"[0].ptaf.url"},
		`{url: "https://a:65536/x"}`:                                                                                     {"[0].ptaf.url"},
		`{url: "https://[2001:db8::1]:8443/x"}`:                                                                          nil,
		`{urls: ["https://a/x", "https://b/x", "https://a/x/"]}`:                                                         {"[0].ptaf.urls[2]"},
		`{urls: ["https://a/x", "https://b/x"], gateways: [one, ""]}`:                                                    {"[0].ptaf.gateways[1]"},
		`{url: "http://a/x", pin_sha256: "` + strings.Repeat("ab", 32) + `"}`:                                            {"[0].ptaf.pin_sha256"},
		`{urls: ["https://a/x", "HTTP://b/x"], pin_sha256: "` + strings.Repeat("ab", 32) + `"}`:                          {"[0].ptaf.pin_sha256"},
	} {
		var p fleet.PTAF
		if err := yaml.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		wantPaths(t, text, fleet.Configs{{Name: "waf1", PTAF: &p}}, paths)
	}
	for text, paths := range map[string][]string{
		`{}`: {"[0].ptafpro.url", "[0].ptafpro.login"},
		`{url: "https://a/x", login: {username: u}}`:                                                             {"[0].ptafpro.login"},
		`{url: "https://a/x", login: {password: p}}`:                                                             {"[0].ptafpro.login.username"},
		`{url: "https://a/x", login: {username: u, password: p}}`:                                                nil,
		`{url: "https://a/x", authorization: {credentials: t}}`:                                                  nil,
		`{url: "https://a/x", login: {username: u, password: p}, authorization: {credentials: t}}`:               {"[0].ptafpro.authorization"},
		`{url: "https://a/x", login: {username: u, password: p}, profiles: [""]}`:                                {"[0].ptafpro.profiles[0]"},
		`{url: "https://a/x", login: {username: u, password: p}, basic_auth: {username: u}}`:                     {"[0].ptafpro.basic_auth"},
		`{url: "https://a/x", login: {username: u, password: p}, instance: "https://a;b"}`:                       {"[0].ptafpro"}, // the client's own word
		`{url: "http://a/x", login: {username: u, password: p}, pin_sha256: "` + strings.Repeat("ab", 32) + `"}`: {"[0].ptafpro.pin_sha256"},
	} {
		var p fleet.PTAFPro
		if err := yaml.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		wantPaths(t, text, fleet.Configs{{Name: "waf1", PTAFPro: &p}}, paths)
	}
	both := ptafAt("https://a/x", nil)
	both[0].HAProxy = &fleet.HAProxy{Address: "/run/h.sock"}
	wantPaths(t, "two kinds", both, []string{"[0].ptaf"})
}

func wantPaths(t *testing.T, what string, c fleet.Configs, want []string) {
	t.Helper()
	var got []string
	for _, m := range c.Validate() {
		got = append(got, m.Path)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
	if _, err := fleet.New(c, fleet.Options{}); (err == nil) != (want == nil) {
		t.Errorf("%s: New says %v", what, err)
	}
}

func TestATokenInAPathIsNotTold(t *testing.T) {
	var got fleet.Call
	c := fleet.Configs{{Name: "waf1", PTAFPro: &fleet.PTAFPro{URL: "http://127.0.0.1:1/api/ptaf/v4", Login: &fleet.Login{Username: "u", Password: "p"}}}}
	c[0].PTAFPro.Client = promconfig.DefaultHTTPClientConfig
	h, err := fleet.HTTPClient(&c[0].PTAFPro.HTTP, "waf1", func(call fleet.Call) { got = call })
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://127.0.0.1:1/api/ptaf/v4/auth/refresh_tokens/secret-token", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := h.Do(req); err == nil {
		t.Error(errors.Join(errors.New("somebody answered"), resp.Body.Close()))
	}
	if strings.Contains(got.Command, "secret") || !strings.HasSuffix(got.Command, "/refresh_tokens/...") || got.Write || got.Code != 0 {
		t.Errorf("it is told as %+v", got)
	}
}
