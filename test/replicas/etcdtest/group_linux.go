package etcdtest

import "syscall"

// group has the kernel end an etcd whose test is gone without having ended it.
func group() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
