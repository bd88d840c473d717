package fleet

import (
	"fmt"
	"regexp"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Configs is the section "devices".
type Configs []Config

// A Config names one device and says, by exactly one key, which kind it is of.
type Config struct {
	Name    string   `yaml:"name"`
	HAProxy *HAProxy `yaml:"haproxy,omitempty"`
	PTAF    *PTAF    `yaml:"ptaf,omitempty"`
	PTAFPro *PTAFPro `yaml:"ptafpro,omitempty"`
}

// A kind is one line of [Config.kinds]: the section of a device in the
// configuration, and how its client is built.
type kind struct {
	name    string
	section section
	build   func(Config, Options) (client, error)
}

type section interface {
	validate() edge.Mistakes
	files() edge.Mistakes // that can't be read or used now
	setDirectory(dir string)
}

// kinds are the sections that are there; one, where nothing is wrong.
func (c Config) kinds() (out []kind) {
	if c.HAProxy != nil {
		out = append(out, kind{"haproxy", c.HAProxy, newHAProxy})
	}
	if c.PTAF != nil {
		out = append(out, kind{"ptaf", c.PTAF, newPTAF})
	}
	if c.PTAFPro != nil {
		out = append(out, kind{"ptafpro", c.PTAFPro, newPTAFPro})
	}
	return out
}

var deviceName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

const maxTimeout = time.Minute

// Validate finds every mistake in the section; paths are relative to it.
func (c Configs) Validate() edge.Mistakes {
	var all edge.Mistakes
	seen := map[string]int{}
	for i, d := range c {
		var m edge.Mistakes
		switch first, twice := seen[d.Name]; {
		case d.Name == "":
			m.Add("name", "is missing: give the device a name, such as edge1; metrics and alerts carry it")
		case !deviceName.MatchString(d.Name):
			m.Add("name", "%q: want letters, digits, '.', ':', '_' or '-', at most 64", d.Name)
		case twice:
			m.Add("name", "%q is devices[%d] already: names are used once", d.Name, first)
		default:
			seen[d.Name] = i
		}
		kinds := d.kinds()
		switch len(kinds) {
		case 0:
			m.Add("", "device %q is of no kind: add haproxy: {address: /run/haproxy/admin.sock}, or ptaf, or ptafpro, with its url", d.Name)
		case 1:
		default:
			m.Add(kinds[1].name, "device %q is %s already: one device has one kind", d.Name, kinds[0].name)
		}
		for _, k := range kinds {
			wrong := k.section.validate()
			if len(wrong) == 0 { // what else the client itself doesn't take
				if _, err := k.build(d, Options{}); err != nil {
					wrong.Add("", "%v", err)
				}
			}
			m.Under(k.name, wrong)
		}
		all.Under(fmt.Sprintf("[%d]", i), m)
	}
	return all
}

// SetDirectory makes relative paths relative to the configuration file's directory.
func (c Configs) SetDirectory(dir string) {
	for _, d := range c {
		for _, k := range d.kinds() {
			k.section.setDirectory(dir)
		}
	}
}
