package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
)

// The twelve defects that were seen in the source of the replaced API, each with
// a test that it isn't one of ours.

// Defect 1: both settings of authentication were read, and used nowhere.
func TestDefect01NobodyGetsInWithoutTheToken(t *testing.T) {
	lb := haproxytest.StartReal(t, twoServers)
	api := startAPI(t, "HAPROXY_SOCKET_PATH="+lb.Socket, "AGENT_SECURITY_ENABLED=true", "AGENT_AUTH_TOKEN=not-a-real-token")
	good := api.token
	for _, token := range []string{"", "wrong", good + "x", good[:4]} {
		api.token = token
		for _, path := range []string{"/instances", "/backends", "/backends/myapp/servers", "/nope"} {
			api.must(t, "GET", apiRoot+path, "", 401)
		}
		api.must(t, "POST", actionOf("myapp", "web01"), `{"action":"maint"}`, 401)
		api.must(t, "POST", strings.Replace(actionOf("myapp", "web01"), apiRoot, "/api/v1/control/haproxy", 1), `{"action":"maint"}`, 401)
	}
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		resp, err := http.Get(api.url + path)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %v", path, resp, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	api.token = good
	if s := api.must(t, "GET", apiRoot+"/backends/myapp/servers", "", 200).server(t, "web01"); s.Status != "no check" {
		t.Errorf("somebody got through: %+v", s)
	}
	if _, err := readEnvironment(vars("AGENT_SECURITY_ENABLED=true")); err == nil || !strings.HasPrefix(err.Error(), "AGENT_AUTH_TOKEN: ") {
		t.Errorf("without a token it starts: %v", err)
	}
}

// Defect 2: what HAProxy refused was reported as success, as its answers hold
// neither "error" nor "invalid".
func TestDefect02WhatHAProxyRefusesIsNoSuccess(t *testing.T) {
	operator := socketPath(t)
	lb := haproxytest.StartReal(t, twoServers+"global\n stats socket "+operator+" level operator\n")
	api := startAPI(t, "HAPROXY_INSTANCES=default="+lb.Socket+",reader="+operator)
	drain := `{"action":"drain"}`
	api.must(t, "POST", actionOf("myapp", "nope"), drain, 404, `no such server: \"myapp/nope\"`)
	api.must(t, "POST", actionOf("nope", "web01"), drain, 404, `no such backend: \"nope\"`)
	api.must(t, "GET", apiRoot+"/backends/nope/servers", "", 404, `no such backend: \"nope\"`)
	api.must(t, "GET", apiRoot+"/nope/backends", "", 404, `no such instance: \"nope\"`)
	api.must(t, "POST", apiRoot+"/reader/backends/myapp/servers/web01/action", drain, 502, "HAProxy reader refused the command", "level is below admin")
	if s := api.must(t, "GET", apiRoot+"/reader/backends/myapp/servers", "", 200).server(t, "web01"); s.Status != "no check" {
		t.Errorf("it was changed: %+v", s)
	}
}

// Defect 3, first half: nothing was read back after the change.
func TestDefect03WhatHAProxyTakesAndDoesntDoIsNoSuccess(t *testing.T) {
	fake := haproxytest.NewFake(haproxytest.Version{Major: 2, Minor: 6}, haproxytest.Server{Backend: "myapp", Name: "web01", Op: 2}, haproxytest.Server{Backend: "myapp", Name: "web02", Op: 2})
	path := socketPath(t)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); fake.Serve(ln) }()
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	api := startAPI(t, "HAPROXY_SOCKET_PATH="+path)
	fake.Misbehave(haproxytest.Deaf)
	api.must(t, "POST", actionOf("myapp", "web01"), `{"action":"drain"}`, 502, "HAProxy default refused")
	fake.Misbehave(haproxytest.None)
	api.must(t, "POST", actionOf("myapp", "web01"), `{"action":"drain"}`, 200)
}

