package haproxy_test

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
)

func TestWhatIsToldOfAMember(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 999, time.UTC)
	for _, c := range []struct {
		name, row string // status, lastchg, check_status
		want      edge.Told
	}{
		{"down for a while", "DOWN 1/2,60,L4CON", edge.Told{Op: "DOWN 1/2", Since: time.Date(2026, 1, 2, 15, 3, 5, 0, time.UTC), Checked: "L4CON", Weighted: 100}},
		{"never checked", "no check,0,", edge.Told{Op: "no check", Since: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), Weighted: 100}},
		{"an age that isn't told", "UP,,L7OK", edge.Told{Op: "UP", Checked: "L7OK", Weighted: 100}},
		{"an age that can't be", "UP,99999999999999999999,L7OK", edge.Told{Op: "UP", Checked: "L7OK", Weighted: 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stats, err := haproxy.ParseStats([]byte("# pxname,svname,type,status,lastchg,check_status,\nshop,s1,2," + c.row + ",\n"))
			if err != nil {
				t.Fatal(err)
			}
			r := haproxy.Reading{Stats: stats, At: at, Servers: []haproxy.Server{{Backend: "shop", Name: "s1", UserWeight: 7, InitialWeight: 100}}}
			if got := r.Snapshot("edge1").Told(edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}); got != c.want {
				t.Errorf("got %+v; want %+v", got, c.want)
			}
			if got := r.Snapshot("edge1").Told(edge.Member{Device: "edge1", Pool: "shop", Name: "s2"}); got != (edge.Told{}) {
				t.Errorf("of nobody it tells %+v", got)
			}
		})
	}
}

func TestAConfiguredWeightIsToldWhateverIsSet(t *testing.T) {
	everyHAProxy(t, func(t *testing.T, c *haproxy.Client) {
		m := edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
		before := read(t, c).Told(m)
		wantErr(t, c.SetShare(t.Context(), "shop", "s1", 7), nil)
		after := read(t, c)
		if told := after.Told(m); told.Weighted == 0 || told.Weighted != before.Weighted || after.States[m].Share != 7 || told.Op == "" {
			t.Errorf("got %+v with weight %d; before %+v", told, after.States[m].Share, before)
		}
	})
}
