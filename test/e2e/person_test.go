package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// step sends a person's step and wants it answered with a code; it returns the
// result, or the guard that refused.
func (s scene) step(code int, member, to, body string) (result, guard string) {
	s.t.Helper()
	status, answer, err := rig.Do(s.t.Context(), http.MethodPost, s.Remediator.URL+"/api/v1/members/"+rig.Device+"/"+rig.Pool+"/"+member+"/"+to, []byte(body))
	s.must(err)
	var got struct {
		Data struct {
			Result   string
			Decision struct{ Refusal struct{ Guard string } }
		}
	}
	s.must(json.Unmarshal(answer, &got))
	if status != code {
		s.t.Errorf("%s to %s: status %d, want %d: %s", member, to, status, code, answer)
	}
	return got.Data.Result, got.Data.Decision.Refusal.Guard
}

// What a person does goes the way of an automatic step, on a real HAProxy and with
// a real Alertmanager, and is theirs (SAFETY.md I1, I7, I20, I23).
func TestAPersonTakesAMemberOutAndTakesOverWhatIsHeld(t *testing.T) {
	s := start(t, rig.Options{MinServing: "50%"})

	if result, _ := s.step(http.StatusOK, "app1", "drain", `{"reason":"a new disk"}`); result != "applied" {
		t.Errorf("drain: %q", result)
	}
	s.must(s.HAProxy.Want("app1", rig.AdminDrain)(t.Context()))
	s.holdsOnly()
	s.counts("sluice_remediation_steps_total", map[string]string{"to": "drain", "result": "applied", "by": "person"}, 1)

	t.Run("a guard refuses, and is overridden by name", func(t *testing.T) {
		if _, guard := s.step(http.StatusConflict, "app2", "maint", ``); guard != "min_serving" {
			t.Errorf("refused by %q", guard)
		}
		s.step(http.StatusOK, "app2", "maint", `{"reason":"the site is moved","override":["min_serving"]}`)
		s.must(s.HAProxy.Want("app2", rig.AdminMaint)(t.Context()))
		s.step(http.StatusOK, "app2", "ready", ``)
	})
	t.Run("what isn't there is told", func(t *testing.T) {
		s.step(http.StatusNotFound, "app9", "drain", ``)
		s.step(http.StatusNotFound, "app1%0Ashutdown", "drain", ``)
	})
	t.Run("back", func(t *testing.T) {
		s.step(http.StatusOK, "app1", "ready", ``)
		s.must(s.HAProxy.Want("app1", rig.AdminReady)(t.Context()))
		if result, _ := s.step(http.StatusOK, "app1", "ready", ``); result != "unchanged" {
			t.Errorf("once more: %q", result)
		}
	})
	t.Run("a weight", func(t *testing.T) {
		s.step(http.StatusOK, "app1", "weight", `{"weight":7}`)
		srv, err := s.HAProxy.Server(t.Context(), rig.Pool, "app1")
		s.must(err)
		if srv.Weight != 7 {
			t.Errorf("got %+v", srv)
		}
	})
	t.Run("what is held becomes theirs, while the alert fires", func(t *testing.T) {
		s.set("app3", rig.Refuse)
		s.becomes(outWithin, "app3", rig.AdminDrain)
		s.holdsOnly("app3")
		before := len(s.Wire.Orders())
		s.step(http.StatusOK, "app3", "ready", `{"reason":"it is looked after"}`)
		s.holdsOnly()
		s.keeps("app3", rig.AdminReady)
		if now := s.Wire.Orders(); len(now) != before+1 {
			t.Errorf("orders after a person's: %q", now[before:])
		}
	})
	entries, err := s.Steps(t.Context(), 0)
	s.must(err)
	ordered := func(e journal.Entry) bool { return e.Event == "order" }
	if i := slices.IndexFunc(entries, ordered); i < 0 || entries[i].Actor == "" || entries[i].Detail != "a new disk" {
		t.Errorf("I23: the first order isn't entered, or not with who and why")
	}
}