// Defect 3, second half: the last server of a backend could be drained.
func TestDefect03TheLastServerStays(t *testing.T) {
	lb := haproxytest.StartReal(t, twoServers)
	api := startAPI(t, "HAPROXY_SOCKET_PATH="+lb.Socket)
	api.must(t, "POST", actionOf("myapp", "web01"), `{"action":"drain"}`, 200)
	a := api.must(t, "POST", actionOf("myapp", "web02"), `{"action":"maint"}`, 409, `"override":true`, "guard min_serving refuses")
	if a.Guard != "min_serving" {
		t.Errorf("guard %q", a.Guard)
	}
	if s := api.must(t, "GET", apiRoot+"/backends/myapp/servers", "", 200).server(t, "web02"); s.Status != "no check" {
		t.Errorf("it was changed: %+v", s)
	}
	api.must(t, "POST", actionOf("myapp", "web02"), `{"action":"maint","override":["leader"],"reason":"all of it goes"}`, 400, "leader")
	api.must(t, "POST", actionOf("myapp", "web02"), `{"action":"maint","override":["nonsense"],"reason":"all of it goes"}`, 400, "nonsense")
	api.must(t, "POST", actionOf("myapp", "web02"), `{"action":"maint","override":["min_serving"],"reason":"all of it goes"}`, 200, `"changed":true`)
	api.must(t, "POST", actionOf("myapp", "web02"), `{"action":"ready"}`, 200, `"changed":true`)
}

// Defect 4: an instance that was down at the start was dropped for ever.
func TestDefect04AnInstanceThatIsDownAtTheStartComesBack(t *testing.T) {
	path := socketPath(t)
	api := startAPI(t, "HAPROXY_SOCKET_PATH="+path)
	api.must(t, "GET", apiRoot+"/instances", "", 200, `"name":"default","socket_path":"`+path+`","available":false`, `"count":1`)
	api.must(t, "GET", apiRoot+"/backends", "", 503, "HAProxy default can't be reached", "no such file")
	api.must(t, "POST", actionOf("myapp", "web01"), `{"action":"drain"}`, 503)
	lb := haproxytest.StartReal(t, twoServers)
	if err := os.Symlink(lb.Socket, path); err != nil {
		t.Fatal(err)
	}
	api.must(t, "GET", apiRoot+"/instances", "", 200, `"available":true`)
	api.must(t, "GET", apiRoot+"/backends", "", 200, "myapp")
	api.must(t, "POST", actionOf("myapp", "web01"), `{"action":"drain"}`, 200)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	api.must(t, "GET", apiRoot+"/backends", "", 503)
}

// Defect 5: a connection that failed during an action was told as a command that
// HAProxy refused.
func TestDefect05NoConnectionIs503AlsoForAnAction(t *testing.T) {
	closed, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	hangs := hanging(t)
	api := startAPI(t, "HAPROXY_INSTANCES=default=/nonexistent/haproxy.sock,closed=ipv4@"+closed+",hangs=ipv4@"+hangs, "HAPROXY_TIMEOUT=0.2")
	for instance, says := range map[string]string{"default": "no such file", "closed": "connection refused", "hangs": "timeout"} {
		api.must(t, "GET", apiRoot+"/"+instance+"/backends", "", 503, "HAProxy "+instance+" can't be reached", says)
		api.must(t, "POST", apiRoot+"/"+instance+"/backends/myapp/servers/web01/action", `{"action":"drain"}`, 503, "HAProxy "+instance+" can't be reached", says)
	}
}

// Defect 6: the answer said "default" whichever instance was used.
func TestDefect06TheAnswerNamesTheInstanceThatWasUsed(t *testing.T) {
	one, two := haproxytest.StartReal(t, "backend one\n server s 192.0.2.1:80\n"), haproxytest.StartReal(t, "backend two\n server s 192.0.2.1:80\n")
	api := startAPI(t, "HAPROXY_INSTANCES=prod="+one.Socket+",backup="+two.Socket) // not in the alphabet's order
	api.must(t, "GET", apiRoot+"/backends", "", 200, `"instance":"prod","backends":["one"]`)
	api.must(t, "GET", apiRoot+"/backends/one/servers", "", 200, `"instance":"prod"`)
	api.must(t, "GET", apiRoot+"/backup/backends", "", 200, `"instance":"backup","backends":["two"]`)
	api = startAPI(t, "HAPROXY_INSTANCES=prod="+one.Socket+",default="+two.Socket)
	api.must(t, "GET", apiRoot+"/backends", "", 200, `"instance":"default","backends":["two"]`)
	api.must(t, "POST", apiRoot+"/prod/backends/one/servers/nope/action", `{"action":"drain"}`, 404)
}

