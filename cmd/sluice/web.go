package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/coreos/go-systemd/v22/activation"
	"github.com/go-kit/log"
	"github.com/prometheus/exporter-toolkit/web"
)

// webFlags are where and how a server of ours listens.
type webFlags struct {
	addresses   []string
	named       bool // the addresses, by the user
	systemd     bool
	configFile  string
	externalURL string
	routePrefix string
}

func addWebFlags(cmd *kingpin.CmdClause, address string) *webFlags {
	f := new(webFlags)
	cmd.Flag("web.listen-address", "Address to listen on. Repeatable.").
		Default(address).IsSetByUser(&f.named).StringsVar(&f.addresses)
	cmd.Flag("web.systemd-socket", "Take the listeners from systemd's socket activation instead.").
		BoolVar(&f.systemd)
	cmd.Flag("web.config.file", "File that turns on TLS or authentication, as exporter-toolkit describes it.").
		StringVar(&f.configFile)
	cmd.Flag("web.external-url", "URL under which users reach this server, for links, when a proxy stands in front.").
		StringVar(&f.externalURL)
	cmd.Flag("web.route-prefix", "Path that stands before all others. The path of --web.external-url when left out.").
		StringVar(&f.routePrefix)
	return f
}

// paths returns the prefix of our own routes and that of links in pages. Both
// are empty or begin, and never end, with a slash.
func (f *webFlags) paths() (route, external string, err error) {
	if f.externalURL != "" {
		u, err := url.Parse(f.externalURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" {
			return "", "", errors.New("--web.external-url: want a URL such as https://example.com/sluice, without user or query")
		}
		external = prefix(u.Path)
	}
	route = prefix(f.routePrefix)
	if f.routePrefix == "" {
		route = external
	}
	if f.externalURL == "" {
		external = route
	}
	if !plainPath.MatchString(external) {
		return "", "", errors.New("--web.external-url: the path: want letters, digits and - . _ ~ / alone")
	}
	if !plainPath.MatchString(route) {
		return "", "", errors.New("--web.route-prefix: want a path of letters, digits and - . _ ~ / alone")
	}
	return route, external, nil
}

// plainPath is one that is the same in a request, in a pattern of a mux and in a cookie.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._~-]*$`)

func prefix(p string) string {
	if p == "" {
		return ""
	}
	return strings.TrimSuffix(path.Clean("/"+p), "/")
}

// listen opens all listeners, so that a wrong address is told before anything
// else starts.
func (f *webFlags) listen() ([]net.Listener, error) {
	if f.systemd {
		all, err := activation.Listeners()
		if err != nil {
			return nil, fmt.Errorf("listeners of systemd: %w", err)
		}
		if len(all) == 0 {
			return nil, errors.New("--web.systemd-socket: systemd gave no listener: start this by its socket unit")
		}
		return all, nil
	}
	var all []net.Listener
	for _, address := range f.addresses {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--web.listen-address %s: %w", address, err), closeAll(all))
		}
		all = append(all, ln)
	}
	return all, nil
}

func closeAll(all []net.Listener) error {
	var errs []error
	for _, ln := range all {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

const (
	headerTime   = 10 * time.Second // until a request's header is there
	requestTime  = 30 * time.Second // until all of it is there
	answerTime   = 3 * time.Minute  // until the answer is out; a scrape may take two
	idleTime     = 2 * time.Minute
	shutdownTime = 3 * time.Second // for requests under way, when we are told to stop
)

// A website serves one handler on all listeners. Each listener has its own
// server: exporter-toolkit wraps the handler of the server it is given, and
// would wrap it once more for each listener of one server.
type website struct {
	listeners []net.Listener
	servers   []*http.Server
	config    string
	logger    log.Logger
}

func newWebsite(listeners []net.Listener, configFile string, handler http.Handler, logger log.Logger) *website {
	w := &website{listeners: listeners, config: configFile, logger: logger}
	for range listeners {
		w.servers = append(w.servers, &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: headerTime,
			ReadTimeout:       requestTime,
			WriteTimeout:      answerTime,
			IdleTimeout:       idleTime,
			ErrorLog:          serverLog(logger),
		})
	}
	return w
}

// run serves until stop, or until one listener fails.
func (w *website) run() error {
	failed := make(chan error, len(w.servers))
	for i, s := range w.servers {
		go func() {
			ln := &outermost{Listener: w.listeners[i], server: s, logger: w.logger}
			err := web.Serve(ln, s, &web.FlagConfig{WebConfigFile: &w.config}, bridge(w.logger))
			if !errors.Is(err, http.ErrServerClosed) {
				err = fmt.Errorf("serve %s: %w", w.listeners[i].Addr(), err)
			}
			failed <- err
		}()
	}
	var first error
	for range w.servers {
		if err := <-failed; first == nil && !errors.Is(err, http.ErrServerClosed) {
			first = err
			w.stop()
		}
	}
	return first
}

// stop gives requests under way a few seconds to end.
func (w *website) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	var all sync.WaitGroup
	for i, s := range w.servers {
		all.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				_ = s.Close() // the time is up: what is left is cut off
			}
			_ = w.listeners[i].Close() // where web.Serve never came to serve
		})
	}
	all.Wait()
}

// outermost puts the request log around the handler once exporter-toolkit has put
// its authentication there, so that refused requests are logged too. The
// toolkit wraps the handler in Serve and only then accepts connections.
type outermost struct {
	net.Listener
	server *http.Server
	logger log.Logger
	once   sync.Once
}

func (o *outermost) Accept() (net.Conn, error) {
	o.once.Do(func() { o.server.Handler = logRequests(o.logger, o.server.Handler) })
	return o.Listener.Accept()
}
