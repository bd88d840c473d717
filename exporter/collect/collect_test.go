package collect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge/fleet"
)

// A socket is a device that says whatever a test wants, and counts who asks.
type socket struct {
	*fleet.Device
	path   string
	asked  atomic.Int64
	answer atomic.Pointer[speech] // nil: it hangs
	// patience is how long it hangs; hangUp ends it.
	patience context.Context
	hangUp   context.CancelFunc
}

// A speech has what is said to each command; the text of the empty one is all
// that is said, whatever is asked.
type speech map[string]string

// listen starts a device named name; its timeout is a minute, so that no test
// passes by it.
func listen(t *testing.T, name string, answer speech) *socket {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close(); _ = os.RemoveAll(dir) })
	s := &socket{path: path}
	s.patience, s.hangUp = context.WithCancel(t.Context())
	if answer != nil {
		s.answer.Store(&answer)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	minute := model.Duration(time.Minute)
	f, err := fleet.New(fleet.Configs{{Name: name, HAProxy: &fleet.HAProxy{Address: path, Timeout: minute}}}, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Device, _ = f.Device(name)
	return s
}

func (s *socket) serve(conn net.Conn) {
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	s.asked.Add(1)
	if a := s.answer.Load(); a != nil {
		text := (*a)[""]
		for command := range strings.SplitSeq(strings.TrimSpace(line), ";") {
			text += (*a)[command]
		}
		_, _ = io.WriteString(conn, text) // a client that went away is its own business
		return
	}
	over := context.AfterFunc(s.patience, func() { _ = conn.Close() }) // it has nothing to say
	defer over()
	_, _ = io.Copy(io.Discard, conn) // until the client gives up, or the device does
}

// said is what a HAProxy with these servers says.
func said(members ...string) speech {
	var stat, state strings.Builder
	stat.WriteString("# pxname,svname,qcur,scur,status,weight,act,bck,type,check_status,\n")
	state.WriteString("1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_agent_state srv_check_state srv_port\n")
	for i, m := range members {
		fmt.Fprintf(&stat, "shop,%s,0,3,UP,1,1,0,2,L7OK,\n", m)
		fmt.Fprintf(&state, "3 shop %d %s 192.0.2.%d 2 0 1 1 0 6 8080\n", i+1, m, i+1)
	}
	return speech{
		"show info":  "Name: HAProxy\nVersion: 2.6.12\nPid: 7\nStart_time_sec: 1800000000\n\n",
		"show table": "\n", "show servers state": state.String() + "\n", "show stat": stat.String() + "\n",
	}
}

func collector(t *testing.T, s *socket) *Collector {
	t.Helper()
	c, err := New(s.Device)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestOneAnswerServesAllWhoAskTogether(t *testing.T) {
	s := listen(t, "edge1", said("app1"))
	c := collector(t, s)
	first, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := s.asked.Load(); n != 1 || first != second {
		t.Errorf("the device was asked %d times, want once", n)
	}
	poll(t, "the next one asks anew", func() bool {
		third, err := c.Look(t.Context())
		return err == nil && third != first
	})
}

func TestAHangingDeviceCostsItsOwnSeriesOnly(t *testing.T) {
	good, hanging, broken := listen(t, "edge1", said("app1")), listen(t, "edge2", nil), listen(t, "edge3", speech{"": "Name: HAPr"})
	all := []*Collector{collector(t, good), collector(t, hanging), collector(t, broken)}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	text := written(t, All(ctx, all, Cut{}))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the scrape took %s", took)
	}
	for _, line := range []string{
		`sluice_device_up{device="edge1",kind="haproxy"} 1`,
		`sluice_device_up{device="edge2",kind="haproxy"} 0`,
		`sluice_device_up{device="edge3",kind="haproxy"} 0`,
		`sluice_member_serving{device="edge1",pool="shop",member="app1"} 1`,
		`haproxy_server_current_sessions{device="edge1",proxy="shop",server="app1"} 3`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "sluice_device_up") && (strings.Contains(line, "edge2") || strings.Contains(line, "edge3")) {
			t.Errorf("a device that said nothing has a series: %s", line)
		}
	}
}

func TestAHangingDeviceIsAskedOnce(t *testing.T) {
	s := listen(t, "edge1", nil)
	c := collector(t, s)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := c.Look(ctx); err == nil {
			t.Error("a hanging device answered")
		}
		cancel()
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("the device has %d connections, want one", n)
	}
}

func TestCloseEndsAHangingRead(t *testing.T) {
	c := collector(t, listen(t, "edge1", nil))
	ended := make(chan error, 1)
	go func() { _, err := c.Look(context.Background()); ended <- err }()
	poll(t, "the read is under way", func() bool {
		c.looks.mu.Lock()
		defer c.looks.mu.Unlock()
		return len(c.looks.current) > 0
	})
	c.Close()
	if err := <-ended; err == nil {
		t.Error("a hanging device answered")
	}
	if n := len(c.looks.current); n > 0 {
		t.Errorf("%d answers are kept", n)
	}
	if _, err := c.Look(t.Context()); err == nil {
		t.Error("a closed collector still asks")
	}
}

func TestDevicesShareTheirFamilies(t *testing.T) {
	a, b := listen(t, "edge1", said("app2", "app1")), listen(t, "edge2", said("app1"))
	text := written(t, All(t.Context(), []*Collector{collector(t, a), collector(t, b)}, Cut{}))
	want := `# HELP haproxy_server_current_sessions Sessions that are open now.
# TYPE haproxy_server_current_sessions gauge
haproxy_server_current_sessions{device="edge1",proxy="shop",server="app2"} 3
haproxy_server_current_sessions{device="edge1",proxy="shop",server="app1"} 3
haproxy_server_current_sessions{device="edge2",proxy="shop",server="app1"} 3
`
	if !strings.Contains(text, want) {
		t.Errorf("want\n%sin\n%s", want, text)
	}
	wantSound(t, text)
}

// Whoever makes up ever new parameters gets no further than this, and what nobody
// waits for any more isn't asked of the device.
func TestScrapesThatNobodyWaitsForAreNotMade(t *testing.T) {
	s := listen(t, "edge1", nil)
	c := collector(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range most + 10 {
		all.Go(func() { c.Scrape(ctx, Cut{names: strconv.Itoa(i)}) })
	}
	poll(t, "as many as may wait do", func() bool {
		c.sheets.mu.Lock()
		defer c.sheets.mu.Unlock()
		return len(c.sheets.current) == most && s.asked.Load() == atOnce
	})
	if o := c.Scrape(ctx, Cut{names: "one more"}); !errors.Is(o.Err, errTooMany) {
		t.Errorf("one more: %v", o.Err)
	}
	for _, usual := range []Cut{{}, {Bare: true}} { // they don't keep Prometheus out
		gone, leave := context.WithCancel(ctx)
		leave()
		if o := c.Scrape(gone, usual); !errors.Is(o.Err, ErrNoAnswerYet) {
			t.Errorf("a scrape without parameters: %v", o.Err)
		}
	}
	cancel()
	all.Wait()
	good := said("app1")
	s.answer.Store(&good)
	s.hangUp()
	poll(t, "those that nobody waits for are given up", func() bool {
		o := c.Scrape(t.Context(), Cut{})
		return o.Err == nil
	})
	if n := s.asked.Load(); n > atOnce+5 {
		t.Errorf("the device was asked %d times", n)
	}
}