// Defect 7: HAPROXY_INSTANCES had a default, so that HAPROXY_SOCKET_PATH never counted.
func TestDefect07TheSocketPathCounts(t *testing.T) {
	lb := haproxytest.StartReal(t, twoServers)
	api := startAPI(t, "HAPROXY_SOCKET_PATH="+lb.Socket)
	api.must(t, "GET", apiRoot+"/instances", "", 200, `{"instances":[{"name":"default","socket_path":"`+lb.Socket+`","available":true}],"count":1}`)
}

// Defect 8: rows in which a field was quoted, as it held a comma, were dropped.
func TestDefect08ACommaInAFieldLosesNoServer(t *testing.T) {
	closed, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	lb := haproxytest.StartReal(t, "backend myapp\n option tcp-check\n tcp-check connect comment \"first, second\"\n server web01 "+closed+" check inter 100ms fall 1\n server web02 192.0.2.11:8080\n")
	api := startAPI(t, "HAPROXY_SOCKET_PATH="+lb.Socket)
	api.awaits(t, apiRoot+"/backends/myapp/servers", func(_ int, a apiAnswer) bool { return a.server(t, "web01").Status == "DOWN" })
	if row := rawRow(t, lb.Socket, "myapp,web01,"); !strings.Contains(row, `first, second`) {
		t.Fatalf("HAProxy has no comma in it: %s", row)
	}
	a := api.must(t, "GET", apiRoot+"/backends/myapp/servers", "", 200, `"count":2`)
	if s := a.server(t, "web01"); s.CheckStatus != "L4CON" || s.Address != closed {
		t.Errorf("fields are shifted: %+v", s)
	}
}

// rawRow is a line of "show stat", as it comes.
func rawRow(t *testing.T, socket, prefix string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, "show stat"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			return lines.Text()
		}
	}
	t.Fatalf("no row %s: %v", prefix, lines.Err())
	return ""
}

// Defect 9: names went from the URL into the command, unchecked and undecoded.
func TestDefect09NoNameBecomesACommand(t *testing.T) {
	lb := haproxytest.StartReal(t, "backend myapp\n server web:01 192.0.2.10:8080\n server web02 192.0.2.11:8080\n server web03 192.0.2.12:8080\n")
	api := startAPI(t, "HAPROXY_SOCKET_PATH="+lb.Socket)
	for _, evil := range []string{
		"web02;disable%20server%20myapp%2Fweb03", "web02%3Bdisable%20server%20myapp%2Fweb03", "web02%20state%20ready%0Adisable%20server%20myapp%2Fweb03",
		"web02%0D%0Adisable%20server%20myapp%2Fweb03", "web02%00", "web02%20", "%20web02", "web02%3C%3C", "..%2Fmyapp%2Fweb02", "web02%5C",
	} {
		api.must(t, "POST", actionOf("myapp", evil), `{"action":"drain"}`, 400, "a name has letters")
		api.must(t, "POST", apiRoot+"/backends/"+evil+"/servers/web02/action", `{"action":"drain"}`, 400, "a name has letters")
		api.must(t, "GET", apiRoot+"/backends/"+evil+"/servers", "", 400, "a name has letters")
	}
	for _, s := range api.must(t, "GET", apiRoot+"/backends/myapp/servers", "", 200).Data.Servers {
		if s.Status != "no check" {
			t.Errorf("changed: %+v", s)
		}
	}
	api.must(t, "POST", actionOf("my%61pp", "web%3A01"), `{"action":"drain"}`, 200, `"backend":"myapp","server":"web:01"`)
}

