package collect

import (
	"testing"

	"github.com/sluice-project/sluice/edge/haproxy"
)

// Room for as many rows as last time is set aside in each column. A device that
// has many rows of few columns first, and then many columns, gets no gigabytes.
func TestRoomIsSetAsideWithinReason(t *testing.T) {
	p := &page{counts: new(counts)}
	for _, tt := range []struct {
		name          string
		rows, columns int
		want          int
	}{
		{"as many as last time", 50_000, 300, 50_000},
		{"no more than there is reason for", 2 << 20, 4 << 10, 8 << 10},
		{"none that were there", 0, 300, 0},
		{"no columns", 5, 0, 5},
	} {
		p.counts.rows[haproxy.ServerRow].Store(int64(tt.rows))
		if got := p.expected(haproxy.ServerRow, tt.columns); got != tt.want {
			t.Errorf("%s: %d rows, want %d", tt.name, got, tt.want)
		}
	}
}
