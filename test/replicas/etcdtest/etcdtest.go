// Package etcdtest starts a real etcd for tests, and makes it misbehave.
package etcdtest

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/serve"
)

const (
	startWithin = 20 * time.Second
	endWithin   = 5 * time.Second
	starts      = 3 // others may take a port between finding and using it
)

// A Server is one member of an etcd that was started for one test.
type Server struct {
	Endpoint string // URL
	Pid      int
	CertFile string // of [StartTLS]: the server's certificate

	command []string // in front of etcd
	args    []string
	log     string
	cmd     *exec.Cmd
	ended   chan struct{}
}

// Start starts Debian's etcd on loopback and ends it with the test. It doesn't
// sync its files, for speed: what is killed loses nothing, a machine would. Start
// fails the test where no etcd is installed.
func Start(tb testing.TB) *Server {
	tb.Helper()
	return StartCluster(tb, 1)[0]
}

// StartCluster starts a cluster of n members, as Start starts one.
func StartCluster(tb testing.TB, n int) []*Server {
	tb.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		tb.Fatal("etcd isn't installed: apt-get install etcd-server, or make deps")
	}
	for try := 1; ; try++ {
		all, err := newCluster(tb, n)
		if err != nil {
			tb.Fatal(err)
		}
		if err = startAll(tb, all); err == nil {
			return all
		}
		if try == starts {
			said, _ := os.ReadFile(all[0].log) // it is for the message only
			tb.Fatalf("etcd doesn't start: %v:\n%s", err, said)
		}
	}
}

// StartIn starts one by a command in front, such as one that enters another network
// namespace, to be reached under some addresses. Its Endpoint has the first.
func StartIn(tb testing.TB, command []string, addresses ...string) *Server {
	tb.Helper()
	all, err := newCluster(tb, 1)
	if err != nil {
		tb.Fatal(err)
	}
	s := all[0]
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.Endpoint, "http://"))
	if err != nil {
		tb.Fatal(err)
	}
	var urls []string
	for _, a := range addresses {
		urls = append(urls, "http://"+net.JoinHostPort(a, port))
	}
	for i, arg := range s.args {
		if flag, _, is := strings.Cut(arg, "client-urls="); is {
			s.args[i] = flag + "client-urls=" + strings.Join(urls, ",")
		}
	}
	s.Endpoint, s.command = urls[0], command
	if err := startAll(tb, all); err != nil {
		said, _ := os.ReadFile(s.log) // it is for the message only
		tb.Fatalf("etcd doesn't start: %v:\n%s", err, said)
	}
	return s
}

// Certificate writes a new certificate, which is its own authority, and its key.
func Certificate(tb testing.TB) (certFile, keyFile string) {
	tb.Helper()
	cert, certPEM, err := serve.SelfSigned("127.0.0.1")
	if err != nil {
		tb.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	if err := errors.Join(os.WriteFile(certFile, certPEM, 0o600), os.WriteFile(keyFile, keyPEM, 0o600)); err != nil {
		tb.Fatal(err)
	}
	return certFile, keyFile
}

// StartTLS starts one that speaks TLS only, with a certificate of its own, and with
// further flags of etcd.
func StartTLS(tb testing.TB, flags ...string) *Server {
	tb.Helper()
	certFile, keyFile := Certificate(tb)
	all, err := newCluster(tb, 1)
	if err != nil {
		tb.Fatal(err)
	}
	s := all[0]
	s.CertFile = certFile
	for i, arg := range s.args {
		if strings.Contains(arg, "client-urls=") {
			s.args[i] = strings.Replace(arg, "http:", "https:", 1)
		}
	}
	s.args = append(append(s.args, "--cert-file="+certFile, "--key-file="+keyFile), flags...)
	s.Endpoint = strings.Replace(s.Endpoint, "http:", "https:", 1)
	if err := s.spawn(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.end(tb) })
	for until := time.Now().Add(startWithin); !s.listens(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(until) || s.hasEnded() {
			said, _ := os.ReadFile(s.log) // it is for the message only
			tb.Fatalf("etcd doesn't start:\n%s", said)
		}
	}
	return s
}

