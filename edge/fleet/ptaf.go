package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptaf"
)

// DefaultWriteInterval lies between two writes to one upstream at least.
const DefaultWriteInterval = 10 * time.Second

// PTAF says how to reach the API v2 of one PTAF 3.x, or of all nodes of a cluster.
type PTAF struct {
	URL       string   `yaml:"url,omitempty"`       // https://ADDRESS:8443/api/waf/v2
	URLs      []string `yaml:"urls,omitempty"`      // of each node of a cluster, instead of url
	Gateways  []string `yaml:"gateways,omitempty"`  // the nodes' names in the API, in the order of urls; left out: found by address
	Upstreams []string `yaml:"upstreams,omitempty"` // names or ids; left out: all

	Timeout          model.Duration `yaml:"timeout,omitempty"`            // of each call; 5s when left out
	MinWriteInterval model.Duration `yaml:"min_write_interval,omitempty"` // between two writes to one upstream; 10s when left out
	HTTP             `yaml:",inline"`
}

// UnmarshalYAML fills in the client's defaults, whose zero values mean something else.
func (p *PTAF) UnmarshalYAML(unmarshal func(any) error) error {
	type plain PTAF
	p.Client = promconfig.DefaultHTTPClientConfig
	return unmarshal((*plain)(p))
}

func (p *PTAF) validate() (m edge.Mistakes) {
	const example = "https://192.0.2.10:8443/api/waf/v2"
	switch {
	case p.URL == "" && len(p.URLs) == 0:
		m.Add("url", "is missing: write the address of the management API, such as %s", example)
	case p.URL != "" && len(p.URLs) > 0:
		m.Add("urls", "url is there too: write url for one node, urls for a cluster")
	case p.URL != "":
		if err := validateURL(p.URL, example); err != nil {
			m.Add("url", "%v", err)
		}
	}
	for i, u := range p.URLs {
		err := validateURL(u, example)
		same := func(other string) bool { return strings.TrimRight(other, "/") == strings.TrimRight(u, "/") }
		switch {
		case err != nil:
			m.Add(fmt.Sprintf("urls[%d]", i), "%v", err)
		case slices.ContainsFunc(p.URLs[:i], same):
			m.Add(fmt.Sprintf("urls[%d]", i), "%s is there twice: write the address of each node once", cut(u))
		}
	}
	for _, u := range p.nodes() {
		if wrong := p.plain(u); len(wrong) > 0 {
			m.Under("", wrong)
			break
		}
	}
	for i, name := range p.Gateways {
		if name == "" {
			m.Add(fmt.Sprintf("gateways[%d]", i), "is empty: write the node's name in the API; leave gateways out to find nodes by address")
		}
	}
	if len(p.Gateways) > 0 && len(p.Gateways) != len(p.nodes()) {
		m.Add("gateways", "%d names for %d nodes: write one for each url, in their order", len(p.Gateways), len(p.nodes()))
	}
	for i, u := range p.Upstreams {
		if u == "" {
			m.Add(fmt.Sprintf("upstreams[%d]", i), "is empty: write a name or an id; leave upstreams out for all")
		}
	}
	m.Under("", validateTimeout(p.Timeout))
	if p.MinWriteInterval < 0 {
		m.Add("min_write_interval", "%s: write a time above 0", p.MinWriteInterval)
	}
	m.Under("", p.HTTP.validate())
	return m
}

func validateTimeout(d model.Duration) (m edge.Mistakes) {
	if d < 0 || time.Duration(d) > maxTimeout {
		m.Add("timeout", "%s: want more than 0 and at most %s", d, model.Duration(maxTimeout))
	}
	return m
}

func (p *PTAF) nodes() []string {
	if p.URL != "" {
		return []string{p.URL}
	}
	return p.URLs
}

func newPTAF(c Config, o Options) (client, error) {
	h, err := c.PTAF.client(c.Name, o)
	if err != nil {
		return nil, err
	}
	p, err := ptaf.New(ptaf.Options{
		URLs: c.PTAF.nodes(), Gateways: c.PTAF.Gateways, HTTP: h,
		Upstreams: c.PTAF.Upstreams, Timeout: time.Duration(c.PTAF.Timeout),
	})
	if err != nil {
		return nil, err
	}
	every := time.Duration(c.PTAF.MinWriteInterval)
	if every == 0 {
		every = DefaultWriteInterval
	}
	return ptafClient{p, every}, nil
}

// PTAF is the device's client, nil for other kinds.
func (d *Device) PTAF() *ptaf.Client {
	p, ok := d.client.(ptafClient)
	if !ok {
		return nil
	}
	return p.Client
}

type ptafClient struct {
	*ptaf.Client
	every time.Duration
}

func (p ptafClient) look(ctx context.Context, device string) (edge.Snapshot, error) {
	r, err := p.Read(ctx)
	if err != nil {
		return edge.Snapshot{}, err
	}
	return r.Snapshot(device), nil
}

func (p ptafClient) set(ctx context.Context, o edge.Order) (edge.Receipt, error) {
	pool := o.Changes[0].Member.In()
	down := make(map[string]bool, len(o.Changes))
	for _, c := range o.Changes {
		down[c.Member.Name] = c.To != edge.Ready // drain and maint are one here
	}
	return p.Change(ctx, pool.Name, down, p.write(pool, o))
}

// write turns an order's conditions into the client's.
func (p ptafClient) write(pool edge.Pool, o edge.Order) ptaf.Write {
	w := ptaf.Write{Version: o.Version, Last: o.Last}
	if o.Save != nil {
		w.Save = func(object []byte) error {
			i := edge.Image{Device: pool.Device, Pool: pool.Name, Bytes: object}
			if u, err := ptaf.ParseUpstream(object); err == nil {
				i.Object = u.ID
			}
			return o.Save(i)
		}
	}
	return w
}

func (p ptafClient) whole() (time.Duration, bool) { return p.every, true }

// preview says how the pool's members would stand with a stored object.
func (p ptafClient) preview(pool string, object []byte) (after []edge.State, other string, err error) {
	u, err := ptaf.ParseUpstream(object)
	if err != nil {
		return nil, "", err
	}
	if u.Name != pool {
		other = fmt.Sprintf("the object is of upstream %q, not of %q", u.Name, pool)
	}
	r := ptaf.Reading{Upstreams: []ptaf.Upstream{u}}
	for _, st := range r.Snapshot("").States {
		after = append(after, st)
	}
	return after, other, nil
}

func (p ptafClient) restore(ctx context.Context, pool edge.Pool, object []byte, o edge.Order) (edge.Receipt, error) {
	backends, err := ptaf.Backends(object)
	if err != nil {
		return edge.Receipt{}, err
	}
	return p.Replace(ctx, pool.Name, backends, p.write(pool, o))
}
