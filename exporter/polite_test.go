package exporter

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

// discovering probes members of no pool: edge1 is asked for its members, and
// nobody else is bothered.
const discovering = `
modules:
  health: {prober: http, timeout: 1s}
probes:
  - {name: shop, module: health, members: {device: edge1, pool: nothing}}
`

// HAProxy takes ten connections at its socket, people's and other programs'
// among them. Whatever is asked of us, we take two.
func TestADeviceHasTwoConnectionsAtMost(t *testing.T) {
	d := listen(t, haproxy("shop", "app1"))
	release := d.hold()
	e, c, f := newExporter(t, discovering, map[string]string{"edge1": d.path}, nil)
	start(t, e)
	const scrapes = 20
	var answered atomic.Int64
	var all sync.WaitGroup
	ask := func(from, to int) {
		for i := from; i < to; i++ {
			all.Go(func() {
				h, path := e.Metrics(), "/metrics?"
				if i%2 == 0 {
					h, path = e.Scrape(), "/scrape?device=edge1&"
				}
				_, text := get(t, h, fmt.Sprintf("%smetrics=haproxy_server_status,haproxy_cut_%d", path, i), timeoutHeader, "100")
				if !strings.Contains(text, `kind="haproxy"} 1`) || !strings.Contains(text, `server="app1",state="UP"} 1`) {
					t.Errorf("scrape %d:\n%s", i, text)
				}
				answered.Add(1)
			})
		}
	}
	waiting := func() int { _, open, _ := d.asked(); return open }
	poll(t, "discovery waits", func() bool { return waiting() == 1 })
	ask(0, scrapes/2)
	poll(t, "a scrape waits besides", func() bool { return waiting() == 2 })
	// Another configuration is no reason to ask more at once.
	if err := e.Apply(c, f); err != nil {
		t.Fatal(err)
	}
	ask(scrapes/2, scrapes)
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	for more := true; more; {
		poll(t, "as many wait as may", func() bool { return waiting() >= 2 || int(answered.Load())+waiting() >= scrapes })
		select {
		case release <- struct{}{}:
		case <-ended:
			more = false
		}
	}
	close(release)
	questions, _, most := d.asked()
	if most != 2 {
		t.Errorf("%d connections at once, want 2", most)
	}
	looks := 0
	for _, q := range questions {
		if q == "show servers state" {
			looks++
		}
	}
	if looks == 0 || len(questions)-looks != scrapes {
		t.Errorf("%d scrapes and %d looks, want %d and some", len(questions)-looks, looks, scrapes)
	}
}

func TestScrapesOfTheSameShareOneAnswer(t *testing.T) {
	d := listen(t, haproxy("shop", "app1"))
	release := d.hold()
	e, _, _ := newExporter(t, "{}", map[string]string{"edge1": d.path}, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			// The order of what is asked for makes no other question of it.
			_, text := get(t, e.Metrics(), "/metrics?metrics=haproxy_server_status&metrics=sluice_member_serving", timeoutHeader, "0.3")
			if !strings.Contains(text, `sluice_device_up{device="edge1",kind="haproxy"} 0`) {
				t.Errorf("it hangs, and yet:\n%s", text)
			}
		})
		all.Go(func() {
			get(t, e.Metrics(), "/metrics?metrics=sluice_member_serving,haproxy_server_status", timeoutHeader, "0.3")
		})
	}
	all.Wait()
	if questions, open, _ := d.asked(); len(questions) != 1 || open != 1 {
		t.Errorf("%d questions by %d connections, want one of each", len(questions), open)
	}
	close(release)
	poll(t, "the answer that came late serves the next one", func() bool {
		_, text := get(t, e.Metrics(), "/metrics?metrics=haproxy_server_status,sluice_member_serving")
		return strings.Contains(text, `sluice_device_up{device="edge1",kind="haproxy"} 1`) && strings.Contains(text, "sluice_member_serving{")
	})
}