func newCluster(tb testing.TB, n int) ([]*Server, error) {
	var all []*Server
	var peers []string
	for i := range n {
		client, err := loopback.Address()
		if err != nil {
			return nil, err
		}
		peer, err := loopback.Address()
		if err != nil {
			return nil, err
		}
		dir := tb.TempDir()
		peers = append(peers, fmt.Sprintf("m%d=http://%s", i, peer))
		all = append(all, &Server{
			Endpoint: "http://" + client,
			log:      filepath.Join(dir, "log"),
			args: []string{
				fmt.Sprintf("--name=m%d", i), "--data-dir=" + filepath.Join(dir, "data"), "--unsafe-no-fsync", "--log-level=error", "--logger=zap",
				"--listen-client-urls=http://" + client, "--advertise-client-urls=http://" + client,
				"--listen-peer-urls=http://" + peer, "--initial-advertise-peer-urls=http://" + peer,
			},
		})
	}
	for _, s := range all {
		s.args = append(s.args, "--initial-cluster="+strings.Join(peers, ","))
	}
	return all, nil
}

func startAll(tb testing.TB, all []*Server) error {
	tb.Helper()
	for _, s := range all {
		if err := s.spawn(); err != nil {
			return err
		}
		tb.Cleanup(func() { s.end(tb) })
	}
	for _, s := range all {
		if err := s.ready(tb); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) spawn() error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the program has its own copy
	args := slices.Concat(s.command, []string{"etcd"}, s.args)
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = group()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.Pid = s.cmd.Process.Pid
	cmd, ended := s.cmd, make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in its log
	}()
	return nil
}

// ready returns when etcd answers.
func (s *Server) ready(tb testing.TB) error {
	tb.Helper()
	var c *clientv3.Client
	for until := time.Now().Add(startWithin); ; {
		if !s.listens() && time.Now().Before(until) && !s.hasEnded() {
			<-time.After(10 * time.Millisecond) // a client that is refused once waits for a second
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if c == nil {
			c = s.Client(tb)
		}
		_, err := c.Get(ctx, "ready")
		cancel()
		switch {
		case err == nil:
			return nil
		case s.hasEnded():
			return errors.New("it ended")
		case time.Now().After(until):
			return err
		}
	}
}

func (s *Server) listens() bool {
	conn, err := net.DialTimeout("tcp", s.Endpoint[strings.LastIndex(s.Endpoint, "/")+1:], time.Second)
	return err == nil && conn.Close() == nil
}

func (s *Server) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Leads says whether the member is its cluster's leader.
func (s *Server) Leads(tb testing.TB) bool {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Second)
	defer cancel()
	r, err := s.Client(tb).Status(ctx, s.Endpoint)
	return err == nil && r.Leader == r.Header.MemberId
}

// Client returns a client of its own, which ends with the test.
func (s *Server) Client(tb testing.TB) *clientv3.Client {
	tb.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint}, DialTimeout: time.Second, Logger: zap.NewNop()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// Pause stops the process in its tracks: its connections stay open and silent. It
// returns when all its threads stand still.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGSTOP)
	stopped := func() bool {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.Pid))
		for _, task := range tasks {
			stat, rerr := os.ReadFile(task)
			_, after, found := strings.Cut(string(stat), ") ") // the name is in brackets, the state after it
			if rerr != nil || !found || after[0] != 'T' {
				return false
			}
		}
		return err == nil && len(tasks) > 0
	}
	for until := time.Now().Add(endWithin); !stopped(); {
		if time.Now().After(until) {
			tb.Fatalf("etcd isn't stopped after %s", endWithin)
		}
		<-time.After(time.Millisecond)
	}
}

// Resume lets it go on.
func (s *Server) Resume(tb testing.TB) { s.signal(tb, syscall.SIGCONT) }

// Kill ends it at once, and Restart starts it again with the same data.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGKILL)
	<-s.ended
}

// Restart starts an etcd that was killed.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if err := errors.Join(s.spawn(), s.ready(tb)); err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Error(err)
	}
}

func (s *Server) end(tb testing.TB) {
	s.signal(tb, syscall.SIGCONT) // it may be paused
	s.signal(tb, syscall.SIGTERM)
	select {
	case <-s.ended:
		return
	case <-time.After(endWithin):
	}
	s.Kill(tb)
}
