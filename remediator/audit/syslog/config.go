package syslog

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
)

// Config says where messages go, and how they are written. Call
// [Config.Validate] before anything else.
type Config struct {
	Address  string `yaml:"address"`            // unix:///dev/log, udp://192.0.2.5:514, tcp://... or tls://...
	Format   string `yaml:"format,omitempty"`   // rfc5424 or cef; left out: rfc5424
	Facility string `yaml:"facility,omitempty"` // left out: local0
	// EnterpriseID is the number behind "sluice@" in structured data. Left out:
	// 32473, which RFC 5612 keeps for examples; Sluice has none of its own.
	EnterpriseID int                   `yaml:"enterprise_id,omitempty"`
	TLSConfig    *promconfig.TLSConfig `yaml:"tls_config,omitempty"`

	network, target string
	facility        int
}

// The formats.
const (
	FormatRFC5424 = "rfc5424"
	FormatCEF     = "cef"
)

const exampleEnterprise = 32473

// facilities are in the order of RFC 5424 table 1, whose numbers count from 0.
var facilities = strings.Fields("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock" +
	" local0 local1 local2 local3 local4 local5 local6 local7")

// SetDirectory makes relative paths relative to the configuration file's directory.
func (c *Config) SetDirectory(dir string) { c.TLSConfig.SetDirectory(dir) }

// Validate fills in what was left out and returns all mistakes.
func (c *Config) Validate() edge.Mistakes {
	var all edge.Mistakes
	if c.Format == "" {
		c.Format = FormatRFC5424
	}
	if c.Format != FormatRFC5424 && c.Format != FormatCEF {
		all.Add("format", "%q: write rfc5424 or cef", c.Format)
	}
	if c.Facility == "" {
		c.Facility = "local0"
	}
	if c.facility = slices.Index(facilities, c.Facility); c.facility < 0 {
		all.Add("facility", "%q: write local0 to local7, or one of %s", c.Facility, strings.Join(facilities[:len(facilities)-8], ", "))
	}
	if c.EnterpriseID == 0 {
		c.EnterpriseID = exampleEnterprise
	}
	if c.EnterpriseID < 0 {
		all.Add("enterprise_id", "%d: write your number from IANA, or leave it out", c.EnterpriseID)
	}
	var err error
	if c.network, c.target, err = parseAddress(c.Address); err != nil {
		all.Add("address", "%v", err)
		return all
	}
	if c.TLSConfig == nil {
		return all
	}
	if c.network != "tls" {
		all.Add("tls_config", "is for an address that starts with tls://: leave it out")
	} else if err := c.TLSConfig.Validate(); err != nil {
		all.Add("tls_config", "%v", err)
	}
	return all
}

var errAddress = fmt.Errorf("write one like udp://192.0.2.5:514, tcp://192.0.2.5:601, tls://192.0.2.5:6514 or unix:///dev/log")

func parseAddress(s string) (network, target string, err error) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", errAddress
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return "", "", errAddress
		}
		return "unixgram", u.Path, nil // what /dev/log is, with rsyslog, syslog-ng and journald alike
	case "udp", "tcp", "tls":
		host, port, err := net.SplitHostPort(u.Host)
		n, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || bad != nil || n == 0 || host == "" || strings.Trim(u.Path, "/") != "" {
			return "", "", errAddress
		}
		return u.Scheme, u.Host, nil
	}
	return "", "", errAddress
}

// tls returns how to secure the connection, nil for not at all.
func (c *Config) tls() (*tls.Config, error) {
	if c.network != "tls" {
		return nil, nil
	}
	in := c.TLSConfig
	if in == nil {
		in = new(promconfig.TLSConfig)
	}
	t, err := promconfig.NewTLSConfig(in)
	if err != nil {
		return nil, fmt.Errorf("syslog: tls_config: %w", err)
	}
	if t.ServerName == "" {
		if t.ServerName, _, err = net.SplitHostPort(c.target); err != nil {
			return nil, fmt.Errorf("syslog: %w", err)
		}
	}
	return t, nil
}
