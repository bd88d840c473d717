package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/incidents/record"
	"github.com/sluice-project/sluice/test/rig"
)

func TestNamesOfIncidents(t *testing.T) {
	if all, err := chosen(""); err != nil || len(all) != len(incidents) {
		t.Errorf("none means %d, %v", len(all), err)
	}
	some, err := chosen("member-flaps,member-dies")
	if err != nil || len(some) != 2 || some[0].name != "member-flaps" {
		t.Errorf("two: %v, %v", some, err)
	}
	if _, err := chosen("member-dies,nothing"); err == nil {
		t.Error("a name that there isn't is taken")
	}
}

// hasty are incidents of which nothing waits for minutes, to see that the script
// still sees what it should.
func hasty() []incident {
	quick := func(change func(*rig.Options)) rig.Options {
		o := usual(change)
		o.Shipped, o.HoldDown = false, time.Second
		return o
	}
	return []incident{
		{
			name: "quick-death", title: "A member dies, quickly", about: "`app2` dies.",
			options: quick(nil),
			script: []act{
				begin("app2 dies", set(rig.Refuse, "app2")),
				becomes(30*time.Second, "app2", rig.AdminDrain),
				told(time.Minute, "MemberFailing", "firing"),
				mend("app2 is started again", set(rig.Serve, "app2")),
				becomes(30*time.Second, "app2", rig.AdminReady),
				fires(30*time.Second, "MemberFailing", false),
				pass(time.Second),
			},
			expects: []record.Expectation{
				record.Fires("MemberFailing", shop+"/app2", 30),
				record.Over("MemberFailing"),
				record.Tells("MemberFailing", 90),
				record.Steps(shop+"/app2 to drain", shop+"/app2 to ready"),
				record.MostOut(shop, 1),
				record.BackWithin(30),
			},
		},
		{
			name: "quick-cut", title: "The exporter loses its members, quickly", about: "The network is cut.",
			options: quick(nil), away: true,
			script: []act{
				begin("the network is cut", cut(true, toMembers)),
				fires(30*time.Second, "ProbesMassFailure", true),
				pass(3 * time.Second),
				mend("the network is whole", cut(false, toMembers)),
				fires(30*time.Second, "ProbesMassFailure", false),
				pass(time.Second),
			},
			expects: []record.Expectation{
				record.Fires("ProbesMassFailure", "exporter", 30),
				record.Over("ProbesMassFailure"),
				record.Steps(),
				record.MostOut(shop, 0),
				record.NoneFail("HAProxy"),
			},
		},
	}
}

func TestQuickIncidents(t *testing.T) {
	dir, err := os.MkdirTemp("", "sluice-incidents-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	sluice, err := rig.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	list := hasty()
	s := settings{sluice: sluice, write: filepath.Join(dir, "report.md"), proxy: true, parallel: len(list)}
	if err := s.all(t.Context(), list); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(s.write)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"expectations are met.**",
		"first bad result of its probe: edge1/shop/app2",
		"| remediator | step to drain applied",
		"| people | get a message: fires: MemberFailing edge1/shop/app2 |",
		"| **script** | **the network is cut** |",
		"in place of the network a proxy is cut",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report doesn't say %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}

// What isn't as expected is an error, and stands in the report.
func TestWhatIsNotAsExpectedIsAnError(t *testing.T) {
	run := &record.Run{Title: "Nothing", Mended: record.Never}
	run.Judge([]record.Expectation{record.Fires("MemberFailing", "", 1)})
	file := filepath.Join(t.TempDir(), "report.md")
	s := settings{write: file}
	if err := s.tell(nil, []*record.Run{run}); !errors.Is(err, errUnexpected) {
		t.Errorf("got %v", err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), record.Missed) {
		t.Errorf("%v: %s", err, text)
	}
}
