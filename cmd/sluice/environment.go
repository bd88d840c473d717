package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/remediator/access"
)

// The variables by which the HAProxy REST API that Sluice replaces was configured.
const (
	envSocket    = "HAPROXY_SOCKET_PATH"
	envInstances = "HAPROXY_INSTANCES"
	envTimeout   = "HAPROXY_TIMEOUT"
	envSecurity  = "AGENT_SECURITY_ENABLED"
	envToken     = "AGENT_AUTH_TOKEN"
	envHost      = "AGENT_HOST"
	envPort      = "AGENT_PORT"
)

// What is meant where a variable isn't set, or is empty. The replaced API
// listened on all addresses; without a token that is nothing to do by default.
const (
	defaultSocket  = "/var/run/haproxy.sock"
	defaultTimeout = 5 * time.Second
	defaultHost    = "127.0.0.1"
	defaultPort    = "11011"
)

// notTaken are variables of the replaced API that mean nothing here, and what to
// use instead.
var notTaken = [][2]string{
	{"LOG_LEVEL", "give --log.level"},
	{"DISCOVERY_INTERVAL", "there is no discovery of applications"},
}

// An environment is a configuration that was read from variables.
type environment struct {
	devices fleet.Configs
	token   string   // that each request has to carry; empty: none
	listen  string   // host:port
	notes   []string // for whoever starts it, one line each
}

// environmentError is all that is wrong in the environment. Each line begins with
// the variable's name; none has a secret.
type environmentError struct{ lines []string }

func (e *environmentError) Lines() []string { return e.lines }

func (e *environmentError) Error() string { return strings.Join(e.lines, "\n") }

type environmentReader struct {
	get   func(string) string
	wrong []string
}

func (r *environmentReader) bad(variable, format string, args ...any) {
	r.wrong = append(r.wrong, variable+": "+fmt.Sprintf(format, args...))
}

// readEnvironment reads the variables. An error is an [*environmentError] with
// every mistake.
func readEnvironment(get func(string) string) (*environment, error) {
	r := &environmentReader{get: func(name string) string { return strings.TrimSpace(get(name)) }}
	e := &environment{}
	timeout := r.timeout()
	for _, i := range r.instances(e) {
		e.devices = append(e.devices, fleet.Config{Name: i[0], HAProxy: &fleet.HAProxy{Address: i[1], Timeout: timeout}})
	}
	e.token = r.token(e)
	e.listen = r.listen()
	for _, v := range notTaken {
		if get(v[0]) != "" {
			e.notes = append(e.notes, v[0]+" means nothing here: "+v[1])
		}
	}
	if len(r.wrong) == 0 {
		for _, m := range e.devices.Validate() { // what ours refuse beyond that; nothing that is known
			r.bad(envInstances, "%v", m)
		}
	}
	if len(r.wrong) > 0 {
		return nil, &environmentError{r.wrong}
	}
	return e, nil
}

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

// instances are names and addresses, in the order in which they are written.
func (r *environmentReader) instances(e *environment) (out [][2]string) {
	list := r.get(envInstances)
	if list == "" {
		address := r.get(envSocket)
		if address == "" {
			address = defaultSocket
		}
		if !r.address(envSocket, "", address) {
			return nil
		}
		return [][2]string{{"default", address}}
	}
	if r.get(envSocket) != "" {
		e.notes = append(e.notes, envSocket+" isn't used, as "+envInstances+" is set")
	}
	entries := strings.Split(list, ",")
	seen := map[string]bool{}
	for n, entry := range entries {
		entry = strings.TrimSpace(entry)
		name, address, named := strings.Cut(entry, "=")
		if unnamed(entry) || !named {
			name, address, named = "default", entry, false
		}
		name, address = strings.TrimSpace(name), strings.TrimSpace(address)
		switch {
		case entry == "":
			r.bad(envInstances, "entry %d is empty: write NAME=ADDRESS", n+1)
		case !named && len(entries) > 1:
			r.bad(envInstances, "entry %d, %.80q, has no name: write NAME=ADDRESS", n+1, entry)
		case !instanceName.MatchString(name):
			r.bad(envInstances, "entry %d: name %.80q: want letters, digits, '.', ':', '_' or '-', at most 64", n+1, name)
		case seen[name]:
			r.bad(envInstances, "entry %d: name %q is used twice", n+1, name)
		case r.address(envInstances, fmt.Sprintf("entry %d: ", n+1), address):
			out = append(out, [2]string{name, address})
		}
		seen[name] = true
	}
	return out
}

// unnamed says that an entry is an address by itself, whatever equals signs are in it.
func unnamed(entry string) bool {
	return strings.HasPrefix(entry, "/") || strings.HasPrefix(entry, "unix@") || strings.HasPrefix(entry, "http://") || strings.HasPrefix(entry, "https://")
}

