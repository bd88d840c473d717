package journal

import (
	"maps"
	"slices"
	"testing"
)

func TestPhases(t *testing.T) {
	t.Run("every phase can begin, and can end", func(t *testing.T) {
		for p := range legal {
			if p != "" && !reaches("", p) {
				t.Errorf("nothing leads to %s", p)
			}
			if !reaches(p, Closed) {
				t.Errorf("%s has no end", p)
			}
		}
	})
	t.Run("every phase that is led to is in the table", func(t *testing.T) {
		for p, next := range legal {
			for _, n := range next {
				if _, ok := legal[n]; !ok {
					t.Errorf("%s leads to %q, which is no phase", p, n)
				}
			}
		}
	})

	tests := []struct {
		name     string
		from, to Phase
		want     bool
	}{
		{"nothing is sent without an intent (I11)", "", Applying, false},
		{"a refusal ends an intent unsent (I17)", Intent, Closed, true},
		{"an unknown outcome is read back before any retry (I10)", Indeterminate, Applying, false},
		{"an unknown outcome is no success (I10)", Indeterminate, Holding, false},
		{"a read-back settles it (I10)", Indeterminate, Applied, true},
		{"an apply counts after the read-back only (I20)", Applying, Holding, false},
		{"no release without its own step of waiting (I14)", Holding, Reverting, false},
		{"a relapse goes back to holding", ReleasePending, Holding, true},
		{"what somebody else changed is never reverted (I7)", Superseded, Reverting, false},
		{"what a person took over is judged anew, and by all guards (I7)", Superseded, Guarded, true},
		{"nor taken out once more without a new hold (I7)", Superseded, Intent, false},
		{"a lease that ends gives back nothing by itself (I13)", Expiring, Reverting, false},
		{"an approval goes through the guards again (I17)", AwaitingApproval, Intent, false},
		{"what is out is never forgotten", Holding, Closed, false},
		{"an end is an end", Closed, Closed, false},
		{"a lease is renewed in place", Holding, Holding, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.from.CanBecome(tt.to); got != tt.want {
				t.Errorf("%q to %q: %v", tt.from, tt.to, got)
			}
		})
	}
}

func reaches(from, to Phase) bool {
	seen := map[Phase]bool{from: true}
	for n := 0; n != len(seen); {
		n = len(seen)
		for p := range maps.Clone(seen) {
			for _, next := range legal[p] {
				seen[next] = true
			}
		}
	}
	return slices.Contains(slices.Collect(maps.Keys(seen)), to)
}
