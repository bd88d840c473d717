package collect

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/exporter/promtext"
)

// wholeAnswer is what a HAProxy says to a scrape that wants all.
func wholeAnswer(t *testing.T, r *recorder) (scrape, look string) {
	t.Helper()
	proxies := []string{"shop", "shop-maint"}
	for command := range strings.SplitSeq("show info;show table;show servers state;show stat", ";") {
		scrape += r.answer(command, proxies)
	}
	return scrape, r.answer("show servers state", proxies)
}

// Wherever an answer ends too early, nothing is told of the device but that it
// isn't up.
func TestHalfAnAnswerIsNone(t *testing.T) {
	whole, look := wholeAnswer(t, nil)
	s := listen(t, "edge1", speech{"": whole})
	ask := func() Outcome {
		c := collector(t, s)
		defer c.Close()
		return c.Scrape(t.Context(), Cut{})
	}
	if out := ask(); out.Err != nil || !strings.Contains(written(t, []Outcome{out}), `haproxy_server_status{device="edge1",proxy="shop",server="app1",state="UP"} 1`) {
		t.Fatalf("the whole answer: %v\n%s", out.Err, written(t, []Outcome{out}))
	}
	down := ""
	for n := range whole {
		s.answer.Store(&speech{"": whole[:n]})
		out := ask()
		if out.Err == nil {
			t.Errorf("%d of %d bytes are an answer: %q", n, len(whole), whole[max(0, n-40):n])
			continue
		}
		text := textOf(t, promtext.Page{Sheets: []*promtext.Sheet{out.Sheet}})
		if strings.Contains(text, "haproxy_server_") || strings.Contains(text, "haproxy_process_") || strings.Contains(text, "sluice_member_") || strings.Contains(text, "sluice_pool_") ||
			!strings.Contains(text, `sluice_device_up{device="edge1",kind="haproxy"} 0`+"\n") {
			t.Errorf("%d of %d bytes:\n%s", n, len(whole), text)
		}
		if down = text; n%7 == 0 { // discovery believes no half either
			c := collector(t, s)
			s.answer.Store(&speech{"": look[:n%len(look)]})
			if _, err := c.Look(t.Context()); err == nil {
				t.Errorf("%d of %d bytes are a list of servers", n%len(look), len(look))
			}
			c.Close()
		}
	}
	if n := strings.Count(down, "\nsluice_") + strings.Count(down, "\nhaproxy_"); n > 8 {
		t.Errorf("a device that is down has %d series:\n%s", n, down)
	}
	// Rests of another answer are no part of this one.
	s.answer.Store(&speech{"": whole + "Unknown command\n\n"})
	if out := ask(); out.Err == nil {
		t.Error("an answer with something behind it is one")
	}
}
