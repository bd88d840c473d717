package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// failure says why a stage ended with err, and in which words.
func failure(ctx context.Context, stage string, err error) (Reason, string) {
	var timeout net.Error
	switch {
	case ours(err):
		return Unmade, stage + ": " + plain(err)
	case errors.Is(ctx.Err(), context.Canceled):
		return Unmade, "interrupted during " + stage
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Timeout, "no end of " + stage + " within the timeout"
	}
	return stageReason[stage], stage + ": " + strings.TrimPrefix(plain(err), stage+": ")
}

// ours finds the errors of a machine that has no more to give. They say nothing
// of the target: overload must not look like failure.
func ours(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		// The resolver keeps only the text.
		if errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) {
			return true
		}
	}
	return false
}

// plain takes the URL out of an error's text and keeps it on one line.
func plain(err error) string {
	for u := (*url.Error)(nil); errors.As(err, &u); {
		err = u.Err
	}
	return oneLine(err.Error())
}

// headFailure says why there is no whole head of an HTTP answer. net/http quotes
// what came in its place, which may be our request thrown back: none of it is shown.
func headFailure(err error) error {
	var network *net.OpError
	switch text := err.Error(); {
	case errors.As(err, &network):
		return network
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "server closed idle connection"):
		return errors.New("the connection was closed before the answer")
	case strings.Contains(text, "server response headers exceeded"):
		return fmt.Errorf("the head of the answer is longer than %d bytes", maxHead)
	}
	return errors.New("what came is no answer of HTTP")
}

// isAlert finds the errors of TLS that surface after the handshake: under TLS 1.3
// the other side judges our certificate when we are through.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
