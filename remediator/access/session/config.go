package session

import (
	"cmp"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
)

// Config is the section "sessions" of the section "access". Call [Config.Validate]
// before anything else.
type Config struct {
	Idle     model.Duration `yaml:"idle,omitempty"`     // without a request; left out: 30m
	Lifetime model.Duration `yaml:"lifetime,omitempty"` // from the log-in on, whatever is done; left out: 12h
	Max      int            `yaml:"max,omitempty"`      // of all users together; left out: 1000
	MaxUser  int            `yaml:"max_user,omitempty"` // of one user; left out: 10
}

const (
	defaultIdle     = 30 * time.Minute
	defaultLifetime = 12 * time.Hour
	defaultMax      = 1000
	defaultMaxUser  = 10

	leastTime    = time.Minute         // less ends while a form is filled in
	mostLifetime = 30 * 24 * time.Hour // more is a password that is never asked for
	mostSessions = 100_000
)

// Validate fills in what was left out and returns all mistakes.
func (c *Config) Validate() edge.Mistakes {
	var all edge.Mistakes
	c.Lifetime = cmp.Or(c.Lifetime, model.Duration(defaultLifetime))
	c.Idle = cmp.Or(c.Idle, min(model.Duration(defaultIdle), c.Lifetime))
	c.Max = cmp.Or(c.Max, defaultMax)
	c.MaxUser = cmp.Or(c.MaxUser, min(defaultMaxUser, c.Max))
	if d := time.Duration(c.Lifetime); d < leastTime || d > mostLifetime {
		all.Add("lifetime", "%s: write 1m to 30d", c.Lifetime)
	}
	if d := time.Duration(c.Idle); d < leastTime || d > time.Duration(c.Lifetime) {
		all.Add("idle", "%s: write 1m to lifetime, %s", c.Idle, c.Lifetime)
	}
	if c.Max < 1 || c.Max > mostSessions {
		all.Add("max", "%d: write 1 to %d", c.Max, mostSessions)
	}
	if c.MaxUser < 1 || c.MaxUser > c.Max {
		all.Add("max_user", "%d: write 1 to max, %d", c.MaxUser, c.Max)
	}
	return all
}
