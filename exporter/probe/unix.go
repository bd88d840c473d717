package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
)

// Unix is how the prober unix talks over a socket of this machine. A target is
// the socket's path, with or without unix://, or @NAME for an abstract one.
type Unix struct {
	QueryResponse []QueryResponse      `yaml:"query_response,omitempty"`
	TLS           bool                 `yaml:"tls,omitempty"`
	TLSConfig     promconfig.TLSConfig `yaml:"tls_config,omitempty"`
}

func validateUnix(m Module) edge.Mistakes {
	all := validateTalk(m.Unix.QueryResponse, m.Unix.TLS)
	all.Under("", validateTLS("tls_config", m.Unix.TLSConfig))
	return all
}

func (u Unix) unserved() string {
	secure := u.TLS
	for _, q := range u.QueryResponse {
		secure = secure || q.StartTLS
	}
	if secure && u.TLSConfig.ServerName == "" && !u.TLSConfig.InsecureSkipVerify {
		return "tls_config.server_name: is missing: a socket has no name that a certificate could carry"
	}
	return ""
}

// maxSocketPath is what fits into an address, in bytes, with the NUL that ends
// it. Source: unix(7), sun_path.
const maxSocketPath = 107

// socketPath has no character that would need quoting in a label or a log, and
// nothing that a URL could keep secret.
var socketPath = regexp.MustCompile(`^(?:/[A-Za-z0-9._+=,:-]+)+$|^@[A-Za-z0-9._+=,/-]+$`)

// socketOf is the path that a target of the prober unix means.
func socketOf(target string) string { return strings.TrimPrefix(target, "unix://") }

func isSocket(target string) bool { return socketPath.MatchString(socketOf(target)) }

func checkSocket(target string) error {
	switch {
	case !isSocket(target):
		return fmt.Errorf("%q: write the path of a socket from the root on, such as /run/app.sock, of letters, digits and . _ + = , : - only", Redact(target))
	case len(socketOf(target)) > maxSocketPath:
		return fmt.Errorf("%q: the path of a socket has %d bytes at most", Redact(target), maxSocketPath)
	}
	return nil
}

// A unixProber connects to a socket and, where it is told to, has a short conversation.
type unixProber struct {
	module Module
	script *script
}

func newUnix(m Module) (Prober, error) {
	s, err := newScript(m.Unix.QueryResponse, m.Unix.TLS, m.Unix.TLSConfig)
	return &unixProber{module: m, script: s}, err
}

// Probe connects once. See [Prober].
func (p *unixProber) Probe(ctx context.Context, target string) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, p.module.timeout())
	defer cancel()
	c := newCourse(ctx)
	r.Start = time.Now()
	defer func() {
		r.Stages, r.Duration = c.done(), time.Since(r.Start)
		r.Up = r.Reason == ""
	}()
	if err := checkSocket(target); err != nil {
		r.Reason, r.Detail = Unmade, err.Error()
		return r
	}
	if ctx.Err() != nil {
		r.Reason, r.Detail = Unmade, "no time was left for it"
		return r
	}
	c.begin(StageConnect)
	conn, err := dialSocket(ctx, socketOf(target))
	switch {
	case errors.Is(err, fs.ErrPermission): // ours to permit, and no word on who listens there
		r.Reason, r.Detail = Unmade, "connect: "+plain(err)
		return r
	case err != nil:
		r.Reason, r.Detail = failure(ctx, StageConnect, err)
		return r
	}
	p.script.run(ctx, c, conn, "", &r)
	return r
}

// dialSocket connects to a socket until ctx ends; see [dialer.dial].
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	if err := allowed(ctx, "unix", path, path); err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() }) // the probe has its answer
	return conn, nil
}
