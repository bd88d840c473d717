// Package fleet turns the configuration into devices by name. Beside
// exporter/collect it is the only place that knows all kinds of device.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
)

// A Call is one exchange with one device, for logs and counters.
type Call struct {
	Device    string
	Operation string // what it was for: "read", "set admin", ...
	Transport string // unix, tcp, tcp4, tcp6, tls
	Command   string // the exact bytes sent; no secrets are part of it
	Write     bool   // it was meant to change something
	Duration  time.Duration
	Err       error
}

// Options are what the devices need beside their configuration.
type Options struct {
	Trace func(Call) // told of each exchange; may be nil
}

// A Fleet is all configured devices.
type Fleet struct {
	devices []*Device // by name
}

// A Device is one configured device of any kind.
type Device struct {
	name, kind string
	haproxy    *haproxy.Client
}

// ErrDevice says that a member is of another device, or of none.
var ErrDevice = errors.New("not this device's member")

// New builds the clients. It reads certificates but dials nothing: a device that
// is down when Sluice starts is no reason not to start.
func New(configs Configs, o Options) (*Fleet, error) {
	if m := configs.Validate(); len(m) > 0 {
		return nil, fmt.Errorf("devices%w", m[0])
	}
	f := &Fleet{}
	for _, c := range configs {
		client, err := newHAProxy(c, o)
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", c.Name, err)
		}
		f.devices = append(f.devices, &Device{name: c.Name, kind: "haproxy", haproxy: client})
	}
	slices.SortFunc(f.devices, func(a, b *Device) int { return cmp.Compare(a.name, b.name) })
	return f, nil
}

func newHAProxy(c Config, o Options) (*haproxy.Client, error) {
	opts := haproxy.Options{Address: c.HAProxy.Address, Timeout: time.Duration(c.HAProxy.Timeout)}
	if c.HAProxy.TLSConfig != nil {
		t, err := promconfig.NewTLSConfig(c.HAProxy.TLSConfig)
		if err != nil {
			return nil, fmt.Errorf("tls_config: %w", err)
		}
		if t.ServerName == "" {
			if t.ServerName, err = haproxy.Host(c.HAProxy.Address); err != nil {
				return nil, err
			}
		}
		opts.TLS = t
	}
	if o.Trace != nil {
		opts.Trace = func(k haproxy.Call) {
			o.Trace(Call{c.Name, k.Operation, k.Transport, k.Command, k.Write, k.Duration, k.Err})
		}
	}
	return haproxy.New(opts)
}

// Devices returns all devices, ordered by name.
func (f *Fleet) Devices() []*Device { return slices.Clone(f.devices) }

// Names returns the names of all devices, in order.
func (f *Fleet) Names() []string {
	names := make([]string, len(f.devices))
	for i, d := range f.devices {
		names[i] = d.name
	}
	return names
}

// Device finds one device by its name.
func (f *Fleet) Device(name string) (*Device, bool) {
	i, ok := slices.BinarySearchFunc(f.devices, name, func(d *Device, n string) int { return cmp.Compare(d.name, n) })
	if !ok {
		return nil, false
	}
	return f.devices[i], true
}

// Name is the device's name in the configuration.
func (d *Device) Name() string { return d.name }

// Kind is the key that the device has in the configuration: "haproxy".
func (d *Device) Kind() string { return d.kind }

// HAProxy is the device's client, nil for other kinds; exporter/collect wants
// more of a HAProxy than all kinds share.
func (d *Device) HAProxy() *haproxy.Client { return d.haproxy }

// Look reads everything that the device says of its members, in one exchange.
func (d *Device) Look(ctx context.Context) (edge.Snapshot, error) {
	r, err := d.haproxy.Read(ctx)
	if err != nil {
		return edge.Snapshot{}, fmt.Errorf("device %s: %w", d.name, err)
	}
	return r.Snapshot(d.name), nil
}

// SetAdmin puts a member in a state. A nil error means that the device took the
// command; look to see what it did.
func (d *Device) SetAdmin(ctx context.Context, m edge.Member, to edge.Admin) error {
	if m.Device != d.name {
		return fmt.Errorf("device %s: set %s to %s: %w", d.name, m, to, ErrDevice)
	}
	if err := d.haproxy.SetAdmin(ctx, m.Pool, m.Name, to); err != nil {
		return fmt.Errorf("device %s: %w", d.name, err)
	}
	return nil
}
