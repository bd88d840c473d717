package announce

import (
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
)

// Config is the key "announce": the word off, or a section. Left out, everything is
// announced to the configured Alertmanagers. Call [Config.Validate] before anything else.
type Config struct {
	Steps      *bool          `yaml:"steps,omitempty"`       // SluiceStep; left out: true
	Failures   *bool          `yaml:"failures,omitempty"`    // SluiceStepFailed; left out: true
	Refusals   *bool          `yaml:"refusals,omitempty"`    // SluiceRefused; left out: true
	Approvals  *bool          `yaml:"approvals,omitempty"`   // SluiceApprovalWaits; left out: true
	After      int            `yaml:"after,omitempty"`       // steps in a row that come to nothing before that is announced; left out: 3
	RefusedFor model.Duration `yaml:"refused_for,omitempty"` // how long a step is refused before that is announced; left out: 1m
	Repeat     model.Duration `yaml:"repeat,omitempty"`      // how often what is announced is said again; left out: 1m

	given bool
	word  string
}

// What is meant where the configuration is silent, and what is allowed.
const (
	defaultAfter      = 3
	defaultRefusedFor = time.Minute
	defaultRepeat     = time.Minute // as Prometheus says its own alerts again (resend delay)

	mostAfter   = 100
	leastRepeat = time.Second
	mostRepeat  = time.Hour
)

const off = "off"

// UnmarshalYAML takes a word or a section. The decoder's strictness is kept.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = Config{given: true}
	if unmarshal(&c.word) == nil {
		return nil
	}
	type plain Config
	return unmarshal((*plain)(c))
}

// MarshalYAML is the inverse of UnmarshalYAML.
func (c Config) MarshalYAML() (any, error) {
	if c.word != "" {
		return c.word, nil
	}
	type plain Config
	return plain(c), nil
}

// IsZero is for omitempty.
func (c Config) IsZero() bool { return c == Config{} }

// Off says that nothing is announced.
func (c *Config) Off() bool { return c.word == off }

// Validate fills in what was left out and returns all mistakes; alertmanagers says
// whether there are any to announce to.
func (c *Config) Validate(alertmanagers bool) (all edge.Mistakes) {
	if c.After == 0 {
		c.After = defaultAfter
	}
	if c.RefusedFor == 0 {
		c.RefusedFor = model.Duration(defaultRefusedFor)
	}
	if c.Repeat == 0 {
		c.Repeat = model.Duration(defaultRepeat)
	}
	switch {
	case c.word == off:
	case c.word != "":
		all.Add("", "%q: write off, or a section such as announce: {refusals: false}", c.word)
	case c.given && !alertmanagers:
		all.Add("", "needs alertmanagers: write alertmanagers: [{url: http://127.0.0.1:9093}], or announce: off")
	}
	if c.After < 1 || c.After > mostAfter {
		all.Add("after", "%d: write a number of steps from 1 to %d", c.After, mostAfter)
	}
	if c.RefusedFor < 0 {
		all.Add("refused_for", "%s: write a time above 0", c.RefusedFor)
	}
	if r := time.Duration(c.Repeat); r < leastRepeat || r > mostRepeat {
		all.Add("repeat", "%s: write a time from %s to %s", c.Repeat, model.Duration(leastRepeat), model.Duration(mostRepeat))
	}
	return all
}

func isOn(b *bool) bool { return b == nil || *b }
