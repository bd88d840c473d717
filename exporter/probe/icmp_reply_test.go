package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// reply is the packet that e waits for.
func (e *echo) reply() []byte {
	packet := make([]byte, icmpHead, icmpHead+len(e.payload))
	packet[0] = byte(ipv4.ICMPTypeEchoReply)
	if !e.to.Is4() {
		packet[0] = byte(ipv6.ICMPTypeEchoReply)
	}
	binary.BigEndian.PutUint16(packet[4:], e.id)
	binary.BigEndian.PutUint16(packet[6:], e.seq)
	return append(packet, e.payload...)
}

// Only what is the reply in every byte that the other side doesn't choose is one.
func FuzzIsReply(f *testing.F) {
	e := &echo{raw: true, to: netip.MustParseAddr("192.0.2.1"), id: 7, seq: 9, payload: []byte("payload")}
	from := &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}
	f.Add(e.reply())
	f.Add(e.reply()[:icmpHead])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, packet []byte) {
		got := e.isReply(packet, from)
		want := e.reply()
		if len(packet) > 4 {
			copy(want[2:4], packet[2:4]) // the checksum is the kernel's business
		}
		if got != (string(packet) == string(want)) {
			t.Errorf("%x: %v", packet, got)
		}
		if e.isReply(packet, &net.IPAddr{IP: net.IPv4(192, 0, 2, 2)}) {
			t.Error("it is somebody else's")
		}
	})
}

// The wait goes on past what others send, and ends when the probe does.
func TestOnlyTheReplyEndsTheWait(t *testing.T) {
	here, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	there, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = there.Close() }() // the test has its answer
	ctx, cancel := context.WithCancel(t.Context())
	defer context.AfterFunc(ctx, func() { _ = here.Close() })()
	e := &echo{conn: here, to: netip.MustParseAddr("127.0.0.1"), id: 7, seq: 9, payload: make([]byte, 28)}
	if err := e.prepare(0); err != nil {
		t.Fatal(err)
	}
	other := e.reply()
	other[7]++
	for _, packet := range [][]byte{{}, {0}, other, append(e.reply(), 0), make([]byte, 9000), e.reply()} {
		if _, err := there.WriteTo(packet, here.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	if hops, err := e.receive(); err != nil || hops < 1 {
		t.Errorf("%d, %v", hops, err)
	}
	cancel()
	if _, err := e.receive(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
