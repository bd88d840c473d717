package coordinate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/sluice-project/sluice/edge"
)

// Config is the key "coordinator": the word local, which is also meant when it is
// left out, or a section etcd. Call [Config.Validate] before anything else.
type Config struct {
	Etcd *EtcdConfig `yaml:"etcd,omitempty"`

	word string
}

// EtcdConfig is the section "etcd".
type EtcdConfig struct {
	Endpoints    []string              `yaml:"endpoints"`        // https://192.0.2.1:2379; all of one cluster
	Prefix       string                `yaml:"prefix,omitempty"` // of all keys; left out: /sluice
	TTL          model.Duration        `yaml:"ttl,omitempty"`    // of the leader's lease; left out: 10s
	TLS          *promconfig.TLSConfig `yaml:"tls_config,omitempty"`
	Username     string                `yaml:"username,omitempty"`
	PasswordFile string                `yaml:"password_file,omitempty"`
}

// What is meant where the configuration is silent, and what a lease may be. etcd
// grants no less than 2 s by its own defaults, and counts in whole seconds.
const (
	defaultPrefix = "/sluice"
	defaultTTL    = 10 * time.Second
	leastTTL      = 3 * time.Second
	mostTTL       = 5 * time.Minute
)

// UnmarshalYAML takes a word or a section. The decoder's strictness is kept.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = Config{}
	if unmarshal(&c.word) == nil {
		return nil
	}
	type plain Config
	return unmarshal((*plain)(c))
}

// MarshalYAML is the inverse of UnmarshalYAML.
func (c Config) MarshalYAML() (any, error) {
	if c.Etcd == nil {
		return "local", nil
	}
	type plain Config
	return plain(c), nil
}

// IsZero is for omitempty.
func (c Config) IsZero() bool { return c == Config{} }

// SetDirectory makes relative paths relative to the configuration file's directory.
func (c *Config) SetDirectory(dir string) {
	if c.Etcd != nil {
		c.Etcd.TLS.SetDirectory(dir)
		c.Etcd.PasswordFile = promconfig.JoinDir(dir, c.Etcd.PasswordFile)
	}
}

// Same says whether a running process could go on under the other configuration:
// coordination isn't changed while it runs.
func (c *Config) Same(other *Config) bool {
	a, b := c.Etcd, other.Etcd
	if a == nil || b == nil {
		return a == b
	}
	return a.Prefix == b.Prefix && a.TTL == b.TTL && strings.Join(a.Endpoints, " ") == strings.Join(b.Endpoints, " ")
}

// Least is what is left of the lease, while all is well, just before it is renewed: a
// command whose timeout and margin are longer would be refused now and then.
// It is [Forever] where there is no lease.
func (c *Config) Least() time.Duration {
	if c.Etcd == nil {
		return Forever
	}
	ttl := time.Duration(c.Etcd.TTL)
	return ttl - ttl/renewals
}

// Validate fills in what was left out and returns all mistakes.
func (c *Config) Validate() edge.Mistakes {
	var all edge.Mistakes
	switch {
	case c.word == "etcd":
		all.Add("", "etcd needs to know where: write coordinator: {etcd: {endpoints: [https://192.0.2.1:2379]}}")
	case c.word != "" && c.word != "local":
		all.Add("", "%q: write local, or a section etcd", c.word)
	case c.Etcd != nil:
		all.Under("etcd", c.Etcd.validate())
	}
	return all
}