// Of 50 devices five take connections and say nothing. They are waited for all
// at once, and cost nobody else a series.
func TestDeadDevicesCostOneTimeoutTogether(t *testing.T) {
	const timeout = 2 * time.Second
	var configs fleet.Configs
	var dead []*device
	for i := range 50 {
		d := listen(t, haproxy("shop", "app1"))
		if i%10 == 3 {
			d.hold()
			dead = append(dead, d)
		}
		configs = append(configs, fleet.Config{Name: fmt.Sprintf("edge%d", i), HAProxy: &fleet.HAProxy{Address: d.path, Timeout: model.Duration(timeout)}})
	}
	f, err := fleet.New(configs, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Options{Config: decode(t, "{}"), Fleet: f})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ended := make(chan string)
	go func() {
		_, text := get(t, e.Metrics(), "/metrics", timeoutHeader, "100")
		ended <- text
	}()
	poll(t, "all dead ones are waited for at once", func() bool {
		for _, d := range dead {
			if _, open, _ := d.asked(); open != 1 {
				return false
			}
		}
		return true
	})
	text := <-ended
	// One after the other would take five timeouts; a machine with other work to do
	// may take some time for one.
	if took := time.Since(began); took < timeout || took > 4*timeout {
		t.Errorf("the scrape took %s, with a timeout of %s", took, timeout)
	}
	for i := range configs {
		name := fmt.Sprintf("edge%d", i)
		up, rows := "1", 1
		if i%10 == 3 {
			up, rows = "0", 0
		}
		if !strings.Contains(text, fmt.Sprintf("\nsluice_device_up{device=%q,kind=\"haproxy\"} %s\n", name, up)) {
			t.Errorf("%s isn't %s", name, up)
		}
		for _, series := range []string{`haproxy_server_current_sessions{device=%q,proxy="shop",server="app1"}`, `sluice_member_serving{device=%q,pool="shop",member="app1"}`, `haproxy_process_start_time_seconds{device=%q}`} {
			if got := strings.Count(text, "\n"+fmt.Sprintf(series, name)+" "); got != rows {
				t.Errorf("%s: %d series %s, want %d", name, got, series, rows)
			}
		}
	}
}

// A HAProxy whose socket takes no more connections lets the next one wait
// without a word.
func TestASocketThatIsTakenCostsItsDeviceOnly(t *testing.T) {
	full := haproxytest.StartReal(t, "global\n stats maxconn 10\n stats timeout 5m\nbackend shop\n server app1 192.0.2.1:80\n")
	other := listen(t, haproxy("shop", "app1"))
	e, _, _ := newExporter(t, "{}", map[string]string{"edge1": full.Socket, "edge2": other.path}, nil)
	var taken []net.Conn
	for range 10 {
		conn, err := net.Dial("unix", full.Socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() }) // mostly it is closed by then
		// Its prompt says that HAProxy has taken the connection, and keeps it open.
		if _, err := fmt.Fprintln(conn, "prompt"); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(conn).ReadString('>'); err != nil {
			t.Fatal(err)
		}
		taken = append(taken, conn)
	}
	code, text := get(t, e.Metrics(), "/metrics", timeoutHeader, "0.5")
	for _, line := range []string{
		`sluice_device_up{device="edge1",kind="haproxy"} 0`, `sluice_device_up{device="edge2",kind="haproxy"} 1`,
		`haproxy_server_current_sessions{device="edge2",proxy="shop",server="app1"} 3`,
	} {
		if code != http.StatusOK || !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("status %d, want a line %s in\n%s", code, line, text)
		}
	}
	if strings.Contains(text, `haproxy_server_status{device="edge1"`) {
		t.Errorf("series of a device that said nothing:\n%s", text)
	}
	for _, conn := range taken {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	poll(t, "it answers again", func() bool {
		_, text := get(t, e.Metrics(), "/metrics", timeoutHeader, "1")
		return strings.Contains(text, "\n"+`sluice_device_up{device="edge1",kind="haproxy"} 1`+"\n") &&
			strings.Contains(text, `haproxy_server_status{device="edge1",proxy="shop",server="app1",state="UP"} 1`)
	})
}

// What is asked of a device that hangs, each time with another cut, is not asked
// later when nobody waits for it any more.
func TestAHangingDevicePilesNothingUp(t *testing.T) {
	d := listen(t, haproxy("shop", "app1"))
	release := d.hold()
	e, _, _ := newExporter(t, "{}", map[string]string{"edge1": d.path}, nil)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			get(t, e.Metrics(), fmt.Sprintf("/metrics?metrics=haproxy_server_status,haproxy_cut_%d", i), timeoutHeader, "0.3")
		})
	}
	all.Wait()
	close(release)
	poll(t, "it answers again", func() bool {
		_, text := get(t, e.Metrics(), "/metrics?metrics=haproxy_server_status", timeoutHeader, "1")
		return strings.Contains(text, `server="app1",state="UP"} 1`)
	})
	if questions, _, _ := d.asked(); len(questions) > 3 {
		t.Errorf("%d questions, want the two that hung and one more", len(questions))
	}
}

// However many ask for something else each time, a device that answers is up.
func TestManyCutsOfADeviceThatAnswers(t *testing.T) {
	d := listen(t, haproxy("shop", "app1"))
	e, _, _ := newExporter(t, "{}", map[string]string{"edge1": d.path}, nil)
	for i := range 100 {
		_, text := get(t, e.Metrics(), fmt.Sprintf("/metrics?metrics=haproxy_server_status,haproxy_cut_%d", i))
		if !strings.Contains(text, `server="app1",state="UP"} 1`) {
			t.Fatalf("scrape %d:\n%s", i, text)
		}
	}
}
