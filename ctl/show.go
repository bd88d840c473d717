package ctl

import "io"

// Show writes v in the form that is wanted; table writes it for people.
func (s *Session) Show(v any, table func(io.Writer) error) error { return s.show(v, table) }
