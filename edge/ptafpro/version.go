package ptafpro

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/edge"
)

// version names how a pool stands: the profile's id, and a digest of all that a
// decision about it rests on. That is the profile, its backends and the
// applications on it, as far as they are understood here: a field that nobody
// knows can't be lost, for a write has one field only.
func (s survey) version(p Profile) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %d %q\n", p.ID, p.Name, p.Balancer, p.ListenPort, p.Protocol)
	entries := slices.Clone(p.Backends)
	slices.SortStableFunc(entries, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range entries {
		fmt.Fprintf(h, "entry %q %s %s\n", e.ID, shown(e.Weight), shown(e.MaxFails))
		for _, b := range s.backends {
			if b.ID == e.ID {
				dump(h, backendFacts(b))
			}
		}
	}
	for _, a := range s.applications {
		if slices.Contains(a.Profiles, p.ID) {
			dump(h, applicationFacts(a))
		}
	}
	return p.ID + "@" + hex.EncodeToString(h.Sum(nil)[:16])
}

func shown(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// A fact is one thing that is known of an object.
type fact struct{ name, value string }

func dump(w io.Writer, facts []fact) {
	for _, f := range facts {
		fmt.Fprintf(w, "%s %q\n", f.name, f.value) // a digest takes everything
	}
}

func backendFacts(b Backend) []fact {
	return []fact{
		{"id", b.ID},
		{"address", b.Address},
		{"port", fmt.Sprint(b.Port)},
		{"protocol", b.Protocol},
		{"enabled", b.Enabled.String()},
		{"traffic_profiles", sorted(b.linked)},
	}
}

func applicationFacts(a Application) []fact {
	return []fact{
		{"id", a.ID},
		{"name", a.Name},
		{"protection_mode", a.ProtectionMode},
		{"hosts", sorted(a.Hosts)},
		{"traffic_profiles", sorted(a.Profiles)},
	}
}

func sorted(list []string) string {
	return fmt.Sprintf("%q", slices.Sorted(slices.Values(list)))
}

// unchanged says whether a pool is as it was when the version was made.
func (c *Client) unchanged(ctx context.Context, version string) error {
	id, _, ok := strings.Cut(version, "@")
	if !ok {
		return fmt.Errorf("version %.64q is of another kind of device", version)
	}
	s, err := c.survey(ctx, func(p Profile) bool { return p.ID == id })
	if err != nil {
		return err
	}
	for _, p := range s.profiles {
		if p.ID == id {
			if s.version(p) != version {
				return fmt.Errorf("traffic profile %s: %w", oneLine(p.Name), edge.ErrChanged)
			}
			return nil
		}
	}
	return fmt.Errorf("the traffic profile is gone: %w", edge.ErrChanged)
}
