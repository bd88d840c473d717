//go:build !linux

package etcdtest

import "syscall"

func group() *syscall.SysProcAttr { return nil }
