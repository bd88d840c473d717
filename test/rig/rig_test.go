package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newMember(t *testing.T) *Member {
	t.Helper()
	m, err := NewMember("app1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestAMemberDiesAndComesBackOnItsPort(t *testing.T) {
	m := newMember(t)
	url := "http://" + m.Address + healthPath
	for _, step := range []struct {
		name   string
		be     Behaviour
		status int
		err    error
	}{
		{"serves at first", Serve, http.StatusOK, nil},
		{"fails", Fail, http.StatusInternalServerError, nil},
		{"refuses", Refuse, 0, syscall.ECONNREFUSED},
		{"hangs after that", Hang, 0, context.DeadlineExceeded},
		{"serves again", Serve, http.StatusOK, nil},
	} {
		if err := m.Set(step.be); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if step.err == nil {
			ctx = t.Context()
		}
		status, _, err := Do(ctx, http.MethodGet, url, nil)
		cancel()
		if status != step.status || !errors.Is(err, step.err) {
			t.Errorf("%s: got status %d, error %v; want %d, %v", step.name, status, err, step.status, step.err)
		}
	}
}

func TestHAProxySaysWhatPeopleOrdered(t *testing.T) {
	dir := shortDir(t)
	m := newMember(t)
	h, err := newHAProxy(dir, []*Member{m}, nil, Options{OwnChecks: true}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
	})

	wire, err := newWire(filepath.Join(dir, "wire.sock"), h.Socket)
	if err != nil {
		t.Fatal(err)
	}
	through := &HAProxy{Socket: wire.Socket}
	if err := through.Order(t.Context(), "set server shop/app1 state drain"); err != nil {
		t.Fatal(err)
	}
	if err := h.Want("app1", AdminDrain)(t.Context()); err != nil {
		t.Error(err)
	}
	if err := through.Order(t.Context(), "set server shop/nobody state drain"); err == nil {
		t.Error("HAProxy drained a server that doesn't exist")
	}
	if _, err := through.Server(t.Context(), Own, "app1"); err != nil {
		t.Error(err)
	}
	want := []string{"set server shop/app1 state drain", "set server shop/nobody state drain"}
	if diff := cmp.Diff(want, wire.Orders()); diff != "" {
		t.Errorf("orders on the wire (-want +got):\n%s", diff)
	}

	wire.Cut("state ready")
	if answer, err := through.Ask(t.Context(), "set server shop/app1 state ready"); err == nil && answer != "" {
		t.Errorf("a connection that broke answered %q", answer)
	}
	if err := h.Want("app1", AdminDrain)(t.Context()); err != nil {
		t.Errorf("a line that was cut arrived: %v", err)
	}
	if err := through.Order(t.Context(), "set server shop/app1 state drain"); err != nil {
		t.Errorf("the line after it: %v", err)
	}

	wire.Deafen(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if answer, err := through.Ask(ctx, "show info"); err == nil {
		t.Errorf("a deaf device answered %q", answer)
	}
	if err := wire.close(); err != nil {
		t.Error(err)
	}

	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Want("app1", AdminReady)(t.Context()); err != nil {
		t.Errorf("a new HAProxy remembers: %v", err)
	}
}

func TestATapNotesAndHandsOn(t *testing.T) {
	end, err := newTap("")
	if err != nil {
		t.Fatal(err)
	}
	tap, err := newTap("http://" + end.Address)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for i := range 2 {
		if status, err := Post(t.Context(), "http://"+tap.Address+"/webhook", fmt.Appendf(nil, `{"n":%d}`, i)); status != http.StatusOK || err != nil {
			t.Fatalf("got status %d, error %v", status, err)
		}
	}
	h, err := end.Next(t.Context(), start, `"n":1`)
	if err != nil || string(h.Body) != `{"n":1}` {
		t.Errorf("at the end: %s, %v", h.Body, err)
	}
	if err := end.close(); err != nil {
		t.Error(err)
	}
	if status, err := Post(t.Context(), "http://"+tap.Address+"/webhook", []byte(`{}`)); status != http.StatusBadGateway || err != nil {
		t.Errorf("nobody behind the tap: got status %d, error %v", status, err)
	}
	var statuses []int
	for _, s := range tap.Seen() {
		statuses = append(statuses, s.Status)
	}
	if diff := cmp.Diff([]int{200, 200, 502}, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if err := tap.close(); err != nil {
		t.Error(err)
	}
}

func TestAddressesOfExamplesAreMovedByPort(t *testing.T) {
	places := map[string]string{"9093": "127.0.0.1:20001"}
	e := example{
		"targets": []any{"127.0.0.1:9093", "127.0.0.1:9999"},
		"deep":    map[string]any{"url": "http://127.0.0.1:9093/x?y=1", "text": "at 9093"},
	}
	e.move(places)
	want := example{
		"targets": []any{"127.0.0.1:20001", "127.0.0.1:9999"},
		"deep":    map[string]any{"url": "http://127.0.0.1:20001/x?y=1", "text": "at 9093"},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("moved (-want +got):\n%s", diff)
	}
}

func TestAProgramThatEndsIsNotAwaited(t *testing.T) {
	p, err := newProcess("short", t.TempDir(), "sh", "-c", "echo gone; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err = p.ready(t.Context(), func(context.Context) error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("want what it wrote in the error, got %v", err)
	}
	if took := time.Since(start); took > readyWithin/2 {
		t.Errorf("noticed after %v", took)
	}
}

// shortDir is a folder whose path leaves room for the name of a unix socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
