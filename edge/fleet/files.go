package fleet

import (
	"fmt"
	"maps"
	"os"
	"slices"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
)

// Files finds every file that a device needs and that can't be read or used now;
// paths are relative to the section, as [Configs.Validate]'s are. None of them is
// a reason not to start: that device is down until the file is there.
func (c Configs) Files() edge.Mistakes {
	var all edge.Mistakes
	for i, d := range c {
		for _, k := range d.kinds() {
			all.Under(fmt.Sprintf("[%d].%s", i, k.name), k.section.files())
		}
	}
	return all
}

func (h *HAProxy) files() (m edge.Mistakes) {
	if h.TLSConfig != nil {
		m.Under("tls_config", tlsFiles(h.TLSConfig))
	}
	if h.BasicAuth != nil {
		m.Under("", (&HTTP{Client: promconfig.HTTPClientConfig{BasicAuth: h.BasicAuth}}).files())
	}
	return m
}

func (p *PTAFPro) files() (m edge.Mistakes) {
	if p.Login != nil {
		m.Under("", read("login.password_file", p.Login.PasswordFile))
	}
	m.Under("", p.HTTP.files())
	return m
}

func (h *HTTP) files() (m edge.Mistakes) {
	c := h.Client
	if b := c.BasicAuth; b != nil {
		m.Under("basic_auth", slices.Concat(read("username_file", b.UsernameFile), read("password_file", b.PasswordFile)))
	}
	if a := c.Authorization; a != nil {
		m.Under("authorization", read("credentials_file", a.CredentialsFile))
	}
	m.Under("", read("bearer_token_file", c.BearerTokenFile))
	if o := c.OAuth2; o != nil {
		m.Under("oauth2", slices.Concat(
			read("client_secret_file", o.ClientSecretFile),
			read("client_certificate_key_file", o.ClientCertificateKeyFile),
		))
		m.Under("oauth2.tls_config", tlsFiles(&o.TLSConfig))
	}
	if c.HTTPHeaders != nil {
		for _, name := range slices.Sorted(maps.Keys(c.HTTPHeaders.Headers)) {
			for i, file := range c.HTTPHeaders.Headers[name].Files {
				m.Under("http_headers."+name, read(fmt.Sprintf("files[%d]", i), file))
			}
		}
	}
	m.Under("tls_config", tlsFiles(&c.TLSConfig))
	return m
}

// tlsFiles looks into the files only when all can be read: what is wrong inside
// has no key of its own.
func tlsFiles(t *promconfig.TLSConfig) edge.Mistakes {
	m := slices.Concat(read("ca_file", t.CAFile), read("cert_file", t.CertFile), read("key_file", t.KeyFile))
	if len(m) > 0 || t.Validate() != nil { // the latter is told by Validate
		return m
	}
	if _, err := promconfig.NewTLSConfig(t); err != nil {
		m.Add("", "%v: write PEM files", err)
	}
	return m
}

func read(key, file string) (m edge.Mistakes) {
	if file == "" {
		return nil
	}
	if _, err := os.ReadFile(file); err != nil {
		m.Add(key, "%v: the device is down until it can be read", err)
	}
	return m
}
