package probe

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
)

// Validate finds every mistake in a module; paths are relative to it. What
// [Module.Unserved] tells is none.
func (m Module) Validate() edge.Mistakes {
	var all edge.Mistakes
	if m.Timeout < 0 {
		all.Add("timeout", "%s: want a time above 0, such as 1s", m.Timeout)
	}
	if m.Prober == "" {
		all.Add("prober", "is missing: write one of %s", strings.Join(Kinds(), ", "))
	}
	if k, ok := kinds[m.Prober]; ok {
		all.Under(m.Prober, k.validate(m))
	}
	return all
}

// httpVersion makes HTTP/2, as files for blackbox_exporter have it, what an answer says.
func httpVersion(s string) string {
	if s == "HTTP/2" || s == "HTTP/3" {
		return s + ".0"
	}
	return s
}

var token = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func validateHTTP(m Module) edge.Mistakes {
	h := m.HTTP
	var all edge.Mistakes
	if h.Method != "" && !token.MatchString(h.Method) {
		all.Add("method", "%q: write an HTTP method, such as GET", h.Method)
	}
	if h.Path != "" && !strings.HasPrefix(h.Path, "/") {
		all.Add("path", "must begin with a slash, as in /health")
	} else if _, err := url.ParseRequestURI(h.Path); h.Path != "" && err != nil {
		all.Add("path", "is no path of a URL")
	}
	for name, value := range h.Headers {
		if !token.MatchString(name) {
			all.Add("headers", "%q is no name of a header", name)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			all.Add("headers."+name, "its value holds a line break or NUL")
		}
	}
	if h.Body != "" && h.BodyFile != "" {
		all.Add("body_file", "body is there as well: write one of them")
	}
	if h.BodyLimit < 0 {
		all.Add("body_size_limit", "must not be below 0")
	}
	if !slices.Contains([]string{"", "identity", "gzip", "deflate", "br"}, h.Compression) { // br is unserved
		all.Add("compression", "%q: write gzip, deflate or identity", h.Compression)
	}
	for i, code := range h.ValidStatusCodes {
		if code < 100 || code > 999 {
			all.Add(fmt.Sprintf("valid_status_codes[%d]", i), "%d: write a status code from 100 to 999", code)
		}
	}
	for i, v := range h.ValidHTTPVersions {
		if _, _, ok := http.ParseHTTPVersion(httpVersion(v)); !ok {
			all.Add(fmt.Sprintf("valid_http_versions[%d]", i), "%q: write HTTP/1.0, HTTP/1.1 or HTTP/2.0", v)
		}
	}
	if h.FailIfSSL && h.FailIfNotSSL {
		all.Add("fail_if_ssl", "with fail_if_not_ssl nothing could pass: write one of them")
	}
	all.Under("", regexps("fail_if_body_matches_regexp", h.FailIfBodyMatches))
	all.Under("", regexps("fail_if_body_not_matches_regexp", h.FailIfBodyNotMatches))
	all.Under("", headerMatches("fail_if_header_matches", h.FailIfHeaderMatches))
	all.Under("", headerMatches("fail_if_header_not_matches", h.FailIfHeaderNot))
	all.Under("", validateIP(h.PreferredIP))
	all.Under("", validateClient(h.Client))
	return all
}

// validateClient takes c by value: prometheus/common's own check rewrites it.
func validateClient(c promconfig.HTTPClientConfig) edge.Mistakes {
	var all edge.Mistakes
	for _, s := range credentials(&c) {
		if s.ref {
			all.Add(s.key, "there is no manager of secrets here: write the secret into a file and name it in %s", strings.Replace(s.key, "_ref", "_file", 1))
		}
	}
	if err := c.Validate(); err != nil {
		all.Add("", "%v", err)
	}
	all.Under("", validateTLS("tls_config", c.TLSConfig))
	if c.OAuth2 != nil {
		all.Under("", validateTLS("oauth2.tls_config", c.OAuth2.TLSConfig))
	}
	return all
}

