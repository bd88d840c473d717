package main

import (
	"context"
	"net/url"

	"github.com/alecthomas/kingpin/v2"

	"github.com/sluice-project/sluice/ctl"
)

// A remote is the remediator that runs: it owns the journal, so that what concerns
// holds is asked of it.
type remote struct{ url, httpConfig string }

// addRemote adds the flags that say where it is.
func addRemote(cmd *kingpin.CmdClause) *remote {
	r := new(remote)
	cmd.Flag("remediator.url", "Where the remediator answers.").Default("http://127.0.0.1:11011").StringVar(&r.url)
	cmd.Flag("http.config.file", "How to authenticate to it: basic_auth, authorization, tls_config, as in Prometheus.").StringVar(&r.httpConfig)
	return r
}

// post sends in as JSON to a path, whose segments are escaped already, and
// decodes the data of the answer into out.
func (r *remote) post(ctx context.Context, path string, in, out any) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	return c.Post(ctx, path, in, out)
}

// get is post for what only looks.
func (r *remote) get(ctx context.Context, path string, query url.Values, out any) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	return c.Get(ctx, path, query, out)
}

func (r *remote) client() (*ctl.Client, error) { return ctl.New(r.url, r.httpConfig) }
