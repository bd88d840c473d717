// Package fleet turns the configuration into devices by name. Beside
// exporter/collect it is the only place that knows all kinds of device.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptafpro"
)

// A Call is one exchange with one device, for logs and counters.
type Call struct {
	Device    string
	Operation string // what it was for: "read", "set admin", ...
	Transport string // unix, tcp, tcp4, tcp6, tls, http, https
	Command   string // the exact bytes sent, or method and path; no secrets are part of it
	Method    string // of HTTP; empty otherwise
	Code      int    // of HTTP's answer; 0 when there was none
	Write     bool   // it was meant to change something
	Duration  time.Duration
	Err       error
}

// Options are what the devices need beside their configuration.
type Options struct {
	Trace func(Call) // told of each exchange; may be nil
	Write bool       // steps may be taken: a PTAF PRO is asked whether it can be written, by writing what stands there
}

// A Fleet is all configured devices.
type Fleet struct {
	devices []*Device // by name
}

// A Device is one configured device of any kind.
type Device struct {
	name, kind string
	client     client
}

// A client is one kind's way to look and to set.
type client interface {
	look(ctx context.Context, device string) (edge.Snapshot, error)
	// set is given one change or more, all of one pool of this device.
	set(ctx context.Context, o edge.Order) (edge.Receipt, error)
	whole() (every time.Duration, whole bool)
}

// ErrDevice says that a member is of another device, or of none.
var ErrDevice = errors.New("not this device's member")

// New builds the clients. It dials nothing and wants no file: a device that is
// down when Sluice starts is no reason not to start, and one whose password or
// certificate isn't there yet is no reason to lose the others ([Configs.Files]).
func New(configs Configs, o Options) (*Fleet, error) {
	if m := configs.Validate(); len(m) > 0 {
		return nil, fmt.Errorf("devices%w", m[0])
	}
	f := &Fleet{}
	for _, c := range configs {
		kind := c.kinds()[0]
		client, err := kind.build(c, o)
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", c.Name, err)
		}
		f.devices = append(f.devices, &Device{name: c.Name, kind: kind.name, client: client})
	}
	slices.SortFunc(f.devices, func(a, b *Device) int { return cmp.Compare(a.name, b.name) })
	return f, nil
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

// Look reads everything that the device says of its members, in one exchange.
func (d *Device) Look(ctx context.Context) (edge.Snapshot, error) {
	snap, err := d.client.look(ctx, d.name)
	if err != nil {
		return edge.Snapshot{}, fmt.Errorf("device %s: %w", d.name, err)
	}
	return snap, nil
}

// Set carries out an order. A nil error means that the device took it; look to
// see what it did.
func (d *Device) Set(ctx context.Context, o edge.Order) (edge.Receipt, error) {
	for _, c := range o.Changes {
		if c.Member.Device != d.name || c.Member.In() != o.Changes[0].Member.In() {
			return edge.Receipt{}, fmt.Errorf("device %s: set %s to %s: %w", d.name, c.Member, c.To, ErrDevice)
		}
	}
	if len(o.Changes) == 0 {
		return edge.Receipt{}, nil
	}
	r, err := d.client.set(ctx, o)
	if err != nil {
		return r, told(fmt.Errorf("device %s: %w", d.name, err))
	}
	return r, nil
}

// unanswered are the clients' words for a device that doesn't answer, or not in full.
var unanswered = []error{
	haproxy.ErrTimeout, haproxy.ErrTruncated, ptaf.ErrTimeout, ptafpro.ErrTimeout,
	context.DeadlineExceeded, context.Canceled, io.EOF, io.ErrUnexpectedEOF,
}

// told marks an error of a write that no answer came to.
func told(err error) error {
	var connect *haproxy.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) || slices.ContainsFunc(unanswered, func(e error) bool { return errors.Is(err, e) }) {
		return &edge.NoAnswerError{Err: err}
	}
	return err
}

// Whole says that the device writes a pool in one piece, so that all changes of
// a pool make one order, and how much time lies between two orders at least.
func (d *Device) Whole() (every time.Duration, whole bool) { return d.client.whole() }

// An objects client has whole objects, and takes one back as it was stored.
type objects interface {
	preview(pool string, object []byte) (after []edge.State, other string, err error)
	restore(ctx context.Context, pool edge.Pool, object []byte, o edge.Order) (edge.Receipt, error)
}

// ErrNoObjects says that this kind of device has no whole objects.
var ErrNoObjects = errors.New("this kind of device has no objects that could be put back")

// Preview says how the members of a pool would stand with a stored object; other
// says why it is no image of that pool, empty when it is one.
func (d *Device) Preview(pool string, object []byte) (after []edge.State, other string, err error) {
	c, ok := d.client.(objects)
	if !ok {
		return nil, "", fmt.Errorf("device %s: %s: %w", d.name, d.kind, ErrNoObjects)
	}
	return c.preview(pool, object)
}

// Restore puts a stored object of a pool back. The order's changes aren't looked at.
func (d *Device) Restore(ctx context.Context, pool string, object []byte, o edge.Order) (edge.Receipt, error) {
	c, ok := d.client.(objects)
	if !ok {
		return edge.Receipt{}, fmt.Errorf("device %s: %s: %w", d.name, d.kind, ErrNoObjects)
	}
	r, err := c.restore(ctx, edge.Pool{Device: d.name, Name: pool}, object, o)
	if err != nil {
		return r, fmt.Errorf("device %s: %w", d.name, err)
	}
	return r, nil
}
