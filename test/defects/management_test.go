package defects

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/test/serve"
)

// nameless is a name that no resolver finds, and none has to be asked: a label
// has 63 bytes at most (RFC 1035, 2.3.4).
var nameless = "waf-" + strings.Repeat("x", 60) + ".example.com"

// Defect 8: a management name that didn't resolve left a variable unset and
// ended the run in an exception.
func TestDefect08ANameThatDoesNotResolveIsOneError(t *testing.T) {
	t.Parallel()
	p := newPool(t, newMembers(t, 3)...)
	set := usual(t, p.Start(t))
	set.devices = append(set.devices, device("lost", "https://"+nameless+":8443"+ptaftest.Base))
	w := set.start(t)
	lost, ok := w.fleet.Device("lost")
	if !ok {
		t.Fatal("no device")
	}
	_, err := lost.Look(t.Context())
	if dns := (*net.DNSError)(nil); !errors.As(err, &dns) || strings.ContainsAny(err.Error(), "\n\r") || !strings.HasPrefix(err.Error(), "device lost: ") {
		t.Errorf("want one line that says which device, and that its name has no address: %v", err)
	}
	othersGoOn(t, w, p, at("lost", shop, "192.0.2.11:80"), nameless)
}

// othersGoOn claims a member of a device that can't be read together with one of
// another device, which is taken out and given back meanwhile.
func othersGoOn(t *testing.T, w *site, p *pool, lost edge.Member, says string) {
	t.Helper()
	bad := p.members[0]
	bad.be(sick)
	w.claim(true, lost, onShop(bad))
	p.becomes(t, bad)
	bad.be(well)
	w.claim(false, onShop(bad))
	p.becomes(t)
	e := w.recorded(lost, "inventory/device_blind")
	if !strings.Contains(e.Detail, says) || strings.Contains(e.Detail, "\n") {
		t.Errorf("the record says %q", e.Detail)
	}
}

// Defect 9: requests to the management had no timeout.
func TestDefect09AManagementThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	t.Run("and the other devices go on", func(t *testing.T) {
		t.Parallel()
		p, hung := newPool(t, newMembers(t, 3)...), newPool(t, newMembers(t, 3)...)
		set := usual(t, p.Start(t))
		slow := device("hung", hung.Start(t))
		slow.PTAF.Timeout = ms(200)
		set.devices = append(set.devices, slow)
		hung.Misbehave(ptaftest.Hang, -1)
		hung.members[0].be(sick)
		w := set.start(t)
		othersGoOn(t, w, p, at("hung", shop, hung.members[0].address), "200ms")
		hung.Behave()
		hung.becomes(t, hung.members[0]) // as soon as it answers
	})
	t.Run("also in the middle of a write", func(t *testing.T) {
		t.Parallel()
		p := newPool(t, newMembers(t, 3)...)
		set := usual(t, "http://"+serve.Handler(t, deaf{p.Sim}, nil)+ptaftest.Base)
		set.devices[0].PTAF.Timeout = ms(200)
		w := set.start(t)
		p.members[0].be(sick)
		w.claim(true, onShop(p.members[0]))
		w.recorded(onShop(p.members[0]), "drain failed") // read back: nothing has changed
		p.stays(t)
	})
}

// deaf answers no write, and carries out none.
type deaf struct{ next http.Handler }

// ServeHTTP is http.Handler's.
func (d deaf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPatch {
		hang(w, r)
	}
	d.next.ServeHTTP(w, r)
}

