package probe_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"

	"github.com/miekg/dns"
)

// nobodyKnows is a resolver whose name server is in memory: tests ask nobody
// beyond this machine, and a name that isn't in its own list has no address.
var nobodyKnows = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe() // no packets: the resolver speaks as over TCP
	go func() {
		defer func() { _ = there.Close() }() // the question was answered, or nobody wants to know
		for {
			var length [2]byte
			if _, err := io.ReadFull(there, length[:]); err != nil {
				return
			}
			query, q := make([]byte, binary.BigEndian.Uint16(length[:])), new(dns.Msg)
			if _, err := io.ReadFull(there, query); err != nil || q.Unpack(query) != nil {
				return
			}
			answer, err := new(dns.Msg).SetRcode(q, dns.RcodeNameError).Pack()
			if err != nil {
				return
			}
			if _, err := there.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
				return
			}
		}
	}()
	return here, nil
}}
