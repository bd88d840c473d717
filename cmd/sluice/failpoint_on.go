//go:build failpoints && linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/sluice-project/sluice/remediator"
)

// failpointEnv says where the process ends: NAME[@N][:stop], at the N-th passing
// of a failpoint, the first when N is left out. With :stop it is only stopped
// there, until somebody continues it.
const failpointEnv = "SLUICE_FAILPOINT"

// failpoint is what happens at each of [remediator.Failpoints]. This file is in
// no program that is released: see failpoint_off.go.
func failpoint() func(string) {
	text := os.Getenv(failpointEnv)
	if text == "" {
		return nil
	}
	point, stop := strings.CutSuffix(text, ":stop")
	name, times, counted := strings.Cut(point, "@")
	left, err := strconv.ParseInt(times, 10, 32)
	if !counted {
		left, err = 1, nil
	}
	if err != nil || left < 1 || !slices.Contains(remediator.Failpoints, name) {
		panic(fmt.Sprintf("%s=%s: want NAME[@N][:stop], with NAME one of %v", failpointEnv, text, remediator.Failpoints))
	}
	how := syscall.SIGKILL
	if stop {
		how = syscall.SIGSTOP
	}
	var passed atomic.Int64
	return func(at string) {
		if at != name || passed.Add(1) != left {
			return
		}
		// To this very thread: a signal to the process may come to another one, and
		// this one go on for a while.
		runtime.LockOSThread()
		if err := syscall.Tgkill(os.Getpid(), syscall.Gettid(), how); err != nil {
			panic(err)
		}
		runtime.UnlockOSThread()
		if !stop {
			select {} // not one step further while the kill is on its way
		}
	}
}
