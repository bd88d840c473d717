package ptafpro

import (
	"context"
)

type session struct{}

func newSession(*Client, Options) *session { return &session{} }

func (s *session) token(context.Context) (string, error) { return "", nil }
func (s *session) refused(string, bool) bool             { return false }
func (s *session) end(context.Context) error             { return nil }
