package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// maxUDP is the longest answer over UDP, in bytes, as our queries offer to take
// no longer one. Source: RFC 1035, section 4.2.1; RFC 6891, section 6.2.3.
const maxUDP = 512

var (
	errNoMessage = errors.New("what came is no message of DNS")
	errCut       = errors.New("the answer breaks off")
	errClosed    = errors.New("the connection was closed before the answer")
	errOther     = errors.New("what came answers another query")
	errTooLong   = fmt.Errorf("the answer over UDP is longer than the %d bytes that were offered for it", maxUDP)
)

// askNameServer sends a query and waits for its answer. Both end with the connection.
func askNameServer(conn net.Conn, query *dns.Msg) (*dns.Msg, error) {
	raw, err := query.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack the query: %w", err)
	}
	if _, packets := conn.(net.PacketConn); packets {
		if _, err := conn.Write(raw); err != nil {
			return nil, err
		}
		return awaitPacket(conn, query)
	}
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(raw))) // RFC 1035, section 4.2.2
	if _, err := conn.Write(append(framed, raw...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, closed(err)
	}
	answer := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, closed(err)
	}
	return parseAnswer(answer, query)
}

// awaitPacket passes over answers to other queries: who sends them may be
// somebody else who only uses the name server's address.
func awaitPacket(conn net.Conn, query *dns.Msg) (*dns.Msg, error) {
	buf := make([]byte, maxUDP+1)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if n > maxUDP {
			return nil, errTooLong
		}
		answer, err := parseAnswer(buf[:n], query)
		if errors.Is(err, errOther) {
			continue
		}
		return answer, err
	}
}

func closed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errClosed
	}
	return err
}

// parseAnswer reads an answer to query; anything else is an error that doesn't
// quote what came.
func parseAnswer(raw []byte, query *dns.Msg) (*dns.Msg, error) {
	const header = 12 // bytes
	a := new(dns.Msg)
	if len(raw) < header {
		return nil, errNoMessage
	}
	if err := a.Unpack(raw); err != nil {
		return nil, errNoMessage
	}
	switch {
	case !a.Response: // such as the query, thrown back
		return nil, errNoMessage
	case a.Id != query.Id:
		return nil, errOther
	// Servers that understood nothing leave the question out.
	case len(a.Question) > 0 && !slices.EqualFunc(a.Question, query.Question, sameQuestion):
		return nil, errOther
	case a.Truncated: // then the counts may be those of the whole answer
		return a, nil
	}
	for i, rrs := range [][]dns.RR{a.Answer, a.Ns, a.Extra} {
		if len(rrs) != int(binary.BigEndian.Uint16(raw[6+2*i:])) { // Unpack takes what is there
			return nil, errCut
		}
	}
	return a, nil
}

// evidence is the beginning of an answer as text. All of it might be a thousand
// times as long: names in a message may be pointers to long ones.
func evidence(a *dns.Msg) []byte {
	text := a.MsgHdr.String() + "\n"
	for _, rrs := range [][]dns.RR{a.Answer, a.Ns, a.Extra} {
		for _, rr := range rrs {
			if len(text) >= bodyKept {
				break
			}
			text += rr.String() + "\n"
		}
	}
	return []byte(text[:min(len(text), bodyKept)])
}

func sameQuestion(a, b dns.Question) bool {
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

// A section judges one section of an answer.
type section struct {
	name                            string
	of                              func(*dns.Msg) []dns.RR
	matches, all, notMatches, never []*regexp.Regexp
}

func newSection(name string, m RRMatch, of func(*dns.Msg) []dns.RR) section {
	compile := func(texts []string) (all []*regexp.Regexp) {
		for _, s := range texts {
			all = append(all, regexp.MustCompile(s)) // Validate compiled it
		}
		return all
	}
	return section{name, of, compile(m.FailIfMatches), compile(m.FailIfAllMatch), compile(m.FailIfNotMatches), compile(m.FailIfNoneMatches)}
}

// judge says what is wrong, or nothing. Source of its rules: [RRMatch].
func (s section) judge(answer *dns.Msg) string {
	if len(s.matches)+len(s.all)+len(s.notMatches)+len(s.never) == 0 {
		return ""
	}
	rrs := s.of(answer)
	if len(rrs) == 0 && len(s.notMatches)+len(s.never) > 0 {
		return s.name + ": no records"
	}
	var some bool
	for _, rr := range rrs {
		text := rr.String()
		is := func(re *regexp.Regexp) bool { return re.MatchString(text) }
		not := func(re *regexp.Regexp) bool { return !re.MatchString(text) }
		if i := slices.IndexFunc(s.matches, is); i >= 0 {
			return s.says(text, "matches", s.matches[i])
		}
		if i := slices.IndexFunc(s.notMatches, not); i >= 0 {
			return s.says(text, "doesn't match", s.notMatches[i])
		}
		if i := slices.IndexFunc(s.all, not); i >= 0 {
			return s.says(text, "doesn't match", s.all[i])
		}
		some = some || slices.ContainsFunc(s.never, is)
	}
	if len(s.never) > 0 && !some {
		return oneLine(fmt.Sprintf("%s: no record matches one of %q", s.name, s.never))
	}
	return ""
}

func (s section) says(record, what string, re *regexp.Regexp) string {
	return oneLine(fmt.Sprintf("%s: %q %s %q", s.name, strings.ReplaceAll(record, "\t", " "), what, re))
}
