package haproxy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// SetAdmin puts a server in a state. It returns [ErrName], [ErrNoBackend],
// [ErrNoServer], [ErrPermission] or [ErrProxyDisabled] when nothing was changed.
// A nil error means that HAProxy took the command, not that traffic moved: read
// the state back. After any other error the outcome is unknown.
func (c *Client) SetAdmin(ctx context.Context, backend, server string, to edge.Admin) error {
	if to > edge.Maint {
		return fmt.Errorf("set %s: %w", shown(backend, server), edge.ErrAdmin)
	}
	err := c.command(ctx, "set admin", backend, server, "set server "+backend+"/"+server+" state "+to.String())
	if err != nil {
		return fmt.Errorf("set %s to %s: %w", shown(backend, server), to, err)
	}
	return nil
}

// SetWeight sets a server's weight in percent of its configured one, 0 to 100.
// With a static algorithm HAProxy takes 0 and 100 only.
func (c *Client) SetWeight(ctx context.Context, backend, server string, percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("set weight of %s to %d%%: %w", shown(backend, server), percent, ErrPercent)
	}
	err := c.command(ctx, "set weight", backend, server, "set server "+backend+"/"+server+" weight "+strconv.Itoa(percent)+"%")
	if err != nil {
		return fmt.Errorf("set weight of %s to %d%%: %w", shown(backend, server), percent, err)
	}
	return nil
}

// SetShare sets a server's weight itself, 1 to 256. With a static algorithm
// HAProxy refuses it.
func (c *Client) SetShare(ctx context.Context, backend, server string, weight int) error {
	if weight < 1 || weight > 256 {
		return fmt.Errorf("set weight of %s to %d: %w", shown(backend, server), weight, ErrWeight)
	}
	err := c.command(ctx, "set weight", backend, server, "set server "+backend+"/"+server+" weight "+strconv.Itoa(weight))
	if err != nil {
		return fmt.Errorf("set weight of %s to %d: %w", shown(backend, server), weight, err)
	}
	return nil
}

// Weight returns a server's current weight and the one of its configuration
// (both 0 to 256), as "get weight" gives them.
func (c *Client) Weight(ctx context.Context, backend, server string) (current, initial int, err error) {
	wrap := func(err error) (int, int, error) {
		return 0, 0, fmt.Errorf("weight of %s: %w", shown(backend, server), err)
	}
	if err := c.known(ctx, backend, server); err != nil {
		return wrap(err)
	}
	parts, err := c.batch(ctx, "get weight", "get weight "+backend+"/"+server)
	if err != nil {
		return wrap(err)
	}
	if n, err := fmt.Sscanf(string(parts[0]), "%d (initial %d)", &current, &initial); n == 2 && err == nil {
		return current, initial, nil
	}
	if err := refusal(parts[0]); err != nil {
		return wrap(err)
	}
	return wrap(ErrAnswer)
}

// ShutdownSessions ends all streams that a server has now, for a drain that must end.
func (c *Client) ShutdownSessions(ctx context.Context, backend, server string) error {
	if err := c.command(ctx, "shutdown sessions", backend, server, "shutdown sessions server "+backend+"/"+server); err != nil {
		return fmt.Errorf("shut down sessions of %s: %w", shown(backend, server), err)
	}
	return nil
}

// known checks names by their letters and then by what HAProxy lists, so that a
// name that is none is never part of a command that changes something.
func (c *Client) known(ctx context.Context, backend, server string) error {
	if err := checkName("backend", backend); err != nil {
		return err
	}
	if err := checkName("server", server); err != nil {
		return err
	}
	servers, err := c.Servers(ctx, backend)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(servers, func(s Server) bool { return s.Backend == backend && s.Name == server }) {
		return ErrNoServer
	}
	return nil
}

// command sends one command that answers nothing when it is obeyed.
//
// "set server" and "shutdown sessions" answer with one empty line on success
// and with a text and an empty line on refusal (seen on 2.6.12 and 3.4.0). With
// the severity in front even a text that we have never seen is told from an
// answer. "set severity-output" itself answers an empty line.
func (c *Client) command(ctx context.Context, op, backend, server, command string) error {
	if c.web != nil {
		return ErrReadOnly
	}
	if err := c.known(ctx, backend, server); err != nil {
		return err
	}
	line := "set severity-output number;" + command
	call := Call{Operation: op, Transport: c.transport, Command: line, Write: true, Start: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	raw, err := c.exchange(ctx, line)
	if err == nil {
		err = obeyed(raw)
	}
	return c.done(call, err)
}

// obeyed reads the whole answer to a line of commands that say nothing.
func obeyed(raw []byte) error {
	s := string(raw)
	if !strings.HasSuffix(s, "\n") {
		return fmt.Errorf("%d bytes of answer: %w", len(s), ErrTruncated)
	}
	if strings.Trim(s, "\r\n") != "" {
		if !strings.HasSuffix(s, "\n\n") {
			return fmt.Errorf("%s: %w", oneLine(strings.TrimSpace(s)), ErrTruncated)
		}
		return refusal(raw)
	}
	if len(s) < 2 { // one empty line for each of the two commands
		return fmt.Errorf("one empty line for two commands: %w", ErrTruncated)
	}
	return nil
}
