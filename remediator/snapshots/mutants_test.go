package snapshots

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A file that can't be put in its place is an error (I11): the write that it
// was to be kept for isn't made then.
func TestAFileThatCannotTakeItsPlaceIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		pool := filepath.Join(dir, "waf1", "shop")
		taken := filepath.Join(pool, time.Now().UTC().Format("20060102T150405.000000Z")+".json")
		if err := os.MkdirAll(filepath.Join(taken, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := New(dir).Save(edge.Image{Device: "waf1", Pool: "shop", Bytes: []byte("{}")}); err == nil {
			t.Error("it is said to be kept, and isn't")
		}
		left, err := os.ReadDir(pool)
		if err != nil || len(left) != 1 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}
