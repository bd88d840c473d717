// Package syslog sends what the audit stream writes to a syslog server too, as
// RFC 5424 or as CEF: whoever can rewrite a file on this machine can't rewrite
// what another one has.
//
// It never keeps the remediator waiting. What a server that is away would have
// been told waits in a bounded queue; what doesn't fit is counted, and the server
// is told how much that was. The file has all of it.
package syslog

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	queueLength = 4096
	timeout     = 5 * time.Second // of connecting, and of one message
	firstWait   = time.Second     // before the next try; each doubles it
	longestWait = time.Minute
	farewell    = 2 * time.Second // for what is queued when we stop

	// RFC 5424 section 6.1: every receiver should take 2048 bytes. Only the streams
	// tell the receiver how much comes.
	mostDatagram = 2048
	mostStream   = 8192

	eventDropped = "syslog_dropped"
)

// Options of [New].
type Options struct {
	Logger log.Logger // nil: nowhere
	// Dial makes connections instead of a [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Hostname is instead of the machine's own.
	Hostname string
}

// A Sender sends records to one server. Make one with [New].
type Sender struct {
	network, target string
	tls             *tls.Config
	writer          writer
	dial            func(ctx context.Context, network, address string) (net.Conn, error)
	logger          log.Logger
	queue           chan Record

	sent, dropped atomic.Uint64
	connected     atomic.Bool

	// What follows is Run's alone.
	conn *connection
	told uint64 // of dropped, how many the server knows about
	down bool   // and the log says so
}

// New makes a sender from a valid Config. It connects to nobody yet.
func New(c Config, o Options) (*Sender, error) {
	t, err := c.tls()
	if err != nil {
		return nil, err
	}
	if o.Hostname == "" {
		if o.Hostname, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("syslog: %w", err)
		}
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	s := &Sender{
		network: c.network, target: c.target, tls: t, dial: o.Dial, logger: log.With(o.Logger, "address", c.Address),
		queue:  make(chan Record, queueLength),
		writer: writer{format: c.Format, facility: c.facility, enterprise: c.EnterpriseID, host: o.Hostname, pid: strconv.Itoa(os.Getpid()), most: mostDatagram},
	}
	if s.stream() {
		s.writer.most = mostStream
	}
	return s, nil
}

func (s *Sender) stream() bool { return s.network == "tcp" || s.network == "tls" }

// Send hands over one record. It never waits: when the queue is full, the record
// is dropped and counted.
func (s *Sender) Send(r Record) {
	r.Evidence, r.Decision, r.World, r.Before, r.After = nil, nil, nil, nil, nil // no message has them
	select {
	case s.queue <- r:
	default:
		s.dropped.Add(1)
	}
}

// Stats are counts since the start.
type Stats struct {
	Sent      uint64 // messages that the network took; whether the server did, syslog doesn't tell
	Dropped   uint64 // messages that will never be sent
	Queued    int    // messages that wait now
	Connected bool   // the last try to connect, or to send, went well
}

// Stats may be called at any time.
func (s *Sender) Stats() Stats {
	return Stats{s.sent.Load(), s.dropped.Load(), len(s.queue), s.connected.Load()}
}

// Run sends until ctx ends, and then, for two seconds at most, what is queued.
func (s *Sender) Run(ctx context.Context) error {
	defer s.hangUp()
	for {
		select {
		case <-ctx.Done():
			s.leave(ctx, nil)
			return nil
		case r := <-s.queue:
			for wait := firstWait; ; wait = min(2*wait, longestWait) {
				err := s.deliver(ctx, r)
				if err == nil {
					break
				}
				s.note(err)
				select {
				case <-ctx.Done():
					s.leave(ctx, &r)
					return nil
				case <-time.After(wait):
				}
			}
		}
	}
}

// leave sends what is left, first the record in hand, until something goes wrong.
func (s *Sender) leave(ctx context.Context, inHand *Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	well := true
	left := func(r Record) {
		if well {
			err := s.deliver(ctx, r)
			if err == nil {
				return
			}
			s.note(err)
			well = false
		}
		s.dropped.Add(1)
	}
	if inHand != nil {
		left(*inHand)
	}
	for {
		select {
		case r := <-s.queue:
			left(r)
		default:
			return
		}
	}
}

// deliver sends r once, and before it a note on those that the server missed.
func (s *Sender) deliver(ctx context.Context, r Record) error {
	if s.conn != nil && s.conn.over() {
		s.hangUp()
	}
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	if missed := s.dropped.Load(); missed > s.told {
		note := Record{Entry: journal.Entry{At: time.Now(), Event: eventDropped, Detail: fmt.Sprintf("%d messages before this one were dropped: the file has them", missed-s.told)}}
		if err := s.write(ctx, note); err != nil {
			return err
		}
		s.told = missed
	}
	if err := s.write(ctx, r); err != nil {
		return err
	}
	s.sent.Add(1)
	s.connected.Store(true)
	if s.down {
		s.down = false
		level.Info(s.logger).Log("msg", "syslog server is back")
	}
	return nil
}

// note logs the first of a row of failures.
func (s *Sender) note(err error) {
	s.connected.Store(false)
	if !s.down {
		s.down = true
		level.Warn(s.logger).Log("msg", "syslog server is away", "err", err)
	}
}

func (s *Sender) write(ctx context.Context, r Record) error {
	m := s.writer.message(r)
	if s.stream() {
		// Octet counting, RFC 6587 section 3.4.1 and RFC 5425 section 4.3: a line end
		// in a message couldn't start another one even if there were one.
		m = append([]byte(strconv.Itoa(len(m))+" "), m...)
	}
	until := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	err := s.conn.SetWriteDeadline(until)
	if err == nil {
		_, err = s.conn.Write(m)
	}
	if err != nil {
		s.hangUp() // half a message may be out: nothing may follow it
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

func (s *Sender) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	network := s.network
	if network == "tls" {
		network = "tcp"
	}
	conn, err := s.dial(ctx, network, s.target)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if s.tls != nil {
		secure := tls.Client(conn, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // the handshake's error says more
			return fmt.Errorf("connect: %w", err)
		}
		conn = secure
	}
	s.conn = &connection{Conn: conn}
	if s.stream() {
		s.conn.watch()
	}
	return nil
}

func (s *Sender) hangUp() {
	if s.conn != nil {
		s.conn.end()
		s.conn = nil
	}
}

// A connection notices when the server hangs up: it says nothing, so without a
// look the next message would go into a connection that nobody reads.
type connection struct {
	net.Conn
	gone chan struct{} // nil for datagrams
}

func (c *connection) watch() {
	c.gone = make(chan struct{})
	go func() {
		defer close(c.gone)
		_, _ = io.Copy(io.Discard, c.Conn) // however it ends, it has ended
	}()
}

func (c *connection) over() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// end closes the connection, and waits for whoever watches it.
func (c *connection) end() {
	_ = c.Close() // what couldn't be sent was said where it failed
	if c.gone != nil {
		<-c.gone
	}
}
