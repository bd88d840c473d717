//go:build !linux

package netns

import (
	"errors"
	"syscall"
)

var errNone = errors.New("there are no network namespaces on this system")

// Inside is nothing here.
func Inside() *syscall.SysProcAttr { return nil }

// Allowed says why there can be no line between two namespaces here.
func Allowed() error { return errNone }

// A Namespace is never opened here.
type Namespace struct{ Enter []string }

// Open says why not.
func Open([]Pair) (*Namespace, error) { return nil, errNone }

// Cut says why not.
func (*Namespace) Cut(int, bool) error { return errNone }

// Close has nothing to do.
func (*Namespace) Close() error { return nil }
