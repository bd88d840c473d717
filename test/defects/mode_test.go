// Package defects has a test for each known defect of the script that Sluice
// replaces on PTAF 3.x, with the number that docs/migration.md gives it. Each
// runs our own code, from the webhook and the probe to the PATCH, against a
// simulated PTAF, and is green only while we don't have the defect.
package defects

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/remediator"
)

// Defect 1: the word for test mode was compared with a truth value, so that no
// change was ever sent and none was ever told of as a test.
func TestDefect01ModesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode, says string
		writes     int
	}{
		{remediator.Observe, "drain observed", 0},
		{remediator.DryRun, "drain dry_run", 0},
		{remediator.Auto, "drain applied", 1},
	} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, newMembers(t, 3)...)
			set := usual(t, p.Start(t))
			set.act.Mode = c.mode
			w := set.start(t)
			bad := p.members[1]
			bad.be(sick)
			w.claim(true, onShop(bad))
			e := w.recorded(onShop(bad), c.says)
			if e.Policy != "drain" {
				t.Errorf("the record names the policy %q", e.Policy)
			}
			bad.askedAgain(t, 8)
			p.wrote(t, c.writes)
			p.stays(t, p.members[1:1+c.writes]...)
			if c.writes == 0 && !strings.Contains(e.Detail, "mode is "+c.mode) {
				t.Errorf("the record doesn't say why nothing was sent: %q", e.Detail)
			}
		})
	}
	t.Run("a word that is none of them", func(t *testing.T) {
		t.Parallel()
		for _, word := range []string{"", "True", "False", "test", "AUTO"} {
			c := remediator.Config{Mode: word, Journal: "sluice.db"}
			if m := c.Validate(nil, nil); len(m) == 0 || !strings.Contains(m[0].Error(), "write observe, dry_run") {
				t.Errorf("mode %q: %v", word, m)
			}
		}
	})
}
