//go:build !linux

package rig

import "syscall"

// ownGroup keeps a Ctrl-C at the terminal from the programs, so that the rig
// ends them in its own order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
