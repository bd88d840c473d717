package probe

import (
	"net"
	"net/netip"
	"os"
	"syscall"
)

// datagramSocket opens a socket that can send echo requests and see the replies
// to them, and nothing else. Groups in net.ipv4.ping_group_range may have one.
// Source: icmp(7).
func datagramSocket(v4 bool, source net.IP, whole bool) (net.PacketConn, error) {
	family, protocol := syscall.AF_INET6, syscall.IPPROTO_ICMPV6
	if v4 {
		family, protocol = syscall.AF_INET, syscall.IPPROTO_ICMP
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "ping")
	defer func() { _ = f.Close() }() // FilePacketConn has its own
	if err := setWhole(fd, v4, whole); err != nil {
		return nil, err
	}
	var at syscall.Sockaddr = &syscall.SockaddrInet6{}
	if v4 {
		at = &syscall.SockaddrInet4{}
	}
	if ip, ok := netip.AddrFromSlice(source); ok {
		at = &syscall.SockaddrInet6{Addr: ip.As16()}
		if v4 {
			at = &syscall.SockaddrInet4{Addr: ip.Unmap().As4()}
		}
	}
	if err := syscall.Bind(fd, at); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	return net.FilePacketConn(f)
}

// setWhole forbids to send a packet in parts. Source: ip(7), IP_MTU_DISCOVER;
// ipv6(7), IPV6_MTU_DISCOVER.
func setWhole(fd int, v4, whole bool) error {
	if !whole {
		return nil
	}
	level, option, value := syscall.IPPROTO_IPV6, syscall.IPV6_MTU_DISCOVER, syscall.IPV6_PMTUDISC_DO
	if v4 {
		level, option, value = syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER, syscall.IP_PMTUDISC_DO
	}
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, level, option, value))
}
