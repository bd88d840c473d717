package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
)

// codeOf is how the API answers when its engine ends so.
func codeOf(t *testing.T, result haproxyapi.Result, err error) (int, string) {
	t.Helper()
	e := fixedEngine{result, asAPIError("prod", err)}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, actionOf("shop", "a"), strings.NewReader(`{"action":"drain"}`))
	haproxyapi.Handler(haproxyapi.Options{Engine: e}).ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

type fixedEngine struct {
	result haproxyapi.Result
	err    error
}

// Instances is haproxyapi.Engine's.
func (fixedEngine) Instances() []haproxyapi.Instance { return []haproxyapi.Instance{{Name: "prod"}} }

// Read is haproxyapi.Engine's.
func (fixedEngine) Read(context.Context, string) (haproxyapi.Reading, error) {
	return haproxyapi.Reading{Backends: map[string][]haproxyapi.Server{"shop": {{Name: "a"}}}}, nil
}

// Act is haproxyapi.Engine's.
func (e fixedEngine) Act(context.Context, haproxyapi.Order) (haproxyapi.Result, error) {
	return e.result, e.err
}

func TestWhatCameOfAnOrderHasItsCode(t *testing.T) {
	m := edge.Member{Device: "prod", Pool: "shop", Name: "a"}
	no := func(name, reason string) remediator.Ordered {
		return remediator.Ordered{Result: "refused", Decision: guard.Decision{Refusal: &guard.Refusal{Guard: name, Reason: reason, Detail: "so it is"}}}
	}
	for _, c := range []struct {
		out  remediator.Ordered
		code int
		says string
	}{
		{remediator.Ordered{Result: "applied"}, 200, `"changed":true`},
		{remediator.Ordered{Result: "unchanged"}, 200, `"changed":false`},
		{remediator.Ordered{Result: "dry_run"}, 409, "mode dry_run"},
		{remediator.Ordered{Result: "failed", Detail: "proxy is disabled"}, 502, "HAProxy prod refused the command: proxy is disabled"},
		{remediator.Ordered{Result: "failed", Detail: "timeout", NoAnswer: true}, 503, "HAProxy prod can't be reached: timeout"},
		{remediator.Ordered{Result: "superseded", Detail: "found ready"}, 502, "found ready"},
		{remediator.Ordered{Result: "indeterminate", Detail: "timeout"}, 503, "whether it obeyed is unknown: timeout"},
		{remediator.Ordered{Result: "replanned", Detail: "changed meanwhile"}, 503, "changed meanwhile"},
		{remediator.Ordered{Result: "something new"}, 500, "unknown result"},
		{no("min_serving", "too_few_left"), 409, `"guard":"min_serving","reason":"too_few_left","override":true`},
		{no("agent", "agent"), 409, `"guard":"agent","reason":"agent"}`},
		{no("inventory", "read_only"), 409, `"guard":"inventory","reason":"read_only"}`},
		{no("inventory", "device_blind"), 503, "HAProxy prod can't be reached: so it is"},
		{no("inventory", "unknown_pool"), 404, `no such backend: \"shop\"`},
		{no("inventory", "unknown_member"), 404, `no such server: \"shop/a\"`},
	} {
		result, err := ordered(m, c.out)
		if code, body := codeOf(t, result, err); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%+v: %d %s, want %d %s", c.out, code, body, c.code, c.says)
		}
	}
}

func TestAnErrorOnTheWayHasItsCode(t *testing.T) {
	m := edge.Member{Device: "prod", Pool: "shop", Name: "a"}
	o := haproxyapi.Order{Override: []string{"leader"}}
	wrap := func(err error) error { return fmt.Errorf("prod/shop/a to drain: %w", err) }
	for _, c := range []struct {
		err  error
		code int
		says string
	}{
		{notOrdered(m, o, remediator.Ordered{}, wrap(remediator.ErrOverride)), 400, "leader"},
		{notOrdered(m, o, remediator.Ordered{}, wrap(remediator.ErrBusy)), 503, "nothing was done"},
		{notOrdered(m, o, remediator.Ordered{}, wrap(remediator.ErrStandby)), 503, "stands by"},
		{notOrdered(m, o, remediator.Ordered{}, wrap(remediator.ErrUnsettled)), 503, "isn't settled yet"},
		{notOrdered(m, o, remediator.Ordered{}, wrap(os.ErrPermission)), 503, "nothing was done"},
		{notOrdered(m, o, remediator.Ordered{Written: true}, wrap(os.ErrPermission)), 503, "whether it obeyed is unknown"},
		{wrap(haproxy.ErrPermission), 502, "level is below admin"},
		{wrap(haproxy.ErrProxyDisabled), 502, "proxy is disabled"},
		{wrap(fmt.Errorf("%w: something else", haproxy.ErrRefused)), 502, "something else"},
		{wrap(haproxy.ErrAnswer), 502, "unexpected answer"},
		{wrap(haproxy.ErrReadOnly), 502, "read over HTTP"},
		{wrap(edge.ErrNotKept), 502, "taken and not kept"},
		{wrap(haproxy.ErrTimeout), 503, "timeout"},
		{wrap(haproxy.ErrTruncated), 503, "breaks off"},
		{wrap(&haproxy.ConnectError{Address: "/s", Err: os.ErrNotExist}), 503, "connect to /s"},
		{wrap(&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}), 503, "reset"},
		{wrap(io.ErrUnexpectedEOF), 503, "EOF"},
		{wrap(errors.New("a fault")), 500, "internal error: prod/shop/a to drain: a fault"},
	} {
		if code, body := codeOf(t, haproxyapi.Result{}, c.err); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%v: %d %s, want %d %s", c.err, code, body, c.code, c.says)
		}
	}
}
