package device

import (
	"testing"

	"github.com/sluice-project/sluice/edge"
)

// weighed gives an order with a weight, on what was just read.
func (d *Device) weighed(t *testing.T, m edge.Member, to edge.Admin, share int) {
	t.Helper()
	o := edge.Order{
		Version: d.look(t).Versions[Pool], Save: func(edge.Image) error { return nil },
		Changes: []edge.Change{{Member: m, To: to, Share: share}},
	}
	if _, err := d.Set(t.Context(), o); err != nil {
		t.Fatalf("%s to %s with weight %d: %v", m, to, share, err)
	}
}

// weighable says whether the device has weights that an order may set. Those that
// know in and out only keep the ones of their own configuration.
func (d *Device) weighable(t *testing.T) bool {
	t.Helper()
	return !d.look(t).States[d.Members[0]].OnOff
}

// I8: a member comes back by weights, and with its whole one in the end. Where an
// order can't set a weight, it does the rest and leaves the weight alone.
func TestI8AMemberComesBackByWeightsAndIsAsItWas(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		before := d.look(t)
		m := d.Members[1]
		d.must(t, edge.Drain, m)
		for _, share := range []int{1, 5, 10} {
			d.weighed(t, m, edge.Ready, share)
			want := share
			if !d.weighable(t) {
				want = 10
			}
			snap := d.look(t)
			if st := snap.States[m]; !st.Is(edge.Ready) || !st.Serving || st.Share != want || st.Weight != want {
				t.Errorf("in with weight %d: %+v, want weight %d", share, st, want)
			}
			for _, other := range []edge.Member{d.Members[0], d.Members[2]} {
				if st := snap.States[other]; st.Share != 10 || !st.Serving {
					t.Errorf("another member has another weight: %+v", st)
				}
			}
		}
		unmoved(t, before, d.look(t))
	})
}

// A member that fails while it has little weight goes out and gets its whole
// weight again, in one order: whoever makes it ready by hand finds it as it was.
func TestI8OutAgainRestoresTheWeight(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		before := d.look(t)
		m := d.Members[0]
		for _, to := range []edge.Admin{edge.Drain, edge.Maint} {
			d.weighed(t, m, edge.Ready, 2)
			d.weighed(t, m, to, 10)
			if st := d.look(t).States[m]; !st.Is(to) || st.Serving || st.Share != 10 {
				t.Errorf("out again to %s: %+v", to, st)
			}
		}
		d.Person(m, edge.Ready)
		unmoved(t, before, d.look(t))
	})
}

// An order without a weight leaves the one that is there.
func TestAnOrderWithoutAWeightLeavesIt(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		m := d.Members[2]
		d.weighed(t, m, edge.Ready, 3)
		share := d.look(t).States[m].Share
		d.must(t, edge.Drain, m)
		d.must(t, edge.Ready, m)
		if st := d.look(t).States[m]; st.Share != share || !st.Serving {
			t.Errorf("%+v, want weight %d", st, share)
		}
	})
}

// A weight that is none is refused before anything is sent.
func TestAWeightOutOfRangeIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		if !d.weighable(t) {
			return // it sets none
		}
		before := d.look(t)
		for _, share := range []int{-1, 257} {
			o := edge.Order{Changes: []edge.Change{{Member: d.Members[0], To: edge.Ready, Share: share}}}
			if _, err := d.Set(t.Context(), o); err == nil {
				t.Errorf("weight %d was taken", share)
			}
		}
		unmoved(t, before, d.look(t))
	})
}
