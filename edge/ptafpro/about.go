package ptafpro

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// about is what the device says of its own versions.
type about struct {
	mu    sync.Mutex
	known map[string]string
	until time.Time // when it is asked again
}

const (
	aboutEvery = 10 * time.Minute // they change with an update, or where a right is given
	aboutAgain = time.Minute      // after no answer
)

// Versions are those of the parts of the device, such as "ptaf_deploy": "4.3.0.12165".
// They are optional, and for people to look at: nil where the device doesn't tell
// or the user may not see them (about.system). It is asked once in ten minutes.
func (c *Client) Versions(ctx context.Context) map[string]string {
	c.about.mu.Lock()
	defer c.about.mu.Unlock()
	if time.Now().Before(c.about.until) {
		return maps.Clone(c.about.known)
	}
	// Once: nobody waits for what isn't needed longer than for one call.
	raw, _, err := c.call(ctx, http.MethodGet, "/about/versions", nil)
	status := (*APIError)(nil)
	switch {
	case err == nil:
		c.about.known, c.about.until = parseVersions(raw), time.Now().Add(aboutEvery)
	case errors.As(err, &status) && status.Status < http.StatusInternalServerError && status.Status != http.StatusTooManyRequests:
		c.about.known, c.about.until = nil, time.Now().Add(aboutEvery)
	default:
		c.about.until = time.Now().Add(aboutAgain) // what was known may still be so
	}
	return maps.Clone(c.about.known)
}

var (
	partName    = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	versionText = regexp.MustCompile(`^[A-Za-z0-9_.+:~-]{1,64}$`)
)

// parseVersions takes the texts of "data" that look like versions. Source: facts A2.1.
func parseVersions(raw []byte) map[string]string {
	all, err := fields(raw)
	if err != nil {
		return nil
	}
	data, err := fields(all["data"])
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for name := range data {
		if v := data.text(name); partName.MatchString(name) && versionText.MatchString(v) {
			out[name] = v
		}
	}
	return out
}
