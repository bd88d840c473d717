package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptafpro"
)

// PTAFPro says how to reach the API v4 of one tenant of a PTAF PRO.
type PTAFPro struct {
	URL      string   `yaml:"url"`                // https://ADDRESS/api/ptaf/v4
	Tenant   string   `yaml:"tenant,omitempty"`   // name or id; left out: the default one
	Profiles []string `yaml:"profiles,omitempty"` // traffic profiles, names or ids; left out: all
	Instance string   `yaml:"instance,omitempty"` // of the cloud edition: its URL, for the cookie af_instance

	// Login gets tokens by a password. Left out, authorization has a static one.
	Login *Login `yaml:"login,omitempty"`

	Timeout model.Duration `yaml:"timeout,omitempty"` // of each call; 5s when left out
	HTTP    `yaml:",inline"`
}

// A Login is a user with a password.
type Login struct {
	Username     string            `yaml:"username"`
	Password     promconfig.Secret `yaml:"password,omitempty"`
	PasswordFile string            `yaml:"password_file,omitempty"`
	LDAP         bool              `yaml:"ldap,omitempty"`
}

// UnmarshalYAML fills in the client's defaults, whose zero values mean something else.
func (p *PTAFPro) UnmarshalYAML(unmarshal func(any) error) error {
	type plain PTAFPro
	p.Client = promconfig.DefaultHTTPClientConfig
	return unmarshal((*plain)(p))
}

func (p *PTAFPro) setDirectory(dir string) {
	p.HTTP.setDirectory(dir)
	if p.Login != nil {
		p.Login.PasswordFile = promconfig.JoinDir(dir, p.Login.PasswordFile)
	}
}

func (p *PTAFPro) validate() (m edge.Mistakes) {
	const example = "https://192.0.2.20/api/ptaf/v4"
	if err := validateURL(p.URL, example); err != nil {
		m.Add("url", "%v", err)
	}
	m.Under("", p.plain(p.URL))
	for i, name := range p.Profiles {
		if name == "" {
			m.Add(fmt.Sprintf("profiles[%d]", i), "is empty: write a name or an id; leave profiles out for all")
		}
	}
	switch l := p.Login; {
	case l == nil && p.Client.Authorization == nil:
		m.Add("login", "is missing: write login: {username, password_file}, or authorization: {credentials_file} with an API token")
	case l == nil:
	case p.Client.Authorization != nil:
		m.Add("authorization", "login is there too: write one of them")
	case l.Username == "":
		m.Add("login.username", "is missing")
	case (l.Password == "") == (l.PasswordFile == ""):
		m.Add("login", "write one of password and password_file")
	}
	if p.Client.BasicAuth != nil || p.Client.OAuth2 != nil {
		m.Add("basic_auth", "PTAF PRO takes tokens: write login: {username, password_file}")
	}
	m.Under("", validateTimeout(p.Timeout))
	m.Under("", p.HTTP.validate())
	return m
}

// secret is a password or a token. A file is read anew each time that it is
// wanted, as prometheus/common reads those of the other devices.
func secret(text promconfig.Secret, file string) func() (string, error) {
	return func() (string, error) {
		if file == "" {
			return string(text), nil
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return "", err // it says which file
		}
		return strings.TrimSpace(string(b)), nil
	}
}

func newPTAFPro(c Config, o Options) (client, error) {
	web := c.PTAFPro.HTTP
	web.Client.Authorization = nil // the API's client carries tokens itself
	h, err := web.client(c.Name, o)
	if err != nil {
		return nil, err
	}
	opts := ptafpro.Options{
		URL: c.PTAFPro.URL, Tenant: c.PTAFPro.Tenant, HTTP: h, Timeout: time.Duration(c.PTAFPro.Timeout),
		Instance: c.PTAFPro.Instance, Profiles: c.PTAFPro.Profiles, Write: o.Write,
	}
	if a := c.PTAFPro.Client.Authorization; a != nil {
		opts.Token = secret(a.Credentials, a.CredentialsFile)
	}
	if l := c.PTAFPro.Login; l != nil {
		opts.Username, opts.LDAP, opts.Password = l.Username, l.LDAP, secret(l.Password, l.PasswordFile)
	}
	p, err := ptafpro.New(opts)
	if err != nil {
		return nil, err
	}
	return &ptafProClient{Client: p}, nil
}

// PTAFPro is the device's client, nil for other kinds.
func (d *Device) PTAFPro() *ptafpro.Client {
	p, ok := d.client.(*ptafProClient)
	if !ok {
		return nil
	}
	return p.Client
}

type ptafProClient struct {
	*ptafpro.Client

	mu   sync.Mutex
	last ptafpro.Reading // knows the ids of what orders name
}

func (p *ptafProClient) look(ctx context.Context, device string) (edge.Snapshot, error) {
	r, err := p.Read(ctx)
	if err != nil {
		return edge.Snapshot{}, err
	}
	p.mu.Lock()
	p.last = r
	p.mu.Unlock()
	return r.Snapshot(device), nil
}

var errUnread = errors.New("not among what was read last")

// set makes each change a write of its own: API v4 has no write of a whole pool.
func (p *ptafProClient) set(ctx context.Context, o edge.Order) (edge.Receipt, error) {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if last.At.IsZero() {
		if _, err := p.look(ctx, o.Changes[0].Member.Device); err != nil {
			return edge.Receipt{}, err
		}
		return p.set(ctx, o)
	}
	var all edge.Receipt
	for i, c := range o.Changes {
		if i > 0 {
			o.Version, o.Last = "", nil // the write before has made it another, and was the first
		}
		receipt, err := p.setOne(ctx, last, c, o)
		all.Written = all.Written || receipt.Written
		all.Before, all.After, all.Gap = receipt.Before, receipt.After, max(all.Gap, receipt.Gap)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func (p *ptafProClient) setOne(ctx context.Context, last ptafpro.Reading, c edge.Change, o edge.Order) (edge.Receipt, error) {
	w := ptafpro.Write{Version: o.Version, Last: o.Last}
	id, ok := last.Backend(c.Member)
	if c.Mark != "" {
		id, ok = last.Application(c.Member)
	}
	if !ok {
		return edge.Receipt{}, fmt.Errorf("set %q: %w", c.Member, errUnread)
	}
	if o.Save != nil {
		w.Save = func(object []byte) error {
			return o.Save(edge.Image{Device: c.Member.Device, Pool: c.Member.Pool, Object: id, Bytes: object})
		}
	}
	if c.Mark != "" {
		return p.SetProtectionMode(ctx, id, c.Mark, w)
	}
	return p.SetEnabled(ctx, id, c.To == edge.Ready, w)
}

func (*ptafProClient) whole() (time.Duration, bool) { return 0, false }
