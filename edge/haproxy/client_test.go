package haproxy_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

const backends = `
backend shop
 server s1 127.0.0.1:1 weight 100
 server s2 127.0.0.1:2 weight 100
backend off
 disabled
 server s1 127.0.0.1:1
backend fixed
 balance source
 server s1 127.0.0.1:1 weight 100
`

func fake(v haproxytest.Version) *haproxytest.Fake {
	f := haproxytest.NewFake(v,
		haproxytest.Server{Backend: "shop", Name: "s1", Address: "127.0.0.1:1", Op: 2},
		haproxytest.Server{Backend: "shop", Name: "s2", Address: "127.0.0.1:2", Op: 2},
		haproxytest.Server{Backend: "off", Name: "s1", Address: "127.0.0.1:1", Op: 2},
		haproxytest.Server{Backend: "fixed", Name: "s1", Address: "127.0.0.1:1", Op: 2},
	)
	f.Disabled, f.Static = []string{"off"}, []string{"fixed"}
	return f
}

func client(t *testing.T, f *haproxytest.Fake) *haproxy.Client {
	t.Helper()
	c, err := haproxy.New(haproxy.Options{Address: "/fake", Dial: f.Dial, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// everyHAProxy runs a test against the fake in each version and the real one.
func everyHAProxy(t *testing.T, test func(*testing.T, *haproxy.Client)) {
	for _, v := range haproxytest.Versions {
		t.Run("fake "+v.String(), func(t *testing.T) { test(t, client(t, fake(v))) })
	}
	t.Run("real", func(t *testing.T) {
		c, err := haproxy.New(haproxy.Options{Address: haproxytest.StartReal(t, backends).Socket})
		if err != nil {
			t.Fatal(err)
		}
		test(t, c)
	})
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v; want %v", err, want)
	}
	if err != nil && strings.ContainsAny(err.Error(), "\n\r\x00") {
		t.Errorf("%q is not one line", err)
	}
}

func read(t *testing.T, c *haproxy.Client) edge.Snapshot {
	t.Helper()
	r, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r.Snapshot("edge1")
}

func TestAStateThatIsSetIsReadBack(t *testing.T) {
	everyHAProxy(t, func(t *testing.T, c *haproxy.Client) {
		m := edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
		for _, step := range []struct {
			to      edge.Admin
			marks   string
			serving bool
		}{{edge.Ready, "", true}, {edge.Drain, "FDRAIN", false}, {edge.Drain, "FDRAIN", false}, {edge.Maint, "FMAINT", false}, {edge.Ready, "", true}} {
			wantErr(t, c.SetAdmin(t.Context(), "shop", "s1", step.to), nil)
			st, ok := read(t, c).States[m]
			if !ok || st.Admin != step.to || st.Marks != step.marks || st.Serving != step.serving {
				t.Errorf("after %s: %+v", step.to, st)
			}
			if st.Address != "127.0.0.1:1" {
				t.Errorf("address is %q", st.Address)
			}
		}
	})
}

func TestRefusalsHaveTheirErrors(t *testing.T) {
	everyHAProxy(t, func(t *testing.T, c *haproxy.Client) {
		ctx := t.Context()
		for _, r := range []struct {
			name string
			err  error
			want error
		}{
			{"unknown server", c.SetAdmin(ctx, "shop", "s9", edge.Drain), haproxy.ErrNoServer},
			{"unknown backend", c.SetAdmin(ctx, "nope", "s1", edge.Drain), haproxy.ErrNoBackend},
			{"names are case-sensitive", c.SetAdmin(ctx, "Shop", "s1", edge.Drain), haproxy.ErrNoBackend},
			{"disabled backend", c.SetAdmin(ctx, "off", "s1", edge.Drain), haproxy.ErrProxyDisabled},
			{"weight of a static algorithm", c.SetWeight(ctx, "fixed", "s1", 50), haproxy.ErrRefused},
			{"weight beyond a hundred", c.SetWeight(ctx, "shop", "s1", 101), haproxy.ErrPercent},
			{"sessions of an unknown server", c.ShutdownSessions(ctx, "shop", "s9"), haproxy.ErrNoServer},
			{"I21: a second command in a name", c.SetAdmin(ctx, "shop", "s1;disable server shop/s2", edge.Drain), haproxy.ErrName},
			{"I21: a line break", c.SetAdmin(ctx, "shop", "s1\nshow env", edge.Drain), haproxy.ErrName},
			{"I21: NUL", c.SetAdmin(ctx, "shop", "s1\x00x", edge.Drain), haproxy.ErrName},
			{"I21: a payload mark", c.SetAdmin(ctx, "shop <<", "s1", edge.Drain), haproxy.ErrName},
			{"I21: a server by number", c.SetAdmin(ctx, "#1", "s1", edge.Drain), haproxy.ErrName},
			{"no state at all", c.SetAdmin(ctx, "shop", "s1", edge.Admin(7)), edge.ErrAdmin},
		} {
			t.Run(r.name, func(t *testing.T) { wantErr(t, r.err, r.want) })
		}
		for m, st := range read(t, c).States {
			if st.Admin != edge.Ready && m.Pool != "off" {
				t.Errorf("%s was moved: %+v", m, st)
			}
		}
	})
}

func TestWeightsAndSessions(t *testing.T) {
	everyHAProxy(t, func(t *testing.T, c *haproxy.Client) {
		wantErr(t, c.SetWeight(t.Context(), "shop", "s2", 50), nil)
		now, initial, err := c.Weight(t.Context(), "shop", "s2")
		wantErr(t, err, nil)
		if now != 50 || initial != 100 {
			t.Errorf("weight %d of %d; want 50 of 100", now, initial)
		}
		_, _, err = c.Weight(t.Context(), "shop", "s9")
		wantErr(t, err, haproxy.ErrNoServer)
		wantErr(t, c.ShutdownSessions(t.Context(), "shop", "s1"), nil)
	})
}

func TestI21NothingIsSentForANameThatTheDeviceDoesNotList(t *testing.T) {
	f := fake(haproxytest.Version{Major: 2, Minor: 6})
	c := client(t, f)
	for _, name := range []string{"s9", "s1;x", "s1\n", ""} {
		if err := c.SetAdmin(t.Context(), "shop", name, edge.Drain); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	for _, sent := range f.Commands() {
		if strings.HasPrefix(sent, "set server") {
			t.Errorf("sent %q", sent)
		}
	}
}

// I2, I10
func TestFaultsAreErrorsAndNeverHalfAnAnswer(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault haproxytest.Fault
		want  error
	}{
		{"an answer that breaks off", haproxytest.Truncate, haproxy.ErrTruncated},
		{"an answer that never comes", haproxytest.Hang, haproxy.ErrTimeout},
		{"an answer of something else", haproxytest.Garbage, haproxy.ErrTruncated},
		{"no answer", haproxytest.Drop, haproxy.ErrTruncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fake(haproxytest.Version{Major: 2, Minor: 6})
				f.Misbehave(c.fault)
				begun := time.Now()
				_, err := client(t, f).Read(t.Context())
				wantErr(t, err, c.want)
				if took := time.Since(begun); took > time.Second {
					t.Errorf("took %s, the timeout is 1 s", took)
				}
			})
		})
	}
}

