package journal

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A term is a leadership as a coordinator would hold it, without a lease.
type term struct {
	key     string
	created int64
}

func (f term) Fence() (string, int64, bool) { return f.key, f.created, true }

// begin makes a new leader below prefix, in place of the one before.
func begin(tb testing.TB, c *clientv3.Client, prefix string) term {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	key := prefix + "/leader"
	if _, err := c.Delete(ctx, key); err != nil {
		tb.Fatal(err)
	}
	r, err := c.Put(ctx, key, "test")
	if err != nil {
		tb.Fatal(err)
	}
	return term{key, r.Header.Revision}
}