// Defect 10: no certificate was looked at, so whoever stood in between got the
// credentials.
func TestDefect10CertificatesAreVerified(t *testing.T) {
	t.Parallel()
	sum := func(pemBytes []byte) string {
		block, _ := pem.Decode(pemBytes)
		s := sha256.Sum256(block.Bytes)
		return hex.EncodeToString(s[:])
	}
	_, other, err := serve.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		trust func(p *fleet.PTAF, own []byte)
		says  string // empty: it is trusted
	}{
		"signed by itself, and nothing is said about it": {func(*fleet.PTAF, []byte) {}, "pin_sha256"},
		"its CA is given":       {func(p *fleet.PTAF, own []byte) { p.Client.TLSConfig.CA = string(own) }, ""},
		"it is pinned":          {func(p *fleet.PTAF, own []byte) { p.PinSHA256 = sum(own) }, ""},
		"another CA is given":   {func(p *fleet.PTAF, _ []byte) { p.Client.TLSConfig.CA = string(other) }, "unknown authority"},
		"another one is pinned": {func(p *fleet.PTAF, _ []byte) { p.PinSHA256 = sum(other) }, fleet.ErrPin.Error()},
		"another name is wanted": {func(p *fleet.PTAF, own []byte) {
			p.Client.TLSConfig.CA, p.Client.TLSConfig.ServerName = string(own), "waf.example.com"
		}, "server_name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, newMembers(t, 2)...)
			url, own := p.StartTLS(t)
			set := usual(t, url)
			c.trust(set.devices[0].PTAF, own)
			fl, err := fleet.New(set.devices, fleet.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = fl.Devices()[0].Look(t.Context())
			switch {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("want an error that says %q: %v", c.says, err)
			case c.says != "" && p.Calls() > 0:
				t.Error("it was asked all the same, with the password")
			}
		})
	}
}

// Defect 10: the credentials stood in a file in base64. Here the password has a
// file of its own, and is said nowhere else, whatever goes wrong.
func TestDefect10ThePasswordIsNeverSaid(t *testing.T) {
	t.Parallel()
	const secret = "not-a-real-password-but-a-long-one"
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	members := newMembers(t, 3)
	sim := ptaftest.New(ptaftest.Options{Username: user, Password: secret, Upstreams: []ptaftest.Upstream{upstream(t, shop, members...)}})
	p := &pool{sim, members}
	url := sim.Start(t)
	set := usual(t, url)
	set.devices[0].PTAF.Client.BasicAuth = &promconfig.BasicAuth{Username: user, PasswordFile: file}
	refused := device("refused", url) // with another password
	set.devices = append(set.devices, refused)
	w := set.start(t)
	var said strings.Builder
	hear := func(err error) {
		if err != nil {
			said.WriteString(err.Error() + "\n")
		}
	}
	members[0].be(sick)
	w.claim(true, onShop(members[0]))
	p.becomes(t, members[0]) // the file's password is the one that is used
	for _, f := range []ptaftest.Fault{ptaftest.Unauthorized, ptaftest.Forbidden, ptaftest.HTMLPage, ptaftest.CutBody, ptaftest.Error500Once, ptaftest.ErrorShapes} {
		p.Misbehave(f, 1)
		for _, d := range w.fleet.Devices() {
			_, err := d.Look(t.Context())
			hear(err)
			_, err = d.Set(t.Context(), edge.Order{Changes: []edge.Change{{Member: at(d.Name(), shop, members[1].address), To: edge.Maint}}})
			hear(err)
		}
		p.Behave()
	}
	members[0].be(well)
	w.claim(false, onShop(members[0]))
	await(t, "the member to be given back", func() bool {
		for _, a := range down(t, p.Sim, shop) {
			if a == members[0].address {
				return false
			}
		}
		return true
	})
	answer := httptest.NewRecorder()
	w.r.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/v1/steps?limit=10000&images=1", nil))
	all := map[string]string{"errors": said.String(), "logs and calls": w.said.String(), "the API": answer.Body.String()}
	journal, err := os.ReadFile(w.set.act.Journal)
	if err != nil {
		t.Fatal(err)
	}
	all["the journal"] = string(journal)
	if !strings.Contains(all["errors"], "401") {
		t.Errorf("nothing went wrong with credentials: %s", all["errors"])
	}
	for where, text := range all {
		if text == "" {
			t.Errorf("%s: empty", where)
		}
		for _, word := range []string{secret, base64.StdEncoding.EncodeToString([]byte(user + ":" + secret)), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text, word) {
				t.Errorf("%s tell the password", where)
			}
		}
	}
}
