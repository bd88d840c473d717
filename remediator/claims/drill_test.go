package claims

import (
	"testing"
	"time"
)

// I2, I22: what is marked is set apart, and only that.
func TestDrillsAreSetApart(t *testing.T) {
	marked := member("s1")
	marked["sluice_drill"] = "d1"
	empty := member("s3")
	empty["sluice_drill"] = ""
	dog := map[string]string{"alertname": "Watchdog", "remediation": Watchdog, "sluice_drill": "d1"}
	now := time.Now()
	am := newFakeAM(t, alertJSON(t, "active", now, nil, marked), alertJSON(t, "active", now, nil, member("s1")),
		alertJSON(t, "active", now, nil, empty), alertJSON(t, "active", now, nil, dog))
	v := read(t, AlertmanagerOptions{}, am.URL)
	drills := v.SetApart()
	if len(drills) != 1 || drills[0].Drill != "d1" || drills[0].Member.Name != "s1" {
		t.Errorf("drills: %+v", drills)
	}
	if len(v.Claims) != 2 || v.Claims[0].Drill != "" || v.Claims[1].Drill != "" {
		t.Errorf("claims: %+v", v.Claims)
	}
	if !v.Watchdog.IsZero() {
		t.Error("a marked Watchdog is a sign of life (I26)")
	}
	if v.SetApart() != nil {
		t.Error("they are found twice")
	}
}