func (c *EtcdConfig) validate() (all edge.Mistakes) {
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.TTL == 0 {
		c.TTL = model.Duration(defaultTTL)
	}
	if len(c.Endpoints) == 0 {
		all.Add("endpoints", "is missing: write the addresses of all members of one etcd cluster, such as [https://192.0.2.1:2379]")
	}
	schemes := map[string]bool{}
	for i, e := range c.Endpoints {
		at := fmt.Sprintf("endpoints[%d]", i)
		u, err := url.Parse(e)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Port() == "":
			all.Add(at, "write an address with scheme and port, such as https://192.0.2.1:2379")
			continue
		case u.User != nil:
			all.Add(at, "holds a user: write username and password_file instead")
		case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			all.Add(at, "holds more than scheme, host and port: leave it out")
		}
		schemes[u.Scheme] = true
	}
	switch {
	case len(schemes) > 1:
		all.Add("endpoints", "some are http and some https: one connection can't be both")
	case schemes["http"] && c.TLS != nil:
		all.Add("tls_config", "is for endpoints of https")
	case schemes["http"] && c.Username != "":
		all.Add("username", "would send the password in the clear: write endpoints of https")
	}
	if !strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/") || strings.ContainsFunc(c.Prefix, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		all.Add("prefix", "%q: write it with a slash in front and none behind, such as %s", c.Prefix, defaultPrefix)
	}
	if ttl := time.Duration(c.TTL); ttl < leastTTL || ttl > mostTTL || ttl%time.Second != 0 {
		all.Add("ttl", "%s: write whole seconds from %s to %s", c.TTL, leastTTL, mostTTL)
	}
	if (c.Username == "") != (c.PasswordFile == "") {
		all.Add("username", "goes with password_file: write both or none")
	}
	if c.TLS != nil {
		if err := c.TLS.Validate(); err != nil {
			all.Add("tls_config", "%v", err)
		}
	}
	return all
}

// How long a connection may take, and be silent.
const (
	dialTimeout    = 2 * time.Second
	silentFor      = 10 * time.Second
	answerPingIn   = 2 * time.Second
	firstRedial    = 100 * time.Millisecond
	lastRedial     = time.Second
	longestRequest = 4 << 20 // etcd's own limit is lower; the default here is 2 MiB
)

// client connects in the background, but for one that must log in: it can't be
// made without an answer.
func (c *EtcdConfig) client(heard *cause) (*clientv3.Client, error) {
	conf := clientv3.Config{
		Endpoints: c.Endpoints, DialTimeout: dialTimeout,
		DialKeepAliveTime: silentFor, DialKeepAliveTimeout: answerPingIn, PermitWithoutStream: true,
		MaxCallSendMsgSize: longestRequest, MaxCallRecvMsgSize: 1 << 30, // pages of entries with images
		DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(heard.listen),
			// gRPC would give one try 20 s, and leave up to 2 min between two: for so long
			// nobody would lead after a network that was cut is whole again.
			// Source: grpc-go 1.83, clientconn.go: minConnectTimeout, backoff.go: DefaultConfig.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: firstRedial, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastRedial},
				MinConnectTimeout: dialTimeout,
			}),
		},
		Logger: zap.NewNop(), // what goes wrong is in the errors
	}
	if strings.HasPrefix(c.Endpoints[0], "https:") {
		conf.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if c.TLS != nil {
			var err error
			if conf.TLS, err = promconfig.NewTLSConfig(c.TLS); err != nil {
				return nil, fmt.Errorf("coordinator: etcd: tls_config: %w", err)
			}
		}
	}
	if c.Username != "" {
		b, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("coordinator: etcd: password_file: %w", err)
		}
		conf.Username, conf.Password = c.Username, strings.TrimSpace(string(b))
		if conf.Password == "" {
			return nil, fmt.Errorf("coordinator: etcd: password_file %s: %w", c.PasswordFile, errors.New("is empty"))
		}
	}
	client, err := clientv3.New(conf)
	if err != nil {
		return nil, fmt.Errorf("coordinator: etcd: %s", heard.of(err))
	}
	return client, nil
}

// A cause is what gRPC said of a call that failed. The client makes of every call
// whose time ran out "context deadline exceeded", and so hides that a connection
// was refused, or a certificate. Source: etcd client 3.6, client.go: ContextError.
type cause struct {
	mu   sync.Mutex
	last string
}

func (c *cause) listen(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, cc, opts...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = ""
	if err != nil {
		c.last = oneLine(err)
	}
	return err
}

// of returns err in one line, with what gRPC said where err doesn't say it.
func (c *cause) of(err error) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, context.DeadlineExceeded) && strings.Contains(c.last, "connection error") {
		return oneLine(err) + ": " + c.last
	}
	return oneLine(err)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Open makes the coordinator of a validated configuration; nothing is asked of etcd
// yet, unless there is a user to log in.
func Open(c Config) (Coordinator, error) {
	if c.Etcd == nil {
		return Local{}, nil
	}
	heard := new(cause)
	client, err := c.Etcd.client(heard)
	if err != nil {
		return nil, err
	}
	e := NewEtcd(client, c.Etcd.Prefix, time.Duration(c.Etcd.TTL))
	e.cause = heard
	return e, nil
}
