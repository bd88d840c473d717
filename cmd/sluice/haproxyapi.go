package main

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
)

// personOrders carries out what a person wants of a member, through guards,
// journal and read-back, and answers with the errors of package haproxyapi or of
// a device.
type personOrders func(ctx context.Context, m edge.Member, o haproxyapi.Order) (haproxyapi.Result, error)

// haproxies are the configured HAProxys as the REST API over their sockets has
// them: it reads them here, and orders go to the engine.
type haproxies struct {
	order personOrders
	all   atomic.Pointer[[]oneHAProxy]
}

type oneHAProxy struct {
	haproxyapi.Instance
	client *haproxy.Client
}

func newHAProxies(order personOrders) *haproxies {
	h := &haproxies{order: order}
	h.all.Store(new([]oneHAProxy))
	return h
}

// use takes the devices of a configuration, in its order: without an instance in
// the path the first one is meant.
func (h *haproxies) use(configs fleet.Configs, devices map[string]remediator.Device) {
	var all []oneHAProxy
	for _, c := range configs {
		d, ok := devices[c.Name].(*fleet.Device)
		if !ok || c.HAProxy == nil || d.HAProxy() == nil {
			continue
		}
		// What SetDirectory put before a path is ours; users wrote the path.
		address := strings.TrimPrefix(c.HAProxy.Address, "unix@")
		all = append(all, oneHAProxy{haproxyapi.Instance{Name: c.Name, Address: address}, d.HAProxy()})
	}
	h.all.Store(&all)
}

// Instances is [haproxyapi.Engine]'s.
func (h *haproxies) Instances() []haproxyapi.Instance {
	var out []haproxyapi.Instance
	for _, one := range *h.all.Load() {
		out = append(out, one.Instance)
	}
	return out
}

// Read is [haproxyapi.Engine]'s. The client's timeout bounds it.
func (h *haproxies) Read(ctx context.Context, instance string) (haproxyapi.Reading, error) {
	for _, one := range *h.all.Load() {
		if one.Name != instance {
			continue
		}
		r, err := one.client.Read(ctx)
		if err != nil {
			return haproxyapi.Reading{}, asAPIError(instance, err)
		}
		return rows(r), nil
	}
	return haproxyapi.Reading{}, &haproxyapi.NotFoundError{Kind: "instance", Name: instance} // a reload took it away meanwhile
}

// rows are the servers as HAProxy wrote them in "show stat", by backend. A
// backend without servers has none of them.
func rows(r haproxy.Reading) haproxyapi.Reading {
	admin := make(map[[2]string]edge.Admin, len(r.Servers))
	for _, s := range r.Servers {
		admin[[2]string{s.Backend, s.Name}] = s.Admin.State()
	}
	out := haproxyapi.Reading{Backends: map[string][]haproxyapi.Server{}}
	for _, row := range r.Stats.Rows {
		get := func(column string) string { return r.Stats.Get(row, column) }
		count := func(column string) int {
			n, err := strconv.Atoi(get(column))
			if err != nil || n < 0 {
				return 0 // HAProxy has no such column, or left the field empty
			}
			return n
		}
		switch row.Type {
		case haproxy.Backend:
			out.Backends[row.Proxy] = append([]haproxyapi.Server{}, out.Backends[row.Proxy]...)
		case haproxy.ServerRow:
			out.Backends[row.Proxy] = append(out.Backends[row.Proxy], haproxyapi.Server{
				Name: row.Service, Status: get("status"), Weight: get("weight"),
				CheckStatus: get("check_status"), CheckDuration: get("check_duration"),
				LastChange: get("lastchg"), Downtime: get("downtime"), Address: get("addr"), Cookie: get("cookie"),
				Admin:    admin[[2]string{row.Proxy, row.Service}],
				Sessions: count("scur"), Queue: count("qcur"), Limit: count("slim"),
			})
		}
	}
	return out
}

// Act is [haproxyapi.Engine]'s.
func (h *haproxies) Act(ctx context.Context, o haproxyapi.Order) (haproxyapi.Result, error) {
	if h.order == nil {
		return haproxyapi.Result{}, errors.New("no engine takes orders")
	}
	result, err := h.order(ctx, edge.Member{Device: o.Instance, Pool: o.Backend, Name: o.Server}, o)
	switch {
	case errors.Is(err, haproxy.ErrNoBackend):
		err = &haproxyapi.NotFoundError{Kind: "backend", Name: o.Backend}
	case errors.Is(err, haproxy.ErrNoServer):
		err = &haproxyapi.NotFoundError{Kind: "server", Name: o.Backend + "/" + o.Server}
	}
	return result, asAPIError(o.Instance, err)
}

// refusals are what HAProxy says, or shows, when it doesn't do as it is told.
var refusals = []error{
	haproxy.ErrPermission, haproxy.ErrProxyDisabled, haproxy.ErrRefused, haproxy.ErrReadOnly, haproxy.ErrAnswer, haproxy.ErrName, edge.ErrNotKept,
}

// absences are what it is like when HAProxy says nothing, or not all.
var absences = []error{haproxy.ErrTimeout, haproxy.ErrTruncated, context.DeadlineExceeded, context.Canceled, io.ErrUnexpectedEOF}

// asAPIError says what an error means to the caller of the API: what HAProxy
// refused, and whom we didn't reach, are two answers. An error that is one of
// the API's already, or none that we know, stays as it is.
func asAPIError(instance string, err error) error {
	is := func(e error) bool { return errors.Is(err, e) }
	outcome, connect, operation := (*haproxyapi.OutcomeError)(nil), (*haproxy.ConnectError)(nil), (*net.OpError)(nil)
	switch {
	case err == nil, errors.As(err, &outcome):
		return err
	case slices.ContainsFunc(refusals, is):
		return &haproxyapi.RefusedError{Instance: instance, Err: err}
	case errors.As(err, &connect): // what was to be asked is of no interest then
		return &haproxyapi.UnreachableError{Instance: instance, Err: connect}
	case slices.ContainsFunc(absences, is), errors.As(err, &operation):
		return &haproxyapi.UnreachableError{Instance: instance, Err: err}
	}
	return err
}
