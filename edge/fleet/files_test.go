package fleet_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/serve"
)

const proPassword = "not-a-real-password"

func proWorld() ptafprotest.Options {
	return ptafprotest.Options{
		Username: "sluice", Password: proPassword,
		Profiles: []ptafprotest.Profile{{Name: "public", Backends: []ptafprotest.Entry{{Backend: "192.0.2.11:8080"}}}},
		Backends: []ptafprotest.Backend{{Address: "192.0.2.11", Port: 8080}},
	}
}

func proAt(url string, f func(*fleet.PTAFPro)) fleet.Configs {
	c := &fleet.PTAFPro{URL: url, Login: &fleet.Login{Username: "sluice", Password: proPassword}}
	c.Client = promconfig.DefaultHTTPClientConfig
	if f != nil {
		f(c)
	}
	return fleet.Configs{{Name: "waf1", PTAFPro: c}}
}

func put(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A device whose files aren't there says so whenever it is asked, and is well
// as soon as they are: nothing has to be started again.
func TestAMissingFileCostsItsOwnDeviceUntilItIsThere(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(t *testing.T, file string) (configs fleet.Configs, right []byte)
		path  string
	}{
		{"ptaf: CA", func(t *testing.T, file string) (fleet.Configs, []byte) {
			url, ca := simulated().StartTLS(t)
			return ptafAt(url, func(p *fleet.PTAF) { p.Client.TLSConfig.CAFile = file }), ca
		}, "[0].ptaf.tls_config.ca_file"},
		{"ptaf: password", func(t *testing.T, file string) (fleet.Configs, []byte) {
			return ptafAt(simulated().Start(t), func(p *fleet.PTAF) {
				p.Client.BasicAuth = &promconfig.BasicAuth{Username: "sluice", PasswordFile: file}
			}), []byte(proPassword + "\n")
		}, "[0].ptaf.basic_auth.password_file"},
		{"ptafpro: CA", func(t *testing.T, file string) (fleet.Configs, []byte) {
			url, ca := ptafprotest.New(proWorld()).StartTLS(t)
			return proAt(url, func(p *fleet.PTAFPro) { p.Client.TLSConfig.CAFile = file }), ca
		}, "[0].ptafpro.tls_config.ca_file"},
		{"ptafpro: password", func(t *testing.T, file string) (fleet.Configs, []byte) {
			return proAt(ptafprotest.New(proWorld()).Start(t), func(p *fleet.PTAFPro) {
				p.Login = &fleet.Login{Username: "sluice", PasswordFile: file}
			}), []byte(proPassword + "\n")
		}, "[0].ptafpro.login.password_file"},
		{"ptafpro: token", func(t *testing.T, file string) (fleet.Configs, []byte) {
			w := proWorld()
			w.Token = "not-a-real-token"
			return proAt(ptafprotest.New(w).Start(t), func(p *fleet.PTAFPro) {
				p.Login, p.Client.Authorization = nil, &promconfig.Authorization{CredentialsFile: file}
			}), []byte(w.Token + "\n")
		}, "[0].ptafpro.authorization.credentials_file"},
		{"haproxy: CA", func(t *testing.T, file string) (fleet.Configs, []byte) {
			address, ca := secureHAProxy(t)
			c := haproxyAt("waf1", address)
			c.HAProxy.TLSConfig = &promconfig.TLSConfig{CAFile: file}
			return fleet.Configs{c}, ca
		}, "[0].haproxy.tls_config.ca_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secret")
			configs, right := c.start(t, file)
			d := build(t, configs, nil)
			for range 2 {
				if _, err := d.Look(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), file) {
					t.Errorf("without it: %v", err)
				}
			}
			missing := configs.Files()
			if len(missing) != 1 || missing[0].Path != c.path || !strings.Contains(missing[0].Text, file+": no such file or directory: ") {
				t.Errorf("the mistakes are %v, want one at %s", missing, c.path)
			}
			put(t, file, right)
			if _, err := d.Look(t.Context()); err != nil {
				t.Errorf("with it: %v", err)
			}
			if m := configs.Files(); len(m) > 0 {
				t.Errorf("with it there are mistakes: %v", m)
			}
		})
	}
}

