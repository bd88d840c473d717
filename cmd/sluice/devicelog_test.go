package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
)

func TestOneLinePerDeviceCall(t *testing.T) {
	write := fleet.Call{
		Device: "edge1", Operation: "set admin", Transport: "unix", Command: "set server shop/app1 state drain", Write: true,
		Duration: 1500 * time.Microsecond,
	}
	read := fleet.Call{Device: "edge1", Operation: "read", Transport: "tcp4", Command: "show info;show stat"}
	failed := func(c fleet.Call, err error) fleet.Call { c.Err = err; return c }
	absent := func(path string) fleet.Call {
		return fleet.Call{
			Device: "waf1", Operation: "get", Transport: "https", Method: "GET", Command: "GET " + path,
			Code: 404, Err: &fleet.StatusError{Code: 404},
		}
	}
	gone := errors.New("connect: no such file or directory")

	for _, c := range []struct {
		name  string
		calls []fleet.Call
		want  []string
	}{
		{
			"a write that was taken",
			[]fleet.Call{write},
			[]string{`level=info msg="device call" device=edge1 operation="set admin" transport=unix command="set server shop/app1 state drain" duration=1.5ms result=ok`},
		},
		{
			"a write that HAProxy refused",
			[]fleet.Call{failed(write, fmt.Errorf("set shop/app1: %w", haproxy.ErrPermission))},
			[]string{`level=warn msg="device call" device=edge1 operation="set admin" transport=unix command="set server shop/app1 state drain" duration=1.5ms result=refused err="set shop/app1: permission denied: the socket's level is below admin"`},
		},
		{
			"a device that is away is told once, and its return",
			[]fleet.Call{read, failed(read, gone), failed(read, gone), read, read},
			[]string{
				`level=debug msg="device call" device=edge1 operation=read transport=tcp4 command="show info;show stat" duration=0s result=ok`,
				`level=error msg="device call" device=edge1 operation=read transport=tcp4 command="show info;show stat" duration=0s result=failed err="connect: no such file or directory"`,
				`level=debug msg="device call" device=edge1 operation=read transport=tcp4 command="show info;show stat" duration=0s result="still failing" err="connect: no such file or directory"`,
				`level=info msg="device call" device=edge1 operation=read transport=tcp4 command="show info;show stat" duration=0s result="answers again"`,
				`level=debug msg="device call" device=edge1 operation=read transport=tcp4 command="show info;show stat" duration=0s result=ok`,
			},
		},
		{
			"gateways are optional, a wrong path is not",
			[]fleet.Call{absent("/api/waf/v2/gateways"), absent("/api/waf/v2/upstreams")},
			[]string{
				`level=debug msg="device call" device=waf1 operation=get transport=https command="GET /api/waf/v2/gateways" duration=0s code=404 result=ok`,
				`level=warn msg="device call" device=waf1 operation=get transport=https command="GET /api/waf/v2/upstreams" duration=0s result=refused err="HTTP status 404"`,
			},
		},
		{
			"each write that fails is told",
			[]fleet.Call{failed(write, gone), failed(write, gone)},
			[]string{
				`level=error msg="device call" device=edge1 operation="set admin" transport=unix command="set server shop/app1 state drain" duration=1.5ms result=failed err="connect: no such file or directory"`,
				`level=error msg="device call" device=edge1 operation="set admin" transport=unix command="set server shop/app1 state drain" duration=1.5ms result=failed err="connect: no such file or directory"`,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := new(record)
			d := newDeviceLog(newLogger(lines, &logFlags{level: "debug", format: "logfmt"}))
			for _, call := range c.calls {
				d.call(call)
			}
			var got []string
			for l := range strings.Lines(lines.String()) {
				_, l, _ = strings.Cut(strings.TrimSpace(l), " ") // the time
				got = append(got, l)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
