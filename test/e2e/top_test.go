package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/test/rig"
)

var (
	colourful = []string{"TERM=xterm-256color", "LANG=C.UTF-8"}
	plain     = []string{"TERM=vt100", "LANG=C", "NO_COLOR=1"}

	// colours are what sets one. Source: ECMA-48, SGR 30 to 37 and 38.
	colours = regexp.MustCompile(`\x1b\[([0-9;]*;)?3[0-8][0-9;]*m`)
)

func TestTopShowsAllMembersAndOnlyLooks(t *testing.T) {
	s := start(t, rig.Options{WAF: true})
	s.step(http.StatusOK, "app2", "drain", `{"reason":"a new disk for it"}`)
	term := inTerminal(t, 80, 24, colourful, sluice, "ctl", "top", "--remediator.url", s.Remediator.URL, "--interval", "500ms")
	term.shows("edge1/shop/app1", "edge1/shop/app2", "2 devices", "5/6 serving", "DEVICE/POOL/MEMBER", "1/6")
	if l := term.line("edge1/shop/app2"); !strings.HasPrefix(l, "◐ ") || !strings.Contains(l, " drain ") || !strings.Contains(l, "127.0.0") {
		t.Errorf("the member that a person drained: %q", l)
	}
	if l := term.line("edge1/shop/app1"); !strings.HasPrefix(l, "● ") || !strings.Contains(l, " ready ") {
		t.Errorf("a member in service: %q", l)
	}
	if strings.Contains(term.text(), "new disk") {
		t.Error("80 columns have no room for why")
	}
	if !colours.MatchString(term.written()) {
		t.Error("there are no colours")
	}

	sub := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			term.t = t
			f(t)
		})
		term.t = t
	}
	sub("it follows the size", func(t *testing.T) {
		term.resize(140, 30)
		term.shows("WHY", "a new disk for it")
		if l := term.line("? help"); !strings.HasSuffix(l, "members by name 1/6") {
			t.Errorf("the last line: %q", l)
		}
		term.resize(30, 5)
		term.shows("too small: want 40x8")
		term.resize(80, 24)
		term.shows("edge1/shop/app1")
	})
	sub("it finds and sorts", func(t *testing.T) {
		term.press("/app2 drain\r")
		term.shows("edge1/shop/app2", "1/1")
		term.hides("edge1/shop/app1")
		term.press("\x1b")
		term.shows("edge1/shop/app1")
		term.press("s")
		term.shows("by state 1/6")
		first := strings.Split(term.text(), "\n")[3]
		if !strings.Contains(first, "app2") {
			t.Errorf("what doesn't serve comes first: %q", first)
		}
		term.press("S")
		term.shows("reversed")
	})
	sub("its other pages", func(t *testing.T) {
		term.press("2")
		term.shows("DEVICE/POOL", "SERVING", "2/3", "edge1/shop")
		term.press("3")
		term.shows("nothing here", "holds")
		term.press("4")
		term.shows("refusals")
		term.press("?")
		term.shows("Keys", "--allow-orders", "Signs")
		term.press("q1/edge1/shop/app2\r\r")
		term.shows("set by", "a new disk for it", "What happened", "order")
		term.press("q\x1b")
		term.shows("by state reversed 6/6")
	})
	sub("it gives no orders", func(t *testing.T) {
		term.press("D")
		term.shows("this screen only looks")
		s.orders(order("app2", "drain"))
	})
	sub("a freeze is seen", func(t *testing.T) {
		_, _, err := rig.Do(t.Context(), http.MethodPost, s.Remediator.URL+"/api/v1/freeze", []byte(`{"reason":"the site moves"}`))
		s.must(err)
		term.shows("FROZEN: everything by 127.0.0.1", "the site moves")
	})
	sub("without an answer it says how old all is, and comes back", func(t *testing.T) {
		s.must(s.Remediator.Kill())
		term.shows("NO ANSWER for", "what is shown is", "edge1/shop/app1")
		s.must(s.Remediator.Start(t.Context()))
		term.hides("NO ANSWER")
	})
	term.press("q")
	term.ends()
	if !strings.Contains(term.written(), "\x1b[?1049l") {
		t.Error("it leaves the terminal as its own")
	}
}

// I7, I23: what is ordered from the screen goes the way of every person's step.
func TestTopGivesOrdersWhenItMay(t *testing.T) {
	s := start(t, rig.Options{MinServing: "2"})
	term := inTerminal(t, 80, 24, plain, sluice, "ctl", "top", "--remediator.url", s.Remediator.URL, "--interval", "500ms", "--allow-orders")
	term.shows("edge1/shop/app1", "D drain", "3/3 serving")
	for _, r := range term.text() {
		if r > '~' {
			t.Errorf("%q is beyond ASCII", r)
			break
		}
	}
	if colours.MatchString(term.written()) {
		t.Error("it has colours although NO_COLOR says no")
	}

	term.press("D")
	term.shows("drain edge1/shop/app1, why?")
	term.press("\r")
	term.shows("a reason, please")
	term.press("a new fan\r")
	term.shows("y: do it, any other key: no  a new fan")
	term.press("n")
	term.shows("nothing was done")
	s.orders()

	term.press("Da new fan\ry")
	term.shows("edge1/shop/app1 to drain: applied", "2/3 serving")
	s.must(s.HAProxy.Want("app1", rig.AdminDrain)(t.Context()))
	s.orders(order("app1", "drain"))
	entries, err := s.Steps(t.Context(), 0)
	s.must(err)
	found := false
	for _, e := range entries {
		found = found || e.Event == "order" && *e.Member == named("app1") && e.Detail == "a new fan" && e.Actor != ""
	}
	if !found {
		t.Errorf("the order isn't recorded: %+v", entries)
	}

	term.press("jMit smells\ry")
	term.shows("refused by guard min_serving", "--override min_serving")
	s.orders(order("app1", "drain"))

	term.press("kRback\ry")
	term.shows("edge1/shop/app1 to ready: applied", "3/3 serving")
	s.must(s.HAProxy.Want("app1", rig.AdminReady)(t.Context()))
	term.press("\x03")
	term.ends()
}
