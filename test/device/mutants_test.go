package device

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge"
)

// A PTAF of either kind has objects, and gives each to be kept before its write
// (I11): members and switches alike.
func TestI11APTAFGivesItsObjectBeforeTheWrite(t *testing.T) {
	for name, start := range Kinds {
		if !strings.HasPrefix(name, "PTAF") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			d := start(t)
			before := d.look(t)
			full := errors.New("disk full")
			var kept []byte
			_, err := d.Set(t.Context(), edge.Order{
				Changes: []edge.Change{{Member: d.Members[0], To: edge.Maint}},
				Save:    func(i edge.Image) error { kept = i.Bytes; return full },
			})
			if !errors.Is(err, full) || len(kept) == 0 {
				t.Errorf("got %v with %d bytes to keep; want %v", err, len(kept), full)
			}
			unmoved(t, before, d.look(t))
		})
	}
}
