package ctl

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A shell that is ended leaves what it started running. A process group of its own
// would hold them together, and take the terminal away from a command that asks for
// a password: so its children are looked up, as the kernel lists them. Where there
// is no /proc the process alone is told.

// mostStops bounds how often a tree is looked at that goes on growing.
const mostStops = 10

// signalTree tells a process and all that it has started. Those that have ended
// meanwhile need no telling.
func signalTree(root int, sig syscall.Signal) {
	for _, pid := range tree(root) {
		_ = syscall.Kill(pid, sig)
	}
}

// killTree ends a process and all that it has started. They are stopped first, so
// that none starts another behind our back.
func killTree(root int) {
	var all []int
	for range mostStops {
		before := len(all)
		for _, pid := range tree(root) {
			if !slices.Contains(all, pid) {
				_ = syscall.Kill(pid, syscall.SIGSTOP) // one that has just ended needs none
				all = append(all, pid)
			}
		}
		if len(all) == before {
			break
		}
	}
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// tree is a process and its descendants, parents before children.
func tree(root int) []int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []int{root}
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // no process
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		if parent := parentOf(string(stat)); parent > 0 {
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// parentOf reads the parent from a line of /proc/PID/stat: the second field behind
// the program's name, which may itself hold spaces and brackets; 0 is none. Source:
// proc_pid_stat(5).
func parentOf(stat string) int {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}