// validateTLS leaves a file that isn't there to [Module.Unserved].
func validateTLS(key string, c promconfig.TLSConfig) (all edge.Mistakes) {
	if _, err := promconfig.NewTLSConfig(&c); err != nil && canRead(tlsFiles("", c)) {
		all.Add(key, "%v", err)
	}
	return all
}

// A credential is a setting that says where a secret is.
type credential struct {
	key  string
	file string
	ref  bool // it names one in a manager of secrets, which we have none of
}

func credentials(c *promconfig.HTTPClientConfig) (all []credential) {
	file := func(key, path string) { all = append(all, credential{key: key, file: path}) }
	ref := func(key, name string) {
		if name != "" {
			all = append(all, credential{key: key, ref: true})
		}
	}
	file("bearer_token_file", c.BearerTokenFile)
	if b := c.BasicAuth; b != nil {
		file("basic_auth.username_file", b.UsernameFile)
		file("basic_auth.password_file", b.PasswordFile)
		ref("basic_auth.username_ref", b.UsernameRef)
		ref("basic_auth.password_ref", b.PasswordRef)
	}
	if a := c.Authorization; a != nil {
		file("authorization.credentials_file", a.CredentialsFile)
		ref("authorization.credentials_ref", a.CredentialsRef)
	}
	if o := c.OAuth2; o != nil {
		file("oauth2.client_secret_file", o.ClientSecretFile)
		file("oauth2.client_certificate_key_file", o.ClientCertificateKeyFile)
		ref("oauth2.client_secret_ref", o.ClientSecretRef)
		ref("oauth2.client_certificate_key_ref", o.ClientCertificateKeyRef)
	}
	if c.HTTPHeaders != nil {
		for name, h := range c.HTTPHeaders.Headers {
			for i, path := range h.Files {
				file(fmt.Sprintf("http_headers.%s.files[%d]", name, i), path)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b credential) int { return strings.Compare(a.key, b.key) })
	return all
}

// readable says why a file can't be read; "" is no file.
func readable(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

func validateSource(ip string) (all edge.Mistakes) {
	if ip != "" && net.ParseIP(ip) == nil {
		all.Add("source_ip_address", "%q: write an IP address of this machine, such as 192.0.2.1", ip)
	}
	return all
}

func validateIP(s string) (all edge.Mistakes) {
	if s != "" && s != "ip4" && s != "ip6" {
		all.Add("preferred_ip_protocol", "%q: write ip4 or ip6", s)
	}
	return all
}

func regexps(key string, texts []string) (all edge.Mistakes) {
	for i, s := range texts {
		if _, err := regexp.Compile(s); err != nil {
			all.Add(fmt.Sprintf("%s[%d]", key, i), "is no regular expression (RE2): %v", err)
		}
	}
	return all
}

func headerMatches(key string, ms []HeaderMatch) (all edge.Mistakes) {
	for i, h := range ms {
		at := fmt.Sprintf("%s[%d]", key, i)
		if !token.MatchString(h.Header) {
			all.Add(at+".header", "%q is no name of a header", h.Header)
		}
		if _, err := regexp.Compile(h.Regexp); err != nil {
			all.Add(at+".regexp", "is no regular expression (RE2): %v", err)
		}
	}
	return all
}

func checkURL(target string) error {
	_, err := parseTarget(target)
	return err
}

func parseTarget(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return nil, errors.New("is no URL: write http://HOST or https://HOST")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q begins with neither http:// nor https://", Redact(target))
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host: write http://HOST or https://HOST", Redact(target))
	case u.Port() != "" && !isPort(u.Port()):
		return nil, fmt.Errorf("%q: write a port from 1 to 65535", Redact(target))
	}
	return u, nil
}

func checkHostPort(target string) error {
	host, port, err := net.SplitHostPort(target)
	if err != nil || host == "" || !isPort(port) || strings.ContainsAny(target, "@/?# ") {
		return fmt.Errorf("%q: write HOST:PORT", Redact(target))
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 65535
}
