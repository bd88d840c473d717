//go:build unix

package probe

import (
	"net"
	"syscall"
)

// silent says that a connection which nobody asked anything is open and that
// nothing came on it: what came before a request is no answer to it.
func silent(conn net.Conn) bool {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN || err == syscall.EINTR
	})
	return err == nil && quiet
}

// openFiles is how many files the program may have open.
func openFiles() int64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 1 << 10 // guess: what most systems give
	}
	return int64(min(files.Cur, 1<<20)) // at most 2^20
}