func secureHAProxy(t *testing.T) (address string, ca []byte) {
	t.Helper()
	cert, ca, err := serve.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	t.Cleanup(func() {
		if err := secure.Close(); err != nil {
			t.Error(err)
		}
	})
	go haproxytest.NewFake(haproxytest.Version{Major: 2, Minor: 6}).Serve(secure)
	return "ipv4@" + ln.Addr().String(), ca
}

func TestHAProxyBehindTLSIsVerifiedAndToldAsSuch(t *testing.T) {
	address, ca := secureHAProxy(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	put(t, file, ca)
	var transport string
	at := func(tls promconfig.TLSConfig) *fleet.Device {
		c := haproxyAt("waf1", address)
		c.HAProxy.TLSConfig = &tls
		return build(t, fleet.Configs{c}, func(c fleet.Call) { transport = c.Transport })
	}
	if _, err := at(promconfig.TLSConfig{CAFile: file}).Look(t.Context()); err != nil || transport != "tls" {
		t.Errorf("over %q: %v", transport, err)
	}
	for name, c := range map[string]promconfig.TLSConfig{
		"nobody vouches for it": {},
		"another name":          {CAFile: file, ServerName: "other.example.com"},
	} {
		if _, err := at(c).Look(t.Context()); err == nil || !strings.Contains(err.Error(), "x509: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllFilesAreLookedFor(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	put(t, junk, []byte("no certificate"))
	none := filepath.Join(t.TempDir(), "none")
	configs := ptafAt("https://192.0.2.10/api/waf/v2", func(p *fleet.PTAF) {
		p.Client.TLSConfig = promconfig.TLSConfig{CAFile: none, CertFile: none, KeyFile: none}
		p.Client.BasicAuth = &promconfig.BasicAuth{UsernameFile: none, PasswordFile: none}
		p.Client.HTTPHeaders = &promconfig.Headers{Headers: map[string]promconfig.Header{"X-Site": {Files: []string{junk, none}}}}
	})
	configs = append(configs, ptafAt("https://192.0.2.10/api/waf/v2", func(p *fleet.PTAF) {
		p.Client.BasicAuth = nil
		p.Client.TLSConfig.CAFile = junk
		p.Client.OAuth2 = &promconfig.OAuth2{ClientSecretFile: none, TLSConfig: promconfig.TLSConfig{CAFile: none}}
	})...)
	var got []string
	for _, m := range configs.Files() {
		got = append(got, m.Path)
	}
	if d := cmp.Diff([]string{
		"[0].ptaf.basic_auth.username_file", "[0].ptaf.basic_auth.password_file", "[0].ptaf.http_headers.X-Site.files[1]",
		"[0].ptaf.tls_config.ca_file", "[0].ptaf.tls_config.cert_file", "[0].ptaf.tls_config.key_file",
		"[1].ptaf.oauth2.client_secret_file", "[1].ptaf.oauth2.tls_config.ca_file", "[1].ptaf.tls_config",
	}, got); d != "" {
		t.Error(d)
	}
}

// What to do about a certificate is said whatever the cause has to say.
func TestTheHelpOutlivesALongCause(t *testing.T) {
	_, other, err := serve.SelfSigned("127.0.0.1") // of the same name, so that the cause tells of both
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "other.pem")
	put(t, ca, other)
	url, _ := simulated().StartTLS(t)
	proURL, _ := ptafprotest.New(proWorld()).StartTLS(t)
	for name, c := range map[string]fleet.Configs{
		"ptaf":    ptafAt(url, func(p *fleet.PTAF) { p.Client.TLSConfig.CAFile = ca }),
		"ptafpro": proAt(proURL, func(p *fleet.PTAFPro) { p.Client.TLSConfig.CAFile = ca }),
	} {
		told := make(chan string, 100) // several calls are made at once
		_, err := build(t, c, func(c fleet.Call) { told <- c.Err.Error() }).Look(t.Context())
		if err == nil {
			t.Fatalf("%s: it was taken", name)
		}
		const help = "...: give it as tls_config.ca_file, or its SHA-256 as pin_sha256"
		for _, text := range []string{<-told, err.Error()} {
			if !strings.HasSuffix(text, help) || !strings.Contains(text, "x509: certificate signed by unknown authority") {
				t.Errorf("%s: %s", name, text)
			}
		}
		if errors.Is(err, ptaf.ErrTimeout) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
