package rig

import "syscall"

// ownGroup keeps a Ctrl-C at the terminal from the programs, so that the rig
// ends them in its own order. The kernel ends them when the rig itself dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
