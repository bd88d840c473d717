package rig

import "context"

// NewProgram says how to start a program that is no part of the loop: a peer
// to measure beside ours, or a part of a measurement that needs a process of
// its own. Its output goes to a file in dir, which is where it runs.
func NewProgram(name, dir, program string, args ...string) (*Process, error) {
	p, err := newProcess(name, dir, program, args...)
	if err != nil {
		return nil, err
	}
	p.heedless = true // not all of them heed SIGTERM by a code of their own
	return p, nil
}

// StartWeb starts the program and waits until url answers with success.
func (p *Process) StartWeb(ctx context.Context, url string) error {
	if err := p.Start(); err != nil {
		return err
	}
	return p.ready(ctx, healthy(url))
}
