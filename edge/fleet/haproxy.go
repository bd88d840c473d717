package fleet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
)

// HAProxy says how to reach the stats socket of one HAProxy process, or its
// statistics page, which can only be read.
type HAProxy struct {
	Address string         `yaml:"address"`
	Timeout model.Duration `yaml:"timeout,omitempty"` // of one batch; 5s when left out
	// TLSConfig is for an https address, and for a TCP address with something in
	// front that ends TLS: HAProxy's own CLI has none.
	TLSConfig *promconfig.TLSConfig `yaml:"tls_config,omitempty"`
	// BasicAuth is for an address by HTTP, PinSHA256 for one by https, as [HTTP] has it.
	BasicAuth *promconfig.BasicAuth `yaml:"basic_auth,omitempty"`
	PinSHA256 string                `yaml:"pin_sha256,omitempty"`
	Metrics   HAProxyMetrics        `yaml:"metrics,omitempty"`
}

// overHTTP says that the address is that of a statistics page.
func overHTTP(network string) bool { return network == "http" || network == "https" }

// web are the settings for a statistics page.
func (h *HAProxy) web() *HTTP {
	w := &HTTP{PinSHA256: h.PinSHA256, Client: promconfig.DefaultHTTPClientConfig}
	w.Client.BasicAuth = h.BasicAuth
	if h.TLSConfig != nil {
		w.Client.TLSConfig = *h.TLSConfig
	}
	return w
}

func (h *HAProxy) validate() (m edge.Mistakes) {
	network, _, err := haproxy.ParseAddress(h.Address)
	if err != nil {
		m.Add("address", "%v", err)
	}
	if h.Timeout < 0 || time.Duration(h.Timeout) > maxTimeout {
		m.Add("timeout", "%s: want more than 0 and at most %s", h.Timeout, model.Duration(maxTimeout))
	}
	switch {
	case h.BasicAuth == nil:
	case err == nil && !overHTTP(network):
		m.Add("basic_auth", "is for an http or https address: a stats socket has no password")
	default:
		m.Under("basic_auth", (&HTTP{Client: promconfig.HTTPClientConfig{BasicAuth: h.BasicAuth}}).validate())
	}
	switch {
	case h.PinSHA256 == "":
	case err == nil && network != "https":
		m.Add("pin_sha256", "is for an https address: leave it out")
	default:
		pinned := &HTTP{PinSHA256: h.PinSHA256}
		if h.TLSConfig != nil {
			pinned.Client.TLSConfig = *h.TLSConfig
		}
		m.Under("", pinned.validate())
	}
	m.Under("metrics", h.Metrics.validate())
	if h.TLSConfig == nil {
		return m
	}
	switch network {
	case "unix":
		m.Add("tls_config", "a unix socket has no TLS: leave it out")
	case "http":
		m.Add("tls_config", "an http address has no TLS: write https, or leave it out")
	}
	if err := h.TLSConfig.Validate(); err != nil {
		m.Add("tls_config", "%v", err)
	}
	return m
}

func (h *HAProxy) setDirectory(dir string) {
	if network, path, err := haproxy.ParseAddress(h.Address); err == nil && network == "unix" {
		h.Address = "unix@" + promconfig.JoinDir(dir, path)
	}
	h.TLSConfig.SetDirectory(dir)
	h.BasicAuth.SetDirectory(dir)
}

func newHAProxy(c Config, o Options) (client, error) {
	opts := haproxy.Options{Address: c.HAProxy.Address, Timeout: time.Duration(c.HAProxy.Timeout)}
	network, _, err := haproxy.ParseAddress(c.HAProxy.Address)
	switch {
	case err != nil:
		return nil, err
	case overHTTP(network):
		// Its calls are told of as those of a socket are, whole answers included.
		if opts.HTTP, err = c.HAProxy.web().client(c.Name, Options{}); err != nil {
			return nil, err
		}
	case c.HAProxy.TLSConfig != nil:
		host, err := haproxy.Host(c.HAProxy.Address)
		if err != nil {
			return nil, err
		}
		opts.Dial = dialTLS(c.HAProxy.TLSConfig, host)
	}
	if o.Trace != nil {
		opts.Trace = func(k haproxy.Call) {
			o.Trace(Call{
				Device: c.Name, Operation: k.Operation, Transport: transport(c.HAProxy, k.Transport), Command: k.Command,
				Write: k.Write, Duration: k.Duration, Err: k.Err,
			})
		}
	}
	h, err := haproxy.New(opts)
	return haproxyClient{h, c.HAProxy.Metrics}, err
}

// dialTLS reads the files anew for each connection, so that certificates may be
// renewed, and so that one that isn't there costs this device and no other.
func dialTLS(c *promconfig.TLSConfig, host string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		settings, err := promconfig.NewTLSConfigWithContext(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("tls_config: %w", err)
		}
		settings.ServerName = cmp.Or(settings.ServerName, host)
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		t := tls.Client(conn, settings)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("tls: %w", err), conn.Close())
		}
		return t, nil
	}
}

func transport(h *HAProxy, network string) string {
	if h.TLSConfig != nil && !overHTTP(network) {
		return "tls"
	}
	return network
}

// HAProxy is the device's client, nil for other kinds; exporter/collect wants
// more of a HAProxy than all kinds share.
func (d *Device) HAProxy() *haproxy.Client {
	h, ok := d.client.(haproxyClient)
	if !ok {
		return nil
	}
	return h.Client
}

// HAProxyMetrics says what is wanted of the device's metrics; all of it for other kinds.
func (d *Device) HAProxyMetrics() HAProxyMetrics {
	h, _ := d.client.(haproxyClient)
	return h.metrics
}

type haproxyClient struct {
	*haproxy.Client
	metrics HAProxyMetrics
}

func (h haproxyClient) look(ctx context.Context, device string) (edge.Snapshot, error) {
	r, err := h.Read(ctx)
	if err != nil {
		return edge.Snapshot{}, err
	}
	return r.Snapshot(device), nil
}

func (h haproxyClient) set(ctx context.Context, o edge.Order) (edge.Receipt, error) {
	for i, c := range o.Changes { // each is a command of its own
		if i == 0 && o.Last != nil {
			if err := o.Last(); err != nil {
				return edge.Receipt{}, err
			}
		}
		if err := h.change(ctx, c); err != nil {
			return edge.Receipt{Written: i > 0}, err
		}
	}
	return edge.Receipt{Written: true}, nil
}

// change gives a weight before the member comes in, and after it went out: at no
// moment does it get more traffic than is wanted.
func (h haproxyClient) change(ctx context.Context, c edge.Change) error {
	weigh := func() error {
		if c.Share == 0 {
			return nil
		}
		return h.SetShare(ctx, c.Member.Pool, c.Member.Name, c.Share)
	}
	if c.To == edge.Ready {
		if err := weigh(); err != nil {
			return err
		}
		return h.SetAdmin(ctx, c.Member.Pool, c.Member.Name, c.To)
	}
	if err := h.SetAdmin(ctx, c.Member.Pool, c.Member.Name, c.To); err != nil {
		return err
	}
	return weigh()
}

func (haproxyClient) whole() (time.Duration, bool) { return 0, false }