func TestALevelBelowAdminIsPermissionDenied(t *testing.T) {
	f := fake(haproxytest.Version{Major: 2, Minor: 6})
	f.Misbehave(haproxytest.Level)
	wantErr(t, client(t, f).SetAdmin(t.Context(), "shop", "s1", edge.Drain), haproxy.ErrPermission)
}

func TestACancelledCallerDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fake(haproxytest.Version{Major: 2, Minor: 6})
		f.Misbehave(haproxytest.Hang)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err := client(t, f).Info(ctx)
		wantErr(t, err, haproxy.ErrTimeout)
		if took := time.Since(begun); took != 10*time.Millisecond {
			t.Errorf("waited %s", took)
		}
	})
}

func TestADeadSocketIsAConnectError(t *testing.T) {
	for _, address := range []string{t.TempDir() + "/none.sock", "ipv4@127.0.0.1:1"} {
		c, err := haproxy.New(haproxy.Options{Address: address})
		wantErr(t, err, nil)
		_, err = c.Info(t.Context())
		var connect *haproxy.ConnectError
		if !errors.As(err, &connect) {
			t.Errorf("%s: got %v; want a ConnectError", address, err)
		}
	}
}

func TestTheTraceTellsWhatWasSent(t *testing.T) {
	f := fake(haproxytest.Version{Major: 2, Minor: 6})
	var calls []haproxy.Call
	c, err := haproxy.New(haproxy.Options{Address: "ipv4@192.0.2.1:9999", Dial: f.Dial, Trace: func(c haproxy.Call) { calls = append(calls, c) }})
	wantErr(t, err, nil)
	wantErr(t, c.SetAdmin(t.Context(), "shop", "s1", edge.Drain), nil)
	var got []string
	for _, k := range calls {
		got = append(got, k.Transport+" "+k.Command)
		if k.Err != nil || k.Write != strings.Contains(k.Command, "set server") {
			t.Errorf("%+v", k)
		}
	}
	if d := cmp.Diff([]string{"tcp4 show servers state shop", "tcp4 set severity-output number;set server shop/s1 state drain"}, got); d != "" {
		t.Error(d)
	}
}

func TestRestartsAreSeen(t *testing.T) {
	f := fake(haproxytest.Version{Major: 2, Minor: 6})
	c := client(t, f)
	before := read(t, c).Process
	f.Restart()
	if after := read(t, c).Process; after == before {
		t.Errorf("both lives are %q", after)
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ in, network, address string }{
		{"/run/haproxy/admin.sock", "unix", "/run/haproxy/admin.sock"},
		{"unix@/run/h.sock", "unix", "/run/h.sock"},
		{"ipv4@192.0.2.1:9999", "tcp4", "192.0.2.1:9999"},
		{"ipv6@[2001:db8::1]:9999", "tcp6", "[2001:db8::1]:9999"},
		{"lb.example.com:9999", "tcp", "lb.example.com:9999"},
	} {
		network, address, err := haproxy.ParseAddress(c.in)
		if err != nil || network != c.network || address != c.address {
			t.Errorf("%q is %s %s, %v", c.in, network, address, err)
		}
	}
	for _, bad := range []string{"", "unix@", "ipv4@192.0.2.1", "ipv4@[2001:db8::1]:1", "ipv6@192.0.2.1:1", "host:0", "host:65536", "host:x", ":99", "fd@3", "ho\nst:1", "ipv4@192.0.2.256:1", "10.0.0:1", "http://192.0.2.256/;csv"} {
		_, _, err := haproxy.ParseAddress(bad)
		wantErr(t, err, haproxy.ErrAddress)
	}
}

func TestATCPAddressWorks(t *testing.T) {
	f := fake(haproxytest.Version{Major: 3, Minor: 4})
	c, err := haproxy.New(haproxy.Options{Address: "127.0.0.1:9999", Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" || address != "127.0.0.1:9999" {
			t.Errorf("dialled %s %s", network, address)
		}
		return f.Dial(ctx, network, address)
	}})
	wantErr(t, err, nil)
	if _, err := c.Stats(t.Context()); err != nil {
		t.Error(err)
	}
}