func (r *environmentReader) address(variable, where, address string) bool {
	if _, _, err := haproxy.ParseAddress(address); err != nil {
		r.bad(variable, "%s%v", where, err)
		return false
	}
	return true
}

// numbers says that a host can't be a name, and isn't an address either: 10.0.0.256.
func numbers(host string) bool {
	return strings.Trim(host, "0123456789.") == "" && net.ParseIP(host) == nil
}

// timeout is in seconds, with or without a fraction, as the replaced API took it,
// or with a unit, as everything else here.
func (r *environmentReader) timeout() model.Duration {
	const most = time.Minute // as in a configuration file
	s := r.get(envTimeout)
	if s == "" {
		return model.Duration(defaultTimeout)
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil {
		d, err := model.ParseDuration(s)
		if err != nil {
			r.bad(envTimeout, "%.80q: want seconds, such as 5.0, or a duration, such as 500ms", s)
			return 0
		}
		seconds = time.Duration(d).Seconds()
	}
	if math.IsNaN(seconds) || seconds < 0.001 || seconds > most.Seconds() {
		r.bad(envTimeout, "%.80q: want 0.001 to %v seconds", s, most.Seconds())
		return 0
	}
	return model.Duration(time.Duration(math.Round(seconds*1000)) * time.Millisecond)
}

// token is what each request has to carry. What was meant is never guessed: the
// replaced API took anything but true for no.
func (r *environmentReader) token(e *environment) string {
	token := r.get(envToken)
	enabled := false
	switch s := r.get(envSecurity); strings.ToLower(s) {
	case "true", "1", "yes", "on":
		enabled = true
	case "", "false", "0", "no", "off":
	default:
		r.bad(envSecurity, "%.80q: want true or false", s)
	}
	switch {
	case !enabled && token != "":
		e.notes = append(e.notes, envToken+" isn't asked for, as "+envSecurity+" isn't true")
	case enabled && token == "":
		r.bad(envToken, "is missing, and %s is true: give the token that each request has to carry", envSecurity)
	case enabled && strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }):
		r.bad(envToken, "has a blank or a character that no header can carry: use visible ASCII characters")
	case enabled:
		return token
	}
	return ""
}

func (r *environmentReader) listen() string {
	host, port := r.get(envHost), r.get(envPort)
	if host == "" {
		host = defaultHost
	}
	if port == "" {
		port = defaultPort
	}
	bare, ok := asHost(host)
	if host = bare; !ok || numbers(host) {
		r.bad(envHost, "%.80q: want an address to listen on, such as 127.0.0.1, without port", host)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		r.bad(envPort, "%.80q: want a port, 1 to 65535", port)
	}
	return net.JoinHostPort(host, port)
}

// errNoConfiguration says that there is neither a file nor a variable.
var errNoConfiguration = errors.New("or set " + envInstances + " or " + envSocket + " to serve the HAProxy REST API alone")

// loadOrEnvironment reads the file. Where nobody named one and the default one
// doesn't exist, the environment is the configuration.
func loadOrEnvironment(path string, named bool, get func(string) string) (*loaded, error) {
	l, err := load(path)
	if named || !errors.Is(err, fs.ErrNotExist) || exists(path) {
		return l, err
	}
	set := false
	for _, name := range []string{envSocket, envInstances, envTimeout, envSecurity, envToken, envHost, envPort} {
		set = set || get(name) != ""
	}
	if !set {
		return nil, fmt.Errorf("%w: %w", err, errNoConfiguration)
	}
	e, err := readEnvironment(get)
	if err != nil {
		return nil, err
	}
	return e.loaded()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// useEnvironment tells what is to be told of it, and takes from it where to listen,
// unless the command line says so.
func useEnvironment(e *environment, flags *webFlags, authenticated bool, logger log.Logger) error {
	if e == nil {
		return nil
	}
	for _, note := range e.notes {
		level.Warn(logger).Log("msg", "environment", "note", note)
	}
	if e.token != "" && authenticated {
		return errors.New(envSecurity + " and the authentication of --web.config.file: use one of the two")
	}
	if !flags.named && !flags.systemd {
		flags.addresses = []string{e.listen}
	}
	return nil
}

// loaded is the environment as a file would have said it: devices, and nothing else.
func (e *environment) loaded() (*loaded, error) {
	l := &loaded{path: "environment", env: e}
	l.Devices = e.devices
	if e.token != "" {
		l.Access = access.ForToken(e.token)
	}
	text, err := yaml.Marshal(map[string]any{"devices": e.devices})
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	sum := sha256.Sum256(text)
	l.hash, l.masked = hex.EncodeToString(sum[:]), string(text)
	l.Exporter.Shown = l.masked
	return l, nil
}
