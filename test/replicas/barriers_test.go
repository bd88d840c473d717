package replicas

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// asks sends a person's request to a replica.
func (r *replica) asks(method, path, body string) {
	r.t.Helper()
	status, said, err := rig.Do(r.t.Context(), method, r.url+"/api/v1/"+path, []byte(body))
	if err != nil || status != http.StatusOK {
		r.t.Fatalf("%s %s at %s: %d %s, %v", method, path, r.name, status, said, err)
	}
}

// refuses waits until the replica has refused a step for a reason.
func (r *replica) refuses(guard, reason string) {
	r.t.Helper()
	r.await("it refuses by "+guard, func(ctx context.Context) error {
		v, _, err := rig.Value(ctx, r.url, "sluice_remediation_refusals_total", map[string]string{"guard": guard, "reason": reason})
		if err == nil && v == 0 {
			err = fmt.Errorf("no %s/%s is counted", guard, reason)
		}
		return err
	})
}

// Whatever people put in automation's way, at whichever replica, stops the one that
// leads, and the one that leads after it.
func TestWhatPeopleAskOfAStandbyStopsTheLeader(t *testing.T) { // I7, I19
	s := newScene(t, 8)
	first, second := s.leader()
	s.claimed.add("s1")
	s.drained("s1")

	second.asks(http.MethodPost, "members/edge1/shop/s1/claim", `{"reason":"a new disk"}`)
	first.await("the hold is handed over", func(ctx context.Context) error {
		var answer struct {
			Data struct{ Holds []journal.Hold }
		}
		err := rig.GetJSON(ctx, first.url+"/api/v1/holds", &answer)
		if err == nil && len(answer.Data.Holds) > 0 {
			err = fmt.Errorf("it is %s", answer.Data.Holds[0].Phase)
		}
		return err
	})

	second.asks(http.MethodPost, "freeze", `{"reason":"a release","device":"edge1","pool":"shop"}`)
	s.claimed.add("s2")
	first.refuses("freeze", "frozen")

	first.end(syscall.SIGKILL)
	if now, _ := s.leader(); now != second {
		t.Fatalf("%s leads", now.name)
	}
	second.refuses("freeze", "frozen")
	first.start() // stands by now
	first.asks(http.MethodPost, "maintenance", `{"name":"disks","days":["mon-sun"],"members":{"device":"edge1","member":"s2"}}`)
	first.asks(http.MethodDelete, "freeze?device=edge1&pool=shop", "")
	second.refuses("maintenance", "window")
	second.refuses("foreign", "claimed")
	if err := s.untouched("s2", time.Second); err != nil {
		t.Error(err)
	}
	first.asks(http.MethodDelete, "maintenance/disks", "")
	s.drained("s2")

	second.asks(http.MethodPost, "members/edge1/shop/s1/release", "")
	second.refuses("foreign", "taken_out") // s1 is out as it was left, and not by us any more
	s.drained("s1")
	for _, r := range s.all {
		for _, e := range s.history(r) {
			if e.Member != nil && e.Member.Name == "s1" && e.Event == "intent" && e.Admin == "ready" {
				t.Errorf("%s gave s1 back: %+v", r.name, e)
			}
		}
	}
}
