package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CPU returns how long the program has run on a CPU, in user and kernel mode.
// The kernel counts in hundredths of a second. Linux only.
// Source: proc(5), /proc/pid/stat, fields 14 and 15.
func (p *Process) CPU() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in brackets; it may hold spaces.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", p.Pid(), len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", p.Pid(), err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// PeakMemory returns the most memory that the program has had resident, in
// bytes. Linux only. Source: proc(5), /proc/pid/status, VmHWM.
func (p *Process) PeakMemory() (int64, error) { return p.memory("VmHWM:") }

// FileMemory returns how much of the program's own file and of others is
// resident now, in bytes: memory that the kernel takes back when it needs it.
// Linux only. Source: proc(5), /proc/pid/status, RssFile.
func (p *Process) FileMemory() (int64, error) { return p.memory("RssFile:") }

func (p *Process) memory(field string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), "\n"+field)
	fields := strings.Fields(rest)
	if !ok || len(fields) < 2 || fields[1] != "kB" {
		return 0, fmt.Errorf("/proc/%d/status: no %s in kB", p.Pid(), strings.TrimSuffix(field, ":"))
	}
	kB, err := strconv.ParseInt(fields[0], 10, 64)
	return kB * 1024, err
}

// OnCPU returns how long all threads of the program have been on a CPU, to the
// microsecond, where [Process.CPU] counts in hundredths of a second. What threads
// that have ended did is missing: those of Go and of HAProxy stay. Linux only.
// Source: the kernel's Documentation/scheduler/sched-stats.rst, /proc/pid/schedstat.
func (p *Process) OnCPU() (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Pid()))
	if err != nil {
		return 0, err
	}
	if len(tasks) == 0 {
		return 0, fmt.Errorf("/proc/%d/task: no schedstat: the process has ended, or the kernel keeps none", p.Pid())
	}
	var all time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended since
		}
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", task, err)
		}
		all += time.Duration(ns)
	}
	return all, nil
}
