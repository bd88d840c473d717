package control

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

func TestAMemberIsShownWithItsHistory(t *testing.T) {
	a := newAPI(t)
	a.engine.roster = shop(1)
	m := a.engine.roster.Members[0].Member
	a.engine.roster.Members[0].Maintenance = []string{"backup"}
	show := func() (out aMember) {
		t.Helper()
		got := a.do(t, "GET", "/api/v1/members/edge1/shop/s00", ``)
		if err := json.Unmarshal(got.Data, &out); err != nil || !got.Success {
			t.Fatalf("%d %s: %v", got.StatusCode, got.Error, err)
		}
		return out
	}
	if got := show(); got.Member == nil || got.Hold != nil || got.Candidate != nil || got.Device.Device != "edge1" || len(got.Steps) != 0 || strings.Join(got.Windows, " ") != "backup" {
		t.Errorf("got %+v", got)
	}
	for range mostHistory {
		a.entered(t, journal.Entry{Event: "step", Member: &m, Before: []byte("an object")}, journal.Entry{Event: "step", Member: &s1})
	}
	candidate := journal.Hold{Member: m, Policy: "drain", Phase: journal.Deferred, Refused: "load/too_much", Via: []journal.Phase{journal.Observed, journal.Pending, journal.Guarded}}
	if err := a.journal.Put(&candidate, journal.Entry{Event: "refusal", Guard: "load", Reason: "too_much", Detail: "it is too much"}); err != nil {
		t.Fatal(err)
	}
	got := show()
	if got.Candidate == nil || got.Candidate.Refusal.Detail != "it is too much" || len(got.Steps) != mostHistory || got.Steps[0].Event != "refusal" || got.Steps[mostHistory-1].Before != nil {
		t.Errorf("got %+v", got)
	}
	held := journal.Hold{Member: s1, Along: []edge.Member{m}, Policy: "drain", Phase: journal.Intent, Intent: time.Now(), Via: []journal.Phase{journal.Observed, journal.Pending, journal.Guarded}}
	if err := a.journal.Put(&held, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	if got := show(); got.Hold == nil || got.Hold.ID != held.ID {
		t.Errorf("a hold that moved it along isn't shown: %+v", got.Hold)
	}

	a.engine.roster = Roster{Devices: []Device{{Device: "edge1", Error: "no answer"}}}
	if got := show(); got.Member != nil || got.Device.Error != "no answer" || len(got.Steps) != mostHistory {
		t.Errorf("without the device: %+v", got)
	}
	if got := a.do(t, "GET", "/api/v1/members/edge1/shop/s9", ``); !got.Success { // nobody knows whether there is one
		t.Errorf("got %d %s", got.StatusCode, got.Error)
	}
	if got := a.do(t, "GET", "/api/v1/members/edge1/api/s00", ``, limited(t, access.Viewer)); got.StatusCode != http.StatusForbidden {
		t.Errorf("a pool that isn't theirs: got %d %s", got.StatusCode, got.Error)
	}
}
