package fleet

import (
	"fmt"
	"regexp"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
)

// Configs is the section "devices".
type Configs []Config

// A Config names one device and says, by exactly one key, which kind it is of.
type Config struct {
	Name    string   `yaml:"name"`
	HAProxy *HAProxy `yaml:"haproxy,omitempty"`
}

// HAProxy says how to reach the stats socket of one HAProxy process.
type HAProxy struct {
	Address string         `yaml:"address"`
	Timeout model.Duration `yaml:"timeout,omitempty"` // of one batch; 5s when left out
	// TLSConfig is for a TCP address with something in front that ends TLS;
	// HAProxy's own CLI has none.
	TLSConfig *promconfig.TLSConfig `yaml:"tls_config,omitempty"`
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
		if d.HAProxy == nil {
			m.Add("", "device %q is of no kind: add haproxy: {address: /run/haproxy/admin.sock}", d.Name)
		} else {
			m.Under("haproxy", d.HAProxy.validate())
		}
		all.Under(fmt.Sprintf("[%d]", i), m)
	}
	return all
}

func (h *HAProxy) validate() (m edge.Mistakes) {
	network, _, err := haproxy.ParseAddress(h.Address)
	if err != nil {
		m.Add("address", "%v", err)
	}
	if h.Timeout < 0 || time.Duration(h.Timeout) > maxTimeout {
		m.Add("timeout", "%s: want more than 0 and at most %s", h.Timeout, model.Duration(maxTimeout))
	}
	if h.TLSConfig == nil {
		return m
	}
	if network == "unix" {
		m.Add("tls_config", "a unix socket has no TLS: leave it out")
	}
	if err := h.TLSConfig.Validate(); err != nil {
		m.Add("tls_config", "%v", err)
	}
	return m
}

// SetDirectory makes relative paths relative to the configuration file's directory.
func (c Configs) SetDirectory(dir string) {
	for _, d := range c {
		if d.HAProxy == nil {
			continue
		}
		if network, path, err := haproxy.ParseAddress(d.HAProxy.Address); err == nil && network == "unix" {
			d.HAProxy.Address = "unix@" + promconfig.JoinDir(dir, path)
		}
		d.HAProxy.TLSConfig.SetDirectory(dir)
	}
}
