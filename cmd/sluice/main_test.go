package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sluice-project/sluice/test/loopback"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sluice": main})
}

// Each script in testdata/script runs the program as a user would.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"free":   scriptFree,
			"member": scriptMember,
			"fetch":  scriptFetch,
			"post":   scriptPost,
			"fill":   scriptFill,
			"signal": scriptSignal,
			"hang":   scriptHang,
			"within": scriptWithin,
			"code":   scriptCode,

			"alertmanager": scriptAlertmanager,
		},
	})
}

// scriptFree sets each variable to an address on which nothing listens, and one
// with _PORT behind its name to the port alone: "free ADDRESS...".
func scriptFree(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		address, err := loopback.Address()
		ts.Check(err)
		_, port, err := net.SplitHostPort(address)
		ts.Check(err)
		ts.Setenv(name, address)
		ts.Setenv(name+"_PORT", port)
	}
}

// scriptMember starts a web server that answers each request with a status and
// a body, and sets the variable to its address: "member VARIABLE STATUS BODY".
func scriptMember(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: member VARIABLE STATUS BODY")
	}
	var status int
	_, err := fmt.Sscan(args[1], &status)
	ts.Check(err)
	scriptServe(ts, args[0], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, args[2]) // the prober that hung up needs no answer
	}))
}

// scriptFetch asks a server that may still be starting, until the answer has
// the status and holds the text, and writes the answer to stdout:
// "fetch METHOD URL STATUS TEXT". It carries the token in BEARER, where one is set.
func scriptFetch(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: fetch METHOD URL STATUS TEXT")
	}
	var last string
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		req, err := http.NewRequest(args[0], args[1], nil)
		ts.Check(err)
		if token := ts.Getenv("BEARER"); token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err.Error()
		} else {
			body, err := io.ReadAll(resp.Body)
			ts.Check(err)
			ts.Check(resp.Body.Close())
			last = fmt.Sprintf("%d\n%s", resp.StatusCode, body)
			if fmt.Sprint(resp.StatusCode) == args[2] && strings.Contains(string(body), args[3]) {
				_, err := ts.Stdout().Write(body)
				ts.Check(err)
				return
			}
		}
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("%s %s: want %s with %q, last: %s", args[0], args[1], args[2], args[3], last)
		}
	}
}

// scriptPost sends a body once: "post URL STATUS BODY".
func scriptPost(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: post URL STATUS BODY")
	}
	req, err := http.NewRequest(http.MethodPost, args[0], strings.NewReader(args[2]))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	if token := ts.Getenv("BEARER"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if fmt.Sprint(resp.StatusCode) != args[1] {
		ts.Fatalf("POST %s: want %s, got %d: %s", args[0], args[1], resp.StatusCode, body)
	}
}

// scriptFill puts the values of variables into files of the script: "fill FILE...".
func scriptFill(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := ts.ReadFile(file)
		for _, name := range strings.Fields("A B C AM GOOD BAD FRONT") {
			text = strings.ReplaceAll(text, "$"+name+"$", ts.Getenv(name))
		}
		ts.Check(writeFile(ts.MkAbs(file), text))
	}
}

// scriptHang sets the variable to an address that takes connections and never
// answers: "hang VARIABLE".
func scriptHang(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := loopback.Listen()
	ts.Check(err)
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
	ts.Defer(func() {
		ts.Check(ln.Close())
		<-done
		for _, conn := range open {
			ts.Check(conn.Close())
		}
	})
	ts.Setenv(args[0], ln.Addr().String())
}

// scriptWithin says that the last signal was sent no longer ago: "within DURATION".
func scriptWithin(ts *testscript.TestScript, _ bool, args []string) {
	most, err := time.ParseDuration(args[0])
	ts.Check(err)
	sent, err := time.Parse(time.RFC3339Nano, ts.Getenv("SIGNALLED"))
	ts.Check(err)
	if took := time.Since(sent); took > most {
		ts.Fatalf("took %s, want at most %s", took, most)
	}
}

// scriptCode runs a program that has to end with an exit code: "code CODE PROGRAM ARG...".
func scriptCode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want, err := strconv.Atoi(args[0]); err != nil || code != want {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// scriptAlertmanager starts what answers like an Alertmanager that has run for an
// hour and has one alert with these labels: "alertmanager VARIABLE NAME=VALUE...".
func scriptAlertmanager(ts *testscript.TestScript, _ bool, args []string) {
	labels := make(map[string]string)
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		labels[name] = value
	}
	now := func(since time.Duration) string { return time.Now().Add(since).UTC().Format(time.RFC3339) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v2/alerts", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, []map[string]any{{
			"labels": labels, "annotations": map[string]string{}, "fingerprint": "f00d", "receivers": []any{},
			"startsAt": now(-time.Minute), "updatedAt": now(0), "endsAt": now(time.Hour),
			"status": map[string]any{"state": "active", "silencedBy": []any{}, "inhibitedBy": []any{}},
		}})
	})
	mux.HandleFunc("GET /api/v2/status", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{
			"uptime": now(-time.Hour), "cluster": map[string]any{"status": "ready", "name": "a", "peers": []any{}},
			"versionInfo": map[string]string{}, "config": map[string]string{"original": ""},
		})
	})
	scriptServe(ts, args[0], mux)
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader who hung up needs no answer
}

// scriptServe serves until the script ends.
func scriptServe(ts *testscript.TestScript, variable string, h http.Handler) {
	ln, err := loopback.Listen()
	ts.Check(err)
	s := httptest.NewUnstartedServer(h)
	ts.Check(s.Listener.Close())
	s.Listener = ln
	s.Start()
	ts.Defer(s.Close)
	ts.Setenv(variable, ln.Addr().String())
}

// scriptSignal sends a signal to all programs in the background: "signal HUP".
func scriptSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}
	ts.Setenv("SIGNALLED", time.Now().Format(time.RFC3339Nano))
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(signals[args[0]]))
	}
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
