package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/events"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/loopback"
)

// A listener hears the events of a remediator.
type listener struct {
	body *http.Response
	text *bufio.Scanner
	last string // id that came last
}

// listen begins to hear, behind what was heard before.
func (b *bench) listen(t *testing.T, last string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("got %s", resp.Status)
	}
	l := &listener{body: resp, text: bufio.NewScanner(resp.Body), last: last}
	l.text.Buffer(nil, 1<<20)
	return l
}

// next is the name and the data of the next event; ok is false at the end.
func (l *listener) next() (name, data string, ok bool) {
	for l.text.Scan() {
		switch field, value, _ := strings.Cut(l.text.Text(), ": "); field {
		case "id":
			l.last = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if name != "" {
				return name, data, true
			}
		}
	}
	return "", "", false
}

func (b *bench) post(ctx context.Context, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %w", path, resp.Status, err)
	}
	return nil
}

// seqs are those of the journal's entries, page by page.
func (b *bench) seqs(t *testing.T) (out []string) {
	t.Helper()
	for next := ""; ; {
		resp, err := http.Get(b.url + "/api/v1/steps?order=oldest&limit=7" + next)
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Data struct {
				Steps []struct{ Seq uint64 }
				Next  string
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		if resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v", resp.Status, err)
		}
		for _, s := range page.Data.Steps {
			out = append(out, strconv.FormatUint(s.Seq, 10))
		}
		if page.Data.Next == "" {
			return out
		}
		next = "&cursor=" + page.Data.Next
	}
}

// nothing is a fleet without a device.
type nothing struct{}

// Names is events.Devices's.
func (nothing) Names() []string { return nil }

// Members is events.Devices's.
func (nothing) Members(context.Context, string, string) (control.Roster, error) {
	return control.Roster{}, nil
}

// What the server puts around a handler leaves a listener's answer its own time
// limits: it goes on beyond those of answers that end.
func TestAListenerOutlivesTheServersTimeLimits(t *testing.T) {
	j, err := journal.Open(filepath.Join(t.TempDir(), "sluice.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	hub := events.New(j, nothing{})
	web := newWebsite([]net.Listener{ln}, "", hub, log.NewNopLogger())
	const limit = 50 * time.Millisecond
	for _, s := range web.servers {
		s.ReadTimeout, s.WriteTimeout = limit, limit
	}
	ended := make(chan error, 1)
	go func() { ended <- web.run() }()
	defer func() {
		hub.End()
		web.stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		hub.Close()
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	b := &bench{url: "http://" + ln.Addr().String()}
	l := b.listen(t, "")
	for began, n := time.Now(), 1; time.Since(began) < 6*limit; n++ {
		if err := j.Append(journal.Entry{Event: "step"}); err != nil {
			t.Fatal(err)
		}
		for name := ""; name != "step"; {
			var ok bool
			if name, _, ok = l.next(); !ok {
				t.Fatalf("it ended after %s: %v", time.Since(began), l.text.Err())
			}
		}
		if l.last != strconv.Itoa(n) {
			t.Fatalf("got %s; want %d", l.last, n)
		}
	}
}

// A listener over several connections hears each entry once while steps are taken,
// and what they did to the member; one that still listens doesn't keep the program
// from ending.
func TestListenersOfARealServer(t *testing.T) {
	b := startBench(t, 2)
	l := b.listen(t, "")
	if name, data, _ := l.next(); name != "changed" {
		t.Fatalf("begins with %s %s", name, data)
	}
	began, err := strconv.Atoi(l.last)
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 12
	taken := make(chan error, 1)
	go func() {
		for range rounds {
			for _, to := range []string{"drain", "ready"} {
				if err := b.post(t.Context(), "/api/v1/members/edge1/shop/app1/"+to, `{"reason":"as the test says"}`); err != nil {
					taken <- err
					return
				}
			}
		}
		taken <- b.post(t.Context(), "/api/v1/members/edge1/shop/app1/maint", `{"reason":"the last one"}`)
	}()
	var heard []string
	drained, over := false, false
	for visits := 0; !over || !drained; {
		name, data, ok := l.next()
		if !ok {
			t.Fatalf("the connection ended after %v: %v", heard, l.text.Err())
		}
		switch name {
		case "step":
			heard = append(heard, l.last)
			over = over || strings.Contains(data, "the last one") && strings.Contains(data, `"event":"step"`)
			if len(heard)%(rounds/2) == 0 && visits < 3 {
				visits++
				l.body.Body.Close() // wherever it is
				l = b.listen(t, l.last)
			}
		case "member":
			drained = drained || over && strings.Contains(data, `"admin":"maint"`)
		}
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	all := b.seqs(t)
	if i := slices.Index(all, heard[0]); i < 0 || heard[0] != strconv.Itoa(began+1) || !slices.Equal(heard, all[i:]) {
		t.Errorf("behind %d heard\n%v of\n%v", began, heard, all)
	}
	if err := b.program.Stop(); err != nil {
		t.Error(err)
	}
	for {
		if _, _, ok := l.next(); !ok {
			break
		}
	}
	if err := l.text.Err(); err != nil { // cut off, and not ended
		t.Error(err)
	}
}