// Defect 10: one slow socket stopped everybody, and bodies had no limit.
func TestDefect10AHangingHAProxyStopsNobodyElse(t *testing.T) {
	lb := haproxytest.StartReal(t, twoServers)
	api := startAPI(t, "HAPROXY_INSTANCES=default="+lb.Socket+",hangs=ipv4@"+hanging(t), "HAPROXY_TIMEOUT=30")
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, api.url+apiRoot+"/hangs/backends", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := client.Do(req)
			if err == nil {
				err = resp.Body.Close()
				t.Errorf("it was answered with %d, %v", resp.StatusCode, err)
			}
		})
	}
	for range 50 {
		api.must(t, "GET", apiRoot+"/backends/myapp/servers", "", 200)
	}
	api.must(t, "POST", actionOf("myapp", "web01"), `{"action":"drain"}`, 200)
	api.must(t, "POST", actionOf("myapp", "web01"), `{"action":"ready","reason":"`+strings.Repeat("a", 2<<20)+`"}`, 413, "at most 1048576 bytes")
	cancel() // nobody waits for the time-out
	all.Wait()
}

// hanging is an address that takes connections and never answers.
func hanging(t *testing.T) string {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var open []net.Conn
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed below
			}
			open = append(open, conn)
		}
	}()
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		<-done
		for _, conn := range open {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return ln.Addr().String()
}

// Defect 11: names that equal a word of the paths clashed with them.
func TestDefect11NamesMayEqualWordsOfThePaths(t *testing.T) {
	words := []string{"instances", "backends", "servers", "action", "haproxy", "control"}
	var config strings.Builder
	for _, b := range words {
		fmt.Fprintf(&config, "backend %s\n", b)
		for _, s := range words {
			fmt.Fprintf(&config, " server %s 192.0.2.1:80\n", s)
		}
	}
	lb := haproxytest.StartReal(t, config.String())
	var instances []string
	for _, w := range words {
		instances = append(instances, w+"="+lb.Socket)
	}
	api := startAPI(t, "HAPROXY_INSTANCES="+strings.Join(instances, ","))
	api.must(t, "GET", apiRoot+"/instances", "", 200, `"count":6`)
	for _, i := range append([]string{""}, words...) {
		prefix, name := apiRoot, "instances" // the first
		if i != "" {
			prefix, name = apiRoot+"/"+i, i
		}
		a := api.must(t, "GET", prefix+"/backends", "", 200)
		if want := slices.Sorted(slices.Values(words)); a.Data.Instance != name || !slices.Equal(a.Data.Backends, want) {
			t.Errorf("%s: %s", prefix, a.text)
		}
		for _, b := range words {
			api.must(t, "GET", prefix+"/backends/"+b+"/servers", "", 200, `"instance":"`+name+`","backend":"`+b+`"`)
			api.must(t, "POST", prefix+"/backends/"+b+"/servers/"+b+"/action", `{"action":"ready"}`, 200, `"instance":"`+name+`","backend":"`+b+`","server":"`+b+`"`)
		}
	}
}

// Defect 12: sessions and queue weren't told, so that nobody saw a drain end.
func TestDefect12ADrainIsSeenToEnd(t *testing.T) {
	front, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	member := hanging(t)
	lb := haproxytest.StartReal(t, "frontend f\n mode tcp\n bind "+front+"\n default_backend myapp\nbackend myapp\n mode tcp\n timeout server 60s\n timeout queue 60s\n server web01 "+member+" maxconn 1\n server web02 "+member+" disabled\nbackend other\n server s 192.0.2.1:80\n")
	api := startAPI(t, "HAPROXY_SOCKET_PATH="+lb.Socket)
	servers := apiRoot + "/backends/myapp/servers"
	dial := func() net.Conn {
		conn, err := net.DialTimeout("tcp", front, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	// HAProxy doesn't wait for the member when a client resets its connection.
	reset := func(conn net.Conn) {
		if err := errors.Join(conn.(*net.TCPConn).SetLinger(0), conn.Close()); err != nil {
			t.Error(err)
		}
	}
	becomes := func(sessions int) {
		api.awaits(t, servers, func(_ int, a apiAnswer) bool {
			s := a.server(t, "web01")
			return s.Sessions == sessions && s.Limit == 1
		})
	}
	becomes(0)
	client := dial()
	becomes(1)
	api.must(t, "POST", actionOf("myapp", "web01"), `{"action":"drain","override":["min_serving","load"],"reason":"its sessions are to end"}`, 200)
	if s := api.must(t, "GET", servers, "", 200).server(t, "web01"); s.Status != "DRAIN" || s.Sessions != 1 {
		t.Errorf("while it drains: %+v", s)
	}
	reset(client)
	becomes(0)
}
